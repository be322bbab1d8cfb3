/* Where the brokers are: resolve, choose, dial, remember what is down.
 *
 * `struct backend` is what the whole process knows about one broker: it outlives runtimes and is
 * shared by all workers. `struct dialer` is one worker's part: its lookups under way and its
 * probes. `struct dial` is one attempt of one session to reach the first of its backends that
 * answers.
 *
 * Names are resolved without blocking the loop, kept 10 s, and anew after a failure. A backend none
 * of whose addresses takes a connection is down: it is passed over, and one worker probes it once a
 * second until it is back. */
#ifndef POSTERN_PROXY_BACKEND_H
#define POSTERN_PROXY_BACKEND_H

#include "base/config.h"
#include "proxy/link.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct backend;
struct backend_table;

struct backend_table *backend_table_new(void) __attribute__((warn_unused_result));
void backend_table_free(struct backend_table *table); /* NULL is fine; no runtime may be left */

/* The process's one record of that broker, found by its text or made. NULL without memory. Each get
 * needs a put; a backend that no runtime names is no longer probed. Any thread. */
struct backend *backend_get(struct backend_table *table, const struct config_backend *config)
    __attribute__((warn_unused_result));
void backend_put(struct backend *backend); /* NULL is fine */

const char *backend_text(const struct backend *backend); /* as configured: "127.0.0.1:1883" */
bool backends_all_down(struct backend *const *backends, size_t count);

/* A stream of either kind, as libuv wants them. */
union stream {
    uv_handle_t handle;
    uv_stream_t stream;
    uv_tcp_t tcp;
    uv_pipe_t pipe;
};

struct dialer {
    uv_loop_t *loop;
    struct link lookups;
    struct link probes;
    bool closing;
};

void dialer_init(struct dialer *dialer, uv_loop_t *loop);
/* These backends were found to be all down: sees to it that each is probed. */
void dialer_look_after(struct dialer *dialer, struct backend *const *backends, size_t count);
/* Ends lookups and probes; the loop must run on until their handles are closed. */
void dialer_close(struct dialer *dialer);

enum { DIAL_ADDRESSES = 4 };

struct dial {
    struct dialer *dialer;
    union stream *stream;
    void (*done)(struct dial *dial, int status);
    uv_close_cb on_closed;
    struct backend *const *backends;
    size_t backend_count, backend; /* the one being tried, or that took the connection */
    size_t address_count, address;
    int status;        /* of the last attempt */
    bool even_if_down; /* a probe */
    enum { DIAL_IDLE, DIAL_RESOLVING, DIAL_CONNECTING, DIAL_CLOSING } state;
    struct link waiting; /* in a lookup's list */
    uv_connect_t request;
    struct sockaddr_in6 addresses[DIAL_ADDRESSES];
};

/* Dials the backends in order, leaving out those known to be down (all of them if all are). Calls
 * `done` once, perhaps before it returns: with 0, and `stream` is a connected libuv stream; or with
 * the libuv code of the last failure, and `stream` is not open. `stream`, `dial` and `backends`
 * belong to the caller and stay until then. While dialling, stream->handle.data is the dial's. */
void dial_start(struct dial *dial, struct dialer *dialer, union stream *stream,
                struct backend *const *backends, size_t count,
                void (*done)(struct dial *dial, int status));

/* The attempt under way has taken too long: on to the next address or backend. */
void dial_expire(struct dial *dial);

/* Gives up; `done` is not called any more. True: `stream` is being closed and `on_closed` will be
 * called with it; `dial` must stay until then. False: there is nothing to wait for. */
bool dial_cancel(struct dial *dial, uv_close_cb on_closed) __attribute__((warn_unused_result));

#endif
