/* The admin socket: what it answers, and how its thread and the server's reach each other.
 *
 * Requests are served on a thread of its own (http.h), which touches no session: metrics are read
 * from counters, sessions are listed by their workers (sessions_page.h), reloads and the drain are
 * the server's thread's to do. The functions here are for that thread; all accept NULL, which
 * `admin = off` leaves. */
#ifndef POSTERN_SERVER_ADMIN_H
#define POSTERN_SERVER_ADMIN_H

#include "core/error.h"
#include "server/readiness.h"
#include "server/reload.h"
#include "server/socket_file.h"
#include "server/workers.h"
#include "session/limits.h"
#include "session/runtime.h"

#include <uv.h>

struct admin;

/* Borrowed, and to outlive admin_stop; the workers may start later, as long as `readiness` is
 * starting until then. */
struct admin_parts {
    struct workers *workers;
    const struct limits *limits;
    struct backend_table *backends;
    const struct reload *reload;
    const struct readiness *readiness;
    /* On the server's thread. A reload is wanted, whose result goes to admin_finished; the process
     * is to drain, and may be doing so already. */
    void (*on_reload)(void *arg);
    void (*on_drain)(void *arg);
    void *arg;
};

/* Binds the address that the configuration names, unless `given` has it, which is the listening
 * socket of the process that this one takes over from, and is closed if it is of no use. Clients
 * wait until admin_start. 0, with `*admin` NULL for `off`; or -1 with the reason. In both
 * cases what `*admin` then is needs admin_stop, and admin_free once the loop is closed. */
int admin_open(struct admin **admin, const struct config *config, struct socket_given given,
               uv_loop_t *loop, struct error *err) __attribute__((warn_unused_result));

/* The listening socket, from admin_start until admin_stop, for the process that takes over from
 * this one; none for NULL. */
struct socket_given admin_listening(const struct admin *admin);

/* The folder of the unix socket, which is removed there at the end; -1: none. */
int admin_folder(const struct admin *admin);

/* Begins to serve, in whatever sandbox the process is in by then. 0, or -1 with the reason. */
int admin_start(struct admin *admin, const struct admin_parts *parts, struct error *err)
    __attribute__((warn_unused_result));

/* This runtime is in force from now on. */
void admin_use(struct admin *admin, struct runtime *runtime);

/* A reload is complete; see reload_parts.finished. */
void admin_finished(struct admin *admin, const struct error *refusal);

/* No reload will begin any more: those that wait for one get that answer. */
void admin_draining(struct admin *admin);

/* Closes the socket and ends the thread; before the workers are joined and the loop is closed. May
 * be called twice. */
void admin_stop(struct admin *admin);
void admin_free(struct admin *admin);

#endif
