/* One listening socket: accepts, and pauses when a turn has brought enough or descriptors run out.
 *
 * While a listener is paused, libuv holds at most one accepted connection for it and stops polling;
 * the kernel's queue holds the rest. */
#ifndef POSTERN_PROXY_LISTENER_H
#define POSTERN_PROXY_LISTENER_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

struct worker;

struct listener {
    uv_tcp_t socket;
    struct worker *worker;
    size_t index; /* of the runtime's listeners */
    unsigned accepted_this_turn;
    bool paused;
    bool starved; /* paused for want of descriptors, not of turns */
};

/* Takes over `fd`, which is bound. 0 or a libuv code; with a code nothing is left and the
 * descriptor is the caller's. */
int listener_open(struct listener *l, struct worker *w, size_t index, int fd)
    __attribute__((warn_unused_result));

/* Goes on after a pause. */
void listener_resume(struct listener *l);

void listener_close(struct listener *l);

#endif
