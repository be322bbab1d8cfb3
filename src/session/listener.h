/* One listening socket: takes connections one at a time, as the worker has time for strangers. What
 * it does not take waits in the kernel's queue. */
#ifndef POSTERN_SESSION_LISTENER_H
#define POSTERN_SESSION_LISTENER_H

#include "net/poller.h"

#include <stdbool.h>
#include <stddef.h>

struct worker;

struct listener {
    struct poll_handle polled;
    struct worker *worker;
    size_t index; /* of the runtime's listeners */
    bool more;    /* there may be connections to take */
    bool starved; /* they wait for descriptors or memory: see listener_retry */
};

/* Watches a duplicate of `fd`, which is bound and listens. 0 or a libuv code; with a code nothing
 * is left. */
int listener_open(struct listener *l, struct worker *w, size_t index, int fd)
    __attribute__((warn_unused_result));

/* Takes the next connection, or finds it lost. False: there is nothing to take now. */
bool listener_accept(struct listener *l);

/* There may be descriptors and memory again. */
void listener_retry(struct listener *l);

void listener_close(struct listener *l); /* may be called twice */

#endif
