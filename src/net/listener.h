/* One listening socket: gives connections one at a time, when its owner asks. What is not taken
 * waits in the kernel's queue. */
#ifndef POSTERN_NET_LISTENER_H
#define POSTERN_NET_LISTENER_H

#include "core/address.h"
#include "net/poller.h"

#include <stdbool.h>

/* Embedded; the fields are the listener's. */
struct listener {
    struct poll_handle handle;
    struct poller *poller;
    bool more;    /* there may be connections to take */
    bool starved; /* they wait for descriptors or memory, until listener_retry */
};

/* Watches a duplicate of `fd`, which is bound and listens. 0 or a libuv code; with a code nothing
 * is left. */
int listener_open(struct listener *l, struct poller *poller, int fd)
    __attribute__((warn_unused_result));

/* Whether there may be a connection to take. */
bool listener_has_more(const struct listener *l);

/* The same, by a look at the kernel's queue. */
bool listener_is_waited_at(struct listener *l);

/* The next connection: its descriptor, which is non-blocking, closed on exec, and the caller's to
 * close, with its peer in `peer`. Or a libuv code, and `peer` is unchanged:
 *   UV_EAGAIN        there is none now;
 *   UV_ECONNABORTED  this client was lost, the next may be fine;
 *   another code     there are no descriptors or there is no memory: the listener starves. */
int listener_accept(struct listener *l, struct address *peer) __attribute__((warn_unused_result));

/* The owner has no room for what it would take: as if accept had failed. */
void listener_starve(struct listener *l);

/* There may be descriptors and memory again. */
void listener_retry(struct listener *l);

/* What waits in the kernel's queue stays there while another descriptor of the socket is open, here
 * or in another process; with the last one the kernel resets it. May be called twice. */
void listener_close(struct listener *l);

#endif
