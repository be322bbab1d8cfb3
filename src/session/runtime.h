/* What one successful load of the configuration made: immutable, counted, swapped whole.
 *
 * A handshake takes the runtime that is current when its ClientHello is complete and keeps it for
 * the session's life. Counters, limits, what is known of backends, and ticket keys outlive every
 * runtime. */
#ifndef POSTERN_SESSION_RUNTIME_H
#define POSTERN_SESSION_RUNTIME_H

#include "broker/backend.h"
#include "broker/dial.h"
#include "config/config.h"
#include "core/error.h"
#include "tls/context.h"
#include "tls/tickets.h"
#include "wire/client_hello.h"

#include <stdatomic.h>
#include <stddef.h>

/* A listener, or one of its routes. */
struct runtime_listener {
    const struct config_listener *config;
    struct tls_context *tls;
    struct backend **backends;       /* config->backend_count; owned by the shared table */
    struct dial_target target;       /* these, with the listener's bounds and sources */
    struct runtime_listener *routes; /* config->route_count, in that order */
};

struct runtime {
    atomic_uint refs;
    struct config *config;
    struct runtime_listener *listeners;  /* config->listener_count, in that order */
    struct tls_ticket_keys *ticket_keys; /* until runtime_commit; NULL: own keys */
};

/* Loads everything that `config` names. Takes `config` in any case. NULL with the reason in `err`;
 * nothing else has changed then (a backend that only this load named stays in the table). */
struct runtime *runtime_load(struct config *config, const struct tls_shared *tls,
                             struct backend_table *backends, struct error *err)
    __attribute__((warn_unused_result));

/* Makes what is process-wide follow this runtime: log level and format, ticket keys. Cannot fail.
 */
void runtime_commit(struct runtime *runtime, const struct tls_shared *tls);

/* The route that a client with this ClientHello gets, from 1; 0: the listener itself. */
size_t runtime_route(const struct runtime *runtime, size_t listener,
                     const struct client_hello *hello);

/* The listener, or the route of that number. */
static inline const struct runtime_listener *runtime_at(const struct runtime *runtime,
                                                        size_t listener, size_t route) {
    const struct runtime_listener *l = &runtime->listeners[listener];
    return route == 0 ? l : &l->routes[route - 1];
}

/* The route of another runtime's listener that has the name of `route`, or the listener itself. */
const struct runtime_listener *runtime_namesake(const struct runtime *runtime, size_t listener,
                                                const struct config_listener *route);

/* Whether a reload may go from `old` to `new`: names and addresses of listeners, and what the
 * process became at its start (workers, user, sandbox), must be the same; routes need not. 0, or -1
 * with the name of what may not change and what to do. */
int runtime_check_successor(const struct runtime *old, const struct runtime *new, struct error *err)
    __attribute__((warn_unused_result));

struct runtime *runtime_ref(struct runtime *runtime);
void runtime_unref(struct runtime *runtime); /* NULL is fine */

/* A newer one is in place everywhere: CAs and CRLs go as soon as no handshake needs them. */
void runtime_retire(struct runtime *runtime);

#endif
