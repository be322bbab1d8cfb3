/* Listening sockets that this process did not open itself: those that the service manager passes
 * (of a socket unit, or stored there by an earlier run), and those of the Postern that it takes
 * over. bind_all takes out the ones that the configuration names.
 *
 * One address may come several times: a Postern with several workers has a socket for each
 * (SO_REUSEPORT). Each of them has a queue of its own, so that all must be served: what waits in
 * the queue of a socket that is closed is reset by the kernel. */
#ifndef POSTERN_SERVER_INHERITED_H
#define POSTERN_SERVER_INHERITED_H

#include "core/address.h"
#include "core/error.h"

#include <stdbool.h>
#include <stddef.h>

enum inherited_from {
    INHERITED_UNIT,  /* a socket unit's; it stays open in the manager */
    INHERITED_STORE, /* what an earlier run of the service gave the manager to keep */
    INHERITED_TAKEN  /* from the Postern that is taken over */
};

/* Filled here; bind.c takes sockets out by setting `fd` to -1. */
struct inherited_socket {
    int fd; /* -1: taken out */
    enum inherited_from from;
    bool port_chosen; /* by the system, as `listen` had port 0 */
    struct address address;
};

/* Zeroed is empty. It owns the descriptors that are in it. */
struct inherited {
    struct inherited_socket *all;
    size_t count;
};

/* Adds a descriptor, which it owns from then on. One that is not a listening TCP socket is closed
 * and left out, except a unit's, which inherited_close counts. 0, or -1 without memory. */
int inherited_add(struct inherited *set, int fd, enum inherited_from from, bool port_chosen,
                  struct error *err) __attribute__((warn_unused_result));

/* Adds what the service manager passes. Once in a process. */
int inherited_add_passed(struct inherited *set, struct error *err)
    __attribute__((warn_unused_result));

/* Closes what nobody has taken out, and empties the set. With `forget` the manager closes what it
 * stored of it, too: clients would wait in a queue that nobody serves. Returns how many of a socket
 * unit were left: the manager has these open, and their clients wait, which the administrator must
 * know. */
size_t inherited_close(struct inherited *set, bool forget);

#endif
