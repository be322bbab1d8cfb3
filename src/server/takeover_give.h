/* The old process's part in a takeover: it gives its listening sockets to a new one, goes on
 * accepting, and stops when the new one says that it serves.
 *
 * Until that message nothing has changed here: a new process that ends, fails or does not get there
 * in GIVE_MS leaves this one serving. One takeover at a time; who asks meanwhile waits. */
#ifndef POSTERN_SERVER_TAKEOVER_GIVE_H
#define POSTERN_SERVER_TAKEOVER_GIVE_H

#include "core/error.h"
#include "server/bind.h"
#include "server/socket_file.h"
#include "tls/tickets.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

/* All of it is borrowed. */
struct takeover_give_parts {
    const struct bound_set *bound;
    struct tls_tickets *tickets;
    struct socket_given admin; /* the admin socket */
    void *arg;
    /* The process `by` serves on the sockets, on all of this one's loop. Not after
     * takeover_give_stop, unless the takeover was under way by then. */
    void (*taken)(void *arg, pid_t by);
};

/* Embedded; the fields are takeover_give.c's. Zeroed is not started. The handles are closed with
 * the loop. */
struct takeover_give {
    struct takeover_give_parts parts;
    uv_loop_t *loop;
    uv_poll_t listening, peer;
    uv_timer_t deadline;
    int listen_fd;
    bool started, stopped;

    /* The takeover under way. */
    int peer_fd; /* -1: none */
    pid_t peer_pid;
    enum { GIVE_ASKED, GIVE_GIVING, GIVE_GIVEN } step;
    size_t address, socket; /* the next to be given */
    unsigned rest;          /* what follows the sockets */
};

/* Accepts takeovers on `listen_fd`, a takeover_path's, which stays the caller's. 0, or -1 with the
 * reason. */
int takeover_give_start(struct takeover_give *give, uv_loop_t *loop, int listen_fd,
                        const struct takeover_give_parts *parts, struct error *err)
    __attribute__((warn_unused_result));

/* No takeover begins any more; one that is under way goes on. `listen_fd` may be closed afterwards.
 * Without a start nothing happens. */
void takeover_give_stop(struct takeover_give *give);

/* Whether another process has asked, and neither has decided yet. */
bool takeover_give_is_under_way(const struct takeover_give *give);

/* After the loop has closed its handles. */
void takeover_give_close(struct takeover_give *give);

#endif
