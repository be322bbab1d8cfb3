/* What each client address has open: connections, handshakes under way, and how fast it may open
 * more. An address is what address_client_key makes of it: an IPv4 address, or the /64 of an IPv6
 * one.
 *
 * The table has room for 65,536 addresses (2.5 MB, of which only what is used is touched) and never
 * grows. An address has eight places that it may be in; when all are taken the lightest of them
 * gives way: one with nothing open, else the one with the fewest connections and handshakes, but
 * never to an address that is lighter still. So the heaviest stay listed, which are those that
 * limits are for. An address that is not listed counts as having nothing open.
 *
 * For any thread. Times are milliseconds of one monotonic clock. */
#ifndef POSTERN_SESSION_ADDRESS_TABLE_H
#define POSTERN_SESSION_ADDRESS_TABLE_H

#include "config/types.h"
#include "core/address.h"

#include <stddef.h>
#include <stdint.h>

enum { ADDRESS_TABLE_PLACES = 65536 };

struct address_table;

/* NULL without memory. */
struct address_table *address_table_new(void) __attribute__((warn_unused_result));
void address_table_free(struct address_table *table); /* NULL is fine */

enum address_answer { ADDRESS_ADMITTED, ADDRESS_HAS_TOO_MANY, ADDRESS_IS_TOO_FAST };

/* One more connection of the address: counted until address_table_leave, unless it is refused.
 * `max_connections` 0 and `rate` off: no such limit. A rate of N allows N at once, and after that
 * one in each N-th of its period. */
enum address_answer address_table_enter(struct address_table *table, const struct address *address,
                                        uint64_t now_ms, size_t max_connections,
                                        struct config_rate rate)
    __attribute__((warn_unused_result));
void address_table_leave(struct address_table *table, const struct address *address);

/* A handshake of the address begins or is over. */
void address_table_handshake_begins(struct address_table *table, const struct address *address);
void address_table_handshake_ends(struct address_table *table, const struct address *address);

/* How many are under way. */
size_t address_table_handshakes(struct address_table *table, const struct address *address);

#endif
