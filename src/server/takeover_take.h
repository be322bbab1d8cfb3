/* The new process's part in a takeover: it asks the running Postern for its listening sockets and
 * ticket keys, and notifies it once it serves. */
#ifndef POSTERN_SERVER_TAKEOVER_TAKE_H
#define POSTERN_SERVER_TAKEOVER_TAKE_H

#include "core/error.h"
#include "server/inherited.h"
#include "server/takeover_path.h"
#include "tls/tickets.h"

#include <sys/types.h>
#include <uv.h>

enum takeover_answer {
    TAKEOVER_IS_OURS,  /* the old process has stopped accepting, or ended */
    TAKEOVER_IS_THEIRS /* the old process continues to serve: this one must end */
};

/* Embedded; the fields are takeover_take.c's. The handle is closed with the loop. */
struct takeover_take {
    int fd;                    /* to the old process; -1: there is none */
    int listen_fd;             /* the takeover socket, which came from it; -1: none */
    struct socket_given admin; /* the admin socket */
    pid_t old;                 /* for the log */
    size_t sockets;            /* that came from it */
    uv_poll_t answer;
    void (*answered)(void *arg, enum takeover_answer answer);
    void *arg;
};

void takeover_take_init(struct takeover_take *take);

/* Asks the Postern that listens at the path, and waits for its answers. Adds what it gives to
 * `sockets` and `tickets`. 0 also if there is none, or it ends meanwhile: that is logged, and an
 * ordinary start with what has come follows, so that somebody serves. -1 with the reason if it
 * refuses or does not answer: it continues to serve. */
int takeover_take_ask(struct takeover_take *take, const struct takeover_path *path,
                      struct inherited *sockets, struct tls_tickets *tickets, struct error *err)
    __attribute__((warn_unused_result));

/* Whether an old process waits for takeover_take_serving. */
bool takeover_take_is_under_way(const struct takeover_take *take);

/* This process accepts on every address: says so, and reports what the old one answers. 0, or -1
 * with the reason. */
int takeover_take_serving(struct takeover_take *take, uv_loop_t *loop,
                          void (*answered)(void *arg, enum takeover_answer answer), void *arg,
                          struct error *err) __attribute__((warn_unused_result));

/* The takeover socket, which is the caller's from then on; -1 if none came. */
int takeover_take_listening(struct takeover_take *take);

/* The listening socket of the old process's `admin`, which is the caller's from then on. It may be
 * any descriptor. */
struct socket_given takeover_take_admin(struct takeover_take *take);

/* After the loop has closed its handles. */
void takeover_take_close(struct takeover_take *take);

#endif
