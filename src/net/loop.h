/* The event loop of one thread: a libuv loop, run by uv_run and nothing around it. Our sockets are
 * a poller, whose descriptor is one uv_poll_t of that loop; libuv also resolves names, wakes the
 * thread and keeps the one timer.
 *
 * A turn of the loop: the deadline, if it has come (in some versions of libuv after the sockets);
 * the sockets that have something to report, and on_wake; then on_turn, once. A callback of any of
 * these may leave work for on_turn: has_work is called afterwards, and while it returns true the
 * loop does not wait. While on_turn says so, turns leave out the deadline and on_wake, for 0.2 ms
 * at most. All callbacks are made on the thread that runs loop_run. */
#ifndef POSTERN_NET_LOOP_H
#define POSTERN_NET_LOOP_H

#include "net/poller.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct loop;

struct loop_hooks {
    void *arg;
    /* Asked before the loop waits. */
    bool (*has_work)(void *arg);
    uint64_t (*next_deadline_ms)(void *arg); /* on the clock of loop_now_ms; UINT64_MAX: none */
    void (*on_deadline)(void *arg);
    /* `events_ns` is when the sockets of this turn began to be served (loop_now_ns). True if the
     * next turn should come at once, and may be one of those that leave things out. */
    bool (*on_turn)(void *arg, uint64_t events_ns);
    void *wake_arg;
    void (*on_wake)(void *wake_arg); /* after loop_wake */
};

/* `*status` is 0 or a libuv code; NULL with a code. The hooks are copied. */
struct loop *loop_new(const struct loop_hooks *hooks, int *status)
    __attribute__((warn_unused_result));

/* Returns after loop_stop, when every handle of the loop is closed. A loop that will never run must
 * still be stopped and run before it is freed. */
void loop_run(struct loop *loop);

/* Closes every handle of the loop, those of others too (uv_walk). Once, on the loop's thread or
 * before it runs; loop_wake must not be called from then on. */
void loop_stop(struct loop *loop);
void loop_free(struct loop *loop); /* NULL is fine; else loop_run has returned */

/* Any thread: on_wake will be called soon, once for any number of calls before it. */
void loop_wake(struct loop *loop);

uint64_t loop_now_ms(const struct loop *loop); /* monotonic; as of the turn's begin */
uint64_t loop_now_ns(void);                    /* monotonic; now */

struct poller *loop_poller(const struct loop *loop);
uv_loop_t *loop_uv(struct loop *loop); /* for names and their timers */

#endif
