/* Names of brokers: resolved without blocking the loop, once for all dials of a thread that wait
 * for the same name.
 *
 * libuv calls getaddrinfo(3) on its thread pool. What it finds is kept with the backend
 * (backend_addresses), for all threads. */
#ifndef POSTERN_BROKER_LOOKUP_H
#define POSTERN_BROKER_LOOKUP_H

#include "broker/backend.h"
#include "core/address.h"
#include "core/list.h"

#include <stddef.h>
#include <uv.h>

/* The lookups of one thread. Embedded in struct dialer; the fields are lookup.c's. */
struct lookups {
    uv_loop_t *loop;
    struct list under_way;
};

/* What waits for a lookup. Embedded in struct dial, which sets `done` and calls list_init on `link`
 * once; the link is lookup.c's while it waits. `done` is called once, on the loop, with 0 and at
 * least one address, which are valid during the call, or with a libuv code. It may cancel other
 * waiters. */
struct lookup_waiter {
    struct list link;
    void (*done)(struct lookup_waiter *waiter, int status, const struct address *addresses,
                 size_t count);
};

void lookups_init(struct lookups *lookups, uv_loop_t *loop);

/* Waits for the lookup of this backend's host, which is started unless one is under way. 0, or a
 * libuv code, and `done` will not be called. The backend must be one with a host. */
int lookup_wait(struct lookups *lookups, struct backend *backend, struct lookup_waiter *waiter)
    __attribute__((warn_unused_result));

/* `done` is not called any more; the lookup itself continues. Nothing happens to a waiter that does
 * not wait. */
void lookup_cancel(struct lookup_waiter *waiter);

/* Cancels what can be; the loop must run until the rest is over. */
void lookups_close(struct lookups *lookups);

#endif
