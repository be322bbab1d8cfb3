/* Local addresses that connections to brokers start from.
 *
 * A local address has about 28,000 ports for one address of a broker (proc(5):
 * ip_local_port_range), and half of them are found quickly (ports.h). To a broker on loopback all
 * of 127.0.0.0/8 can be used; for others a listener names its addresses (backend_source). Pure
 * functions. */
#ifndef POSTERN_BROKER_SOURCE_H
#define POSTERN_BROKER_SOURCE_H

#include "config/types.h"
#include "core/address.h"

#include <stddef.h>

/* How many sources there are for a connection to that address, at least 1. Of the configured ones
 * those of its family count; without any the system chooses, and on loopback of IPv4 there are
 * further ones, 127.0.0.2 and so on. */
size_t source_count(const struct config_sources *configured, const struct address *to);

/* One of them, with port 0; ADDRESS_NONE: the system chooses. */
struct address source_at(const struct config_sources *configured, const struct address *to,
                         size_t index);

#endif
