/* One thread and its loop: its listeners, sessions, strangers, deadlines and scratch buffers.
 *
 * A turn of the loop first serves the connected sessions that have something, then the deadlines,
 * libuv, and what other threads wish, then for a while the strangers (strangers.h), and last frees
 * what has died. Its sockets are the poller's; libuv resolves names and keeps the slow clocks.
 *
 * A worker shares nothing with the others on the data path. The server talks to it through the
 * functions marked "any thread", which leave a wish under a mutex and wake the loop. */
#ifndef POSTERN_SESSION_WORKER_H
#define POSTERN_SESSION_WORKER_H

#include "broker/dial.h"
#include "broker/probe.h"
#include "core/list.h"
#include "core/log_limit.h"
#include "net/deadline.h"
#include "net/poller.h"
#include "session/runtime.h"
#include "session/scheduler.h"
#include "session/shared.h"
#include "tls/engine.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct listener;
struct session;

/* One read of a socket at most; also what may come before the broker is connected until reading
 * pauses. */
enum { WORKER_READ_SIZE = 32768 };

/* What the server is told, on the worker's thread. */
struct worker_events {
    void *arg;
    void (*adopted)(void *arg); /* the runtime given last is in use */
    void (*stopped)(void *arg); /* the thread is about to end; worker_join will not block long */
};

struct worker {
    struct shared *shared;
    struct worker_events events;
    uv_thread_t thread;
    bool started;
    struct poller poller;
    uv_loop_t loop;
    struct poll_handle loop_polled; /* of libuv's own descriptor */
    bool loop_due;                  /* libuv has something to do */
    uv_async_t alive;               /* never sent: see open_wakes_and_timers */

    struct runtime *runtime; /* current */
    struct listener *listeners;
    size_t listener_count;
    struct dialer dialer;
    struct prober prober;

    struct list silent;   /* sessions that have not sent a byte, the oldest first */
    struct list sessions; /* the others, likewise */
    struct list over;     /* ended, but something still has to leave or to be closed */
    struct list closed;   /* to be freed when the turn is over */
    size_t session_count; /* of silent and sessions */
    size_t unfreed_count; /* of all four */

    struct list unfinished; /* connected sessions that have had their turn and want another */
    struct scheduler scheduler;

    struct deadlines progress, silence;
    uint64_t due_ms; /* when the next of them is; UINT64_MAX: none */

    uv_timer_t retry; /* runs while something waits: starved listeners, suppressed lines */
    struct log_limit log_limit;

    uv_timer_t drain;
    uint64_t drain_started_ms, drain_ms;
    size_t drain_total;
    bool draining, closing;

    uint8_t *cipher;     /* WORKER_READ_SIZE: what a socket gave */
    uint8_t *plain;      /* WORKER_PLAIN_SIZE: what the engine made of it */
    struct engine_io io; /* shared by all engines of this worker */

    struct poll_handle wake; /* an eventfd; each write is an edge, so nobody reads it */
    bool woken;
    uv_mutex_t mutex; /* guards the wishes */
    struct runtime *next_runtime;
    bool drain_wanted, stop_wanted, room_wanted;
    uint64_t drain_wanted_ms;
    atomic_uint turns; /* answers to worker_ping */
};

/* A partial record of before, and what one read brings. */
enum { WORKER_PLAIN_SIZE = WORKER_READ_SIZE + 16384 };

/* Prepares the loop and takes over the listening descriptors: `fds[i]` belongs to the listener
 * `listener_of[i]` of the runtime. Takes its own reference to `runtime`. 0 or a libuv code; after
 * an error nothing is left but the descriptors, which stay the caller's. */
int worker_init(struct worker *w, struct shared *shared, struct runtime *runtime, const int *fds,
                const size_t *listener_of, size_t fd_count, struct worker_events events)
    __attribute__((warn_unused_result));
int worker_start(struct worker *w) __attribute__((warn_unused_result)); /* its thread */
/* After worker_drain or worker_stop: waits for the thread's end and gives everything back. A worker
 * that was never started ends on the caller's thread. */
void worker_join(struct worker *w);

/* Any thread. The runtime's reference is taken over. */
void worker_adopt(struct worker *w, struct runtime *runtime);
/* Any thread. Stops accepting, then ends the sessions spread over that time; then stops. */
void worker_drain(struct worker *w, uint64_t duration_ms);
/* Any thread. Ends everything at once and stops. */
void worker_stop(struct worker *w);
/* Any thread. worker_turns differs afterwards, as soon as the loop has turned. */
void worker_ping(struct worker *w);
unsigned worker_turns(const struct worker *w);
/* Any thread. Another worker has clients waiting for descriptors: the oldest silent one goes. */
void worker_ask_for_room(struct worker *w);

/* --- for the sessions and listeners of this worker, on its thread --- */

uint64_t worker_now(const struct worker *w); /* milliseconds, the loop's */

/* Sets a deadline of `all` (progress or silence) and has the loop look in time. Without memory the
 * deadline stays unset and false is returned. */
bool worker_deadline(struct worker *w, struct deadlines *all, struct deadline *d,
                     uint64_t duration_ms) __attribute__((warn_unused_result));

/* The session has something to read or to send, and no event will tell: serves it in the next turn
 * if it is connected, else among the strangers. */
void worker_serve_later(struct worker *w, struct session *s);

/* Whether a line for this reason may be written now; `*suppressed` tells how many were not. */
bool worker_may_log(struct worker *w, enum reason reason, uint64_t *suppressed)
    __attribute__((warn_unused_result));

/* Something waits for what has no event of its own: looks again soon, until nothing does. */
void worker_retry(struct worker *w);

/* The session is dead: frees it at the end of this turn. */
void worker_defer_free(struct worker *w, struct session *s);

/* --- drain.c: the end --- */

/* As worker_drain and worker_stop, on the worker's thread. */
void drain_begin(struct worker *w, uint64_t duration_ms);
void drain_at_once(struct worker *w);
/* Nothing is left to serve: closes all that the loop still waits for. May be called twice. */
void drain_close_loop(struct worker *w);

#endif
