/* Who makes room where places are scarce: a client that has sent nothing for the broker yet. In
 * this order: one that has not sent a byte, one whose ClientHello is not whole, one whose answer
 * the handshake waits for, one that has finished it and sent nothing (or no whole CONNECT packet).
 *
 * Of each kind it is the one that has waited longest, or of the last two one whose address has the
 * most handshakes. In a burst everybody waits for a moment, so only clients go that have waited for
 * a second. Their sockets are closed at once. The functions look at a bounded number of sessions,
 * and only at those of this pool. */
#ifndef POSTERN_SESSION_EVICTION_H
#define POSTERN_SESSION_EVICTION_H

#include "core/list.h"

#include <stdbool.h>
#include <stddef.h>

struct pool;
struct session;

/* True if one went: for a descriptor also one that has ended and waits for its client to close, of
 * those without a broker's connection the oldest; before all others. */
bool eviction_from_pool(struct pool *pool);
bool eviction_from_listener(struct pool *pool, size_t listener);

/* One with the address of `s`, and not `s` itself, that counts against that address: of the clients
 * that have waited longest, if they are very many. */
bool eviction_of_address(const struct session *s);

/* How busy a client's address is where there are more than max_handshakes: how many it has under
 * way, or 0 where these are few, one in 16 of max_handshakes. An address with five devices is not
 * to go because very many others have one each. */
size_t eviction_load(const struct session *s);

/* Of a list that has about `count` entries, the oldest first, the one of that listener whose
 * address is the busiest, and its load; the oldest of several; NULL if there is none. Not `except`.
 * If the list is long, 64 of its entries are looked at, evenly spread over the 1,024 that are
 * oldest: an address that has a large part of them is among them, wherever it stands. */
struct session *eviction_find_busiest(struct list *list, size_t count, size_t listener,
                                      const struct session *except, size_t *load);

#endif
