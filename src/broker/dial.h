/* Reaching a broker: one attempt through the addresses of the backends that are up.
 *
 * `struct dialer` is what the dials of one thread share; everything here is for that thread alone.
 * A dial first takes its place at a backend (dial_limit.h), and waits in order if there is none
 * (dial_queue.h). What its attempts show decides on the backend's state: one whose addresses refuse
 * connections is marked down (backend_mark_down), one that does not answer only when that happens
 * again and again. Dials skip a backend that is down. Where all are down they wait until one is up:
 * a broker that restarts is away for a second or two. A backend that is down is reported by
 * dialer_on_down, so that it can be probed (probe.h).
 */
#ifndef POSTERN_BROKER_DIAL_H
#define POSTERN_BROKER_DIAL_H

#include "broker/backend.h"
#include "broker/dial_queue.h"
#include "broker/lookup.h"
#include "config/types.h"
#include "core/address.h"
#include "core/list.h"
#include "net/poller.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

/* Called for each backend that a dial finds down, or skips because it is. The sources are valid
 * during the call. */
typedef void dialer_down_callback(void *arg, struct backend *backend,
                                  const struct config_sources *sources);

/* Embedded in what owns the thread's loop; the fields are dial.c's. */
struct dialer {
    uv_loop_t *loop;
    struct poller *poller;
    struct lookups lookups;
    struct dial_queue queue;
    struct list waiting_for_any; /* dials whose backends are all down */
    uint64_t tick_ms;            /* when what waits is looked at; UINT64_MAX: nothing waits */
    bool has_more;               /* some of the queue have their turn and continue in the next */
    dialer_down_callback *on_down;
    void *on_down_arg;
};

/* `loop` and `poller` are the caller's and must outlive the dialer. */
void dialer_init(struct dialer *dialer, uv_loop_t *loop, struct poller *poller);

void dialer_on_down(struct dialer *dialer, dialer_down_callback *on_down, void *arg);

/* When dialer_on_time must be called, on the loop's clock; UINT64_MAX: not at all. */
uint64_t dialer_next_ms(const struct dialer *dialer);

/* Continues the dials whose turn has come; calls their `done`. */
void dialer_on_time(struct dialer *dialer);

/* Cancels the lookups; the loop must run until they are over. No dial may be under way. */
void dialer_close(struct dialer *dialer);

/* Where a dial goes to, and how. */
struct dial_target {
    struct backend *const *backends; /* in order */
    size_t backend_count;
    const struct config_dials *bounds; /* NULL: this dial neither waits nor counts */
    const struct config_sources *sources;
    bool even_if_down; /* a probe: it tries them and does not wait for them */
};

/* Embedded in what needs a broker and found again with container_of. The fields are dial.c's;
 * others use the functions below. */
struct dial {
    struct poll_handle handle; /* the socket under way */
    struct dialer *dialer;
    void (*done)(struct dial *dial, int status);
    const struct dial_target *target;
    size_t backend; /* index: the one being tried, or that accepted the connection */
    struct address addresses[BACKEND_ADDRESSES]; /* of that backend */
    size_t address_count, address;
    int status;        /* of the last attempt */
    int queue_status;  /* why it is in the queue */
    uint64_t began_ms; /* the lookup or attempt under way */
    bool counted;      /* under way in the backend's limit */
    bool has_waited;   /* and its time limit is to begin anew */
    bool expired;      /* once: it waits for no backend any more */
    enum { DIAL_IDLE, DIAL_DOWN, DIAL_QUEUED, DIAL_RESOLVING, DIAL_CONNECTING } state;
    struct list any; /* in waiting_for_any */
    struct dial_waiter queued;
    struct lookup_waiter waiter;
};

/* Dials the backends in order, leaving out those known to be down. Calls `done` once, perhaps
 * before it returns: with 0, and the caller takes the connected socket with dial_take before `done`
 * returns; or with a libuv code: that of the last failure, UV_EBUSY if its turn did not come
 * (bounds), UV_EAGAIN if a unix socket's queue was full all the time, UV_EADDRNOTAVAIL if no local
 * port is left. `dial` and all that `target` names belong to the caller and stay until then; `done`
 * may free the dial, but see dial_cancel. */
void dial_start(struct dial *dial, struct dialer *dialer, const struct dial_target *target,
                void (*done)(struct dial *dial, int status));

/* Within `done` and with its status 0: the index of the backend that accepted the connection. */
size_t dial_backend(const struct dial *dial);

/* Moves the connected socket to another `struct poll_handle`, which keeps its own on_ready and is
 * to be watched or closed at once: until then the poller reports to the dial's. */
void dial_take(struct dial *dial, struct poll_handle *into);

/* The wait or attempt under way has taken too long, which the caller alone decides: the next
 * address or backend is tried. May call `done`. An attempt that began after a wait gets the time
 * once more, so that the first call during it does nothing; nor does a call while nothing is under
 * way. */
void dial_expire(struct dial *dial);

/* The client has closed its side, but the broker must still get what it sent: the dial goes on, and
 * while it waits for its turn (max_dials), the other dials of its thread go first. */
void dial_yield(struct dial *dial);

/* Gives up, and leaves any queue at once; `done` is not called any more. Nothing happens to one
 * that is over, or was never started if zeroed. The memory must stay until poller_dispatch has
 * returned. */
void dial_cancel(struct dial *dial);

bool dial_is_under_way(const struct dial *dial);

#endif
