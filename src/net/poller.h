/* Which sockets of one thread have something to report, edge-triggered.
 *
 * An event reports once that something has become possible. Its receiver remembers that until a
 * call on the socket returns EAGAIN, or transfers less than was asked for, which means the same
 * (epoll(7)). So pausing and resuming cost no system call.
 *
 * epoll appears in poller.c alone; kqueue with EV_CLEAR has the same semantics. */
#ifndef POSTERN_NET_POLLER_H
#define POSTERN_NET_POLLER_H

#include <stdbool.h>
#include <stdint.h>

enum poller_event {
    POLLER_READABLE = 1, /* reading gives bytes, the end or an error */
    POLLER_WRITABLE = 2, /* a connect is complete or failed; or there is room to send again */
    POLLER_HANGUP = 4,   /* the peer's FIN is here: after what can be read comes the end */
    POLLER_ERROR = 8     /* the socket has an error; reported whether it was asked for or not */
};

struct poller;

/* A descriptor and whom to notify. Embedded in what it belongs to, which is found with
 * container_of. The fields are the poller's, except that the owner sets `fd` and `on_ready` before
 * poller_watch, with `watched` zero, and may read `fd`. */
struct poll_handle {
    int fd;           /* -1: none */
    unsigned watched; /* the events it is registered for; 0: it is not registered */
    void (*on_ready)(struct poll_handle *handle, unsigned events);
};

/* `*status` is 0 or a libuv code; NULL with a code. */
struct poller *poller_new(int *status) __attribute__((warn_unused_result));
void poller_free(struct poller *p); /* NULL is fine; the watched descriptors stay their owners' */

/* Readable while any watched descriptor has something to report. Level-triggered. */
int poller_fd(const struct poller *p);

/* Reports `events` of the handle from now on, what is possible already too. POLLER_HANGUP comes
 * with POLLER_READABLE. Called again it changes what is reported. After
 * poll_handle_move it reports the descriptor to its new handle. 0 or a libuv code. */
int poller_watch(struct poller *p, struct poll_handle *handle, unsigned events)
    __attribute__((warn_unused_result));

/* Calls `on_ready` of what has something to report now, 64 of them at most, which takes less than a
 * millisecond where they relay MQTT messages; poller_fd stays readable for the rest. A callback may
 * close any of the others, which are then not called any more, but whose memory must stay until
 * this returns. The handle that is being called may be freed within its own call, once its
 * descriptor is closed or has moved. */
void poller_dispatch(struct poller *p);

/* Moves the descriptor of `from`, which has none afterwards. While the poller watches it,
 * poller_watch must be called for `into` before the next event. */
static inline void poll_handle_move(struct poll_handle *from, struct poll_handle *into) {
    into->fd = from->fd;
    into->watched = from->watched;
    from->fd = -1;
    from->watched = 0;
}

/* Reports nothing of the handle any more; its descriptor stays open. For a descriptor whose file is
 * open under another number as well, in this process or another: closing the descriptor alone
 * leaves such a file in the set (epoll(7)). */
void poller_unwatch(struct poller *p, struct poll_handle *handle);

/* Closes the descriptor, if there is one. */
void poll_handle_close(struct poll_handle *handle);

#endif
