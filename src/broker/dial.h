/* Reaching a broker: one attempt through the addresses of the backends that are up.
 *
 * `struct dialer` is what the dials of one thread share; everything here is for that thread alone.
 * A backend none of whose addresses accepts a connection is marked down (backend_mark_down), and
 * dials skip it until it is up again; it is reported by dialer_on_down, so that it can be probed
 * (probe.h).
 */
#ifndef POSTERN_BROKER_DIAL_H
#define POSTERN_BROKER_DIAL_H

#include "broker/backend.h"
#include "broker/lookup.h"
#include "core/address.h"
#include "net/poller.h"

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

/* Embedded in what owns the thread's loop; the fields are dial.c's. */
struct dialer {
    uv_loop_t *loop;
    struct poller *poller;
    struct lookups lookups;
    void (*on_down)(void *arg, struct backend *backend);
    void *on_down_arg;
};

/* `loop` and `poller` are the caller's and must outlive the dialer. */
void dialer_init(struct dialer *dialer, uv_loop_t *loop, struct poller *poller);

/* Sets what is called for each backend that a dial finds down, or skips because it is. */
void dialer_on_down(struct dialer *dialer, void (*on_down)(void *arg, struct backend *backend),
                    void *arg);

/* Cancels the lookups; the loop must run until they are over. No dial may be under way. */
void dialer_close(struct dialer *dialer);

/* Embedded in what needs a broker and found again with container_of. The fields are dial.c's;
 * others use the functions below. */
struct dial {
    struct poll_handle handle; /* the socket under way */
    struct dialer *dialer;
    void (*done)(struct dial *dial, int status);
    struct backend *const *backends;
    size_t backend_count, backend; /* the one being tried, or that accepted the connection */
    struct address addresses[BACKEND_ADDRESSES]; /* of that backend */
    size_t address_count, address;
    int status;        /* of the last attempt */
    bool even_if_down; /* all were down when it began */
    enum { DIAL_IDLE, DIAL_RESOLVING, DIAL_CONNECTING } state;
    struct lookup_waiter waiter;
};

/* Dials the backends in order, leaving out those known to be down (none if all are). Calls `done`
 * once, perhaps before it returns: with 0, and the caller takes the connected socket with dial_take
 * before `done` returns; or with the libuv code of the last failure. `dial` and `backends` belong
 * to the caller and stay until then; `done` may free the dial, but see dial_cancel. */
void dial_start(struct dial *dial, struct dialer *dialer, struct backend *const *backends,
                size_t count, void (*done)(struct dial *dial, int status));

/* Within `done` and with its status 0: the index of the backend that accepted the connection. */
size_t dial_backend(const struct dial *dial);

/* Moves the connected socket to another `struct poll_handle`, which keeps its own on_ready and is
 * to be watched or closed at once: until then the poller reports to the dial's. */
void dial_take(struct dial *dial, struct poll_handle *into);

/* The attempt under way has taken too long, which the caller alone decides: counts as a failure
 * with UV_ETIMEDOUT, and the next address or backend is tried. May call `done`. Nothing happens if
 * no attempt is under way. */
void dial_expire(struct dial *dial);

/* Gives up; `done` is not called any more. Nothing happens to one that is over, or was never
 * started if zeroed. The memory must stay until poller_dispatch has returned. */
void dial_cancel(struct dial *dial);

bool dial_is_under_way(const struct dial *dial);

#endif
