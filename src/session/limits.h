/* Limits on clients that are counted over all threads of the process, with their counters (those on
 * connections to the broker are in broker/dial_limit.h). All of it is for any thread; a counter is
 * touched when a connection comes, goes, or waits for a step of its handshake, never on the data
 * path. */
#ifndef POSTERN_SESSION_LIMITS_H
#define POSTERN_SESSION_LIMITS_H

#include "config/types.h"
#include "core/address.h"
#include "core/reason.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct limits;

/* `max_sessions`: what the limit of open files allows. NULL without memory. */
struct limits *limits_new(size_t listeners, size_t threads, size_t max_sessions)
    __attribute__((warn_unused_result));
void limits_free(struct limits *limits); /* NULL is fine */

/* Whether there are descriptors for one more session. */
bool limits_have_room(const struct limits *limits);

/* One thread at a time makes room for a client, so that one place that is missing costs one
 * session: false if another does so now. */
bool limits_begin_making_room(struct limits *limits) __attribute__((warn_unused_result));
void limits_end_making_room(struct limits *limits);

/* Whether a thread that cannot make room may ask the others: not all at the same time, as what one
 * is given may be enough. */
bool limits_may_ask_for_room(struct limits *limits, uint64_t now_ms)
    __attribute__((warn_unused_result));

/* A session holds descriptors from its begin until it is freed, and counts against its listener's
 * max_connections from its begin until it ends. It begins as a newcomer, and is one until its
 * client has said something for the broker, or is gone. */
void limits_session_begins(struct limits *limits, size_t listener);
void limits_session_ends(struct limits *limits, size_t listener);
void limits_session_freed(struct limits *limits);
void limits_newcomer_leaves(struct limits *limits, size_t listener);

/* Whether the listener's limits for an address (max_connections_per_address and
 * new_connections_per_address) allow one more connection of it: REASON_NONE, and it counts until
 * limits_address_leaves; or the reason of the refusal. The same address counts over all listeners.
 */
enum reason limits_address_enters(struct limits *limits, const struct address *address,
                                  uint64_t now_ms, const struct config_listener *config)
    __attribute__((warn_unused_result));
void limits_address_leaves(struct limits *limits, const struct address *address);

/* Handshakes of an address, from the ClientHello until the client has said something for the
 * broker: its share counts when places are scarce. */
void limits_address_handshake_begins(struct limits *limits, const struct address *address);
void limits_address_handshake_ends(struct limits *limits, const struct address *address);
size_t limits_address_handshakes(const struct limits *limits, const struct address *address);

/* Whether more connections of the listener are open than `max_connections`; 0: no limit. */
bool limits_connections_exceeded(const struct limits *limits, size_t listener,
                                 size_t max_connections);

/* Whether there are places for one more, of `max_connections`. */
bool limits_have_place(const struct limits *limits, size_t listener, size_t max_connections);

/* A handshake waits for a step of ours, until limits_handshake_leaves. */
void limits_handshake_waits(struct limits *limits, size_t listener);
void limits_handshake_leaves(struct limits *limits, size_t listener);

/* Whether more handshakes of the listener wait for us than `max_handshakes`. */
bool limits_handshakes_exceeded(const struct limits *limits, size_t listener,
                                size_t max_handshakes);

/* How many handshakes of one listener each thread lets wait for their clients. They cost memory but
 * no time, so there may be four times as many as wait for us; 16 at least. */
size_t limits_max_awaited(const struct limits *limits, size_t max_handshakes);

/* Whether the `session end` line of a session that ended normally may be written now, by the
 * listener's session_log (`rate` off: always); if so, `*suppressed` is how many before it were not
 * and have not been reported. */
bool limits_end_may_be_logged(struct limits *limits, size_t listener, uint64_t now_ms,
                              struct config_rate rate, uint64_t *suppressed)
    __attribute__((warn_unused_result));

/* How many were not since the last line that was; to be reported by the caller. */
uint64_t limits_take_suppressed_ends(struct limits *limits, size_t listener)
    __attribute__((warn_unused_result));

/* --- how many there are now, for the metrics and for tests --- */

size_t limits_max_sessions(const struct limits *limits); /* as of limits_new */
size_t limits_sessions(const struct limits *limits);
/* About the most there were at one time since limits_forget_most, or ever. */
size_t limits_most_sessions(const struct limits *limits);
void limits_forget_most(struct limits *limits);
size_t limits_connections(const struct limits *limits, size_t listener);
size_t limits_newcomers(const struct limits *limits, size_t listener);
size_t limits_handshakes(const struct limits *limits, size_t listener);

#endif
