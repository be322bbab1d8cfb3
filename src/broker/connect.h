/* One attempt to connect to one address of a broker, or to its unix socket. */
#ifndef POSTERN_BROKER_CONNECT_H
#define POSTERN_BROKER_CONNECT_H

#include "broker/backend.h"
#include "config/types.h"
#include "core/address.h"
#include "net/poller.h"

#include <stdint.h>

struct connect_target {
    struct backend *backend;
    const struct address *address; /* of that backend; not read if it is a unix socket */
    const struct config_sources *sources;
    uint64_t now_ms;
};

/* Opens a socket in `handle`, which has none, and connects it. CONNECT_DONE: it is connected; 0:
 * the poller reports to `on_ready` once it is, or failed (SO_ERROR); or a libuv code, and no socket
 * is left. UV_EADDRNOTAVAIL: no source address can be used or has a free port, which was logged.
 * UV_ENETUNREACH, among others: there is no IPv6 here. */
enum { CONNECT_DONE = 1 };
int connect_begin(struct poll_handle *handle, struct poller *poller,
                  const struct connect_target *target,
                  void (*on_ready)(struct poll_handle *handle, unsigned events))
    __attribute__((warn_unused_result));

#endif
