/* Which sockets of one thread have something to tell: epoll, edge by edge.
 *
 * With EPOLLET an event tells once that something has become possible. Whoever is told remembers it
 * until a call on the socket says EAGAIN, or transfers less than was asked for, which means the
 * same (epoll(7)). So to pause and to go on costs no system call. */
#ifndef POSTERN_NET_POLLER_H
#define POSTERN_NET_POLLER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

/* More are left for the next turn: with messages of MQTT it is over within a millisecond. */
enum { POLLER_EVENTS = 64 };

struct poller {
    int fd;
    int count; /* of the events to be told */
    struct epoll_event events[POLLER_EVENTS];
};

/* A descriptor and whom to tell. Embedded in what it belongs to, which is found with container_of.
 */
struct poll_handle {
    int fd;         /* -1: none */
    uint32_t asked; /* the events it is registered for; 0: it is not */
    void (*on_ready)(struct poll_handle *polled, uint32_t events);
};

/* All results: 0 or a libuv code. */

int poller_open(struct poller *p) __attribute__((warn_unused_result));
void poller_close(struct poller *p);

/* Tells of `events` (EPOLLIN, EPOLLET, ...) from now on, of what is possible already too. Asked
 * again it changes what is told; a descriptor that has moved to another `struct poll_handle`, with
 * its `asked`, goes on under that one. */
int poller_watch(struct poller *p, struct poll_handle *polled, uint32_t events)
    __attribute__((warn_unused_result));

/* Waits for up to `timeout_ms` (-1: as long as it takes). */
void poller_wait(struct poller *p, int timeout_ms);

/* Calls the `on_ready` of all that had something then. These may close any of the others, which are
 * not called any more then, but whose memory must stay until poller_dispatch returns. The one that
 * is being called may be freed within its own call, once its descriptor is closed or has moved. */
void poller_dispatch(struct poller *p);

/* Closes the descriptor, if there is one. */
void poll_handle_close(struct poll_handle *polled);

#endif
