/* Reaching a broker: resolve, choose, connect, and probe those that are down.
 *
 * `struct dialer` is one worker's part: its lookups under way and its probes. `struct dial` is one
 * attempt of one session or probe to reach the first of its backends that answers. Names are
 * resolved without blocking the loop. A backend none of whose addresses takes a connection is down:
 * it is passed over, and one worker probes it once a second until it is back. */
#ifndef POSTERN_BROKER_DIAL_H
#define POSTERN_BROKER_DIAL_H

#include "broker/backend.h"
#include "core/address.h"
#include "core/list.h"
#include "net/poller.h"

#include <uv.h>

struct dialer {
    uv_loop_t *loop; /* for names and for the probes' clock */
    struct poller *poller;
    struct list lookups;
    struct list probes;
    bool closing;
};

void dialer_init(struct dialer *dialer, uv_loop_t *loop, struct poller *poller);
/* These backends were found to be all down: sees to it that each is probed. */
void dialer_look_after(struct dialer *dialer, struct backend *const *backends, size_t count);
/* Ends lookups and probes; the loop must run on until their handles are closed. */
void dialer_close(struct dialer *dialer);

struct dial {
    struct poll_handle polled; /* the socket under way */
    struct dialer *dialer;
    void (*done)(struct dial *dial, int status);
    struct backend *const *backends;
    size_t backend_count, backend; /* the one being tried, or that took the connection */
    size_t address_count, address;
    int status;        /* of the last attempt */
    bool even_if_down; /* a probe, or all are down */
    enum { DIAL_IDLE, DIAL_RESOLVING, DIAL_CONNECTING } state;
    struct list waiting; /* in a lookup's list */
    struct address addresses[BACKEND_ADDRESSES];
};

/* Dials the backends in order, leaving out those known to be down (all of them if all are). Calls
 * `done` once, perhaps before it returns: with 0, and the connected socket is to be taken with
 * dial_take at once; or with the libuv code of the last failure. `dial` and `backends` belong to
 * the caller and stay until then; `done` may free the dial. */
void dial_start(struct dial *dial, struct dialer *dialer, struct backend *const *backends,
                size_t count, void (*done)(struct dial *dial, int status));

/* Moves the connected socket to another `struct poll_handle`, which keeps its own on_ready, and is
 * to be watched at once: until then the poller tells this one. */
void dial_take(struct dial *dial, struct poll_handle *into);

/* The attempt under way has taken too long: on to the next address or backend. */
void dial_expire(struct dial *dial);

/* Gives up; `done` is not called any more. One that was never started is fine, if zeroed. The
 * memory must stay until poller_dispatch has returned. */
void dial_cancel(struct dial *dial);

#endif
