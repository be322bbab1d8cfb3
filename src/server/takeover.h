/* An upgrade without a refused connection: a new process takes the listening sockets, with what
 * waits in their queues, over from the old one (`postern --takeover`).
 *
 * Both have the very same sockets open, so none is ever closed while its clients wait. The order
 * is: the new one loads its configuration; asks the old one over the takeover socket, and gets
 * sockets and ticket keys; binds what is new in its configuration; accepts on all of it; says so.
 * The old one stops accepting, lets clients that came just before reach their broker, and drains.
 * The takeover socket is handed on like the others. takeover_message.h has the protocol.
 *
 * What fails, and who serves then:
 *   the new configuration is unusable         old; it was not asked
 *   nobody listens at the path                new, by an ordinary start
 *   the asking process is another user's,
 *     the versions differ, the old one stops  old; new exits
 *   the new one ends or hangs before it says
 *     that it serves, cannot bind             old
 *   the old one ends before it gave all       new, which binds the rest itself
 *   the old one ends later                    new
 *   the new one is too late                   old; new, which gets a refusal, exits
 * The moment that decides is when the old one reads "serving".
 *
 * Everything here runs on the server's thread. */
#ifndef POSTERN_SERVER_TAKEOVER_H
#define POSTERN_SERVER_TAKEOVER_H

#include "core/error.h"
#include "server/bind.h"
#include "server/inherited.h"
#include "server/takeover_give.h"
#include "server/takeover_path.h"
#include "server/takeover_take.h"
#include "tls/tickets.h"

#include <stdbool.h>
#include <sys/types.h>
#include <uv.h>

/* Called on the loop. */
struct takeover_events {
    void *arg;
    void (*taken)(void *arg, pid_t by); /* another process serves in place of this one */
    void (*refused)(void *arg);         /* the old process continues to serve: end */
};

/* Embedded in struct server; the fields are takeover.c's. The handles are closed with the loop. */
struct takeover {
    struct takeover_path path;
    struct takeover_take take;
    struct takeover_give give;
    int listen_fd; /* -1: none */
    uv_loop_t *loop;
    const struct bound_set *bound;
    struct tls_tickets *tickets;
    struct socket_given admin;
    struct takeover_events events;
};

/* Before anything else here. */
void takeover_init(struct takeover *takeover);

/* For --takeover, before bind_all: takeover_take_ask at the socket `file`, the key `takeover`. */
int takeover_ask(struct takeover *takeover, const char *file, struct inherited *sockets,
                 struct tls_tickets *tickets, struct error *err)
    __attribute__((warn_unused_result));

/* After bind_all: makes the takeover socket, unless the old process has given it; nothing if `file`
 * is NULL. 0, or -1 with the reason. */
int takeover_listen(struct takeover *takeover, const char *file, struct error *err)
    __attribute__((warn_unused_result));

/* The workers accept. Notifies the old process, if there is one; then, or once that has answered,
 * accepts takeovers of this one. `bound`, `tickets` and `admin` are borrowed. 0, or -1 with the
 * reason. */
int takeover_serve(struct takeover *takeover, uv_loop_t *loop, const struct bound_set *bound,
                   struct tls_tickets *tickets, struct socket_given admin,
                   struct takeover_events events, struct error *err)
    __attribute__((warn_unused_result));

/* This process stops accepting clients: no takeover begins any more, and the file goes, unless it
 * belongs to another process. May be called twice. */
void takeover_stop(struct takeover *takeover);

/* Whether another process has asked, and will serve or fail; it needs `bound` until then. */
bool takeover_is_under_way(const struct takeover *takeover);

/* After the loop has closed its handles. */
void takeover_close(struct takeover *takeover);

#endif
