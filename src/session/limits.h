/* Every limit that is counted over all threads of the process, with its counters. All of it is for
 * any thread; a counter is touched when a connection comes, goes, or waits for a step of its
 * handshake, never on the data path. */
#ifndef POSTERN_SESSION_LIMITS_H
#define POSTERN_SESSION_LIMITS_H

#include <stdbool.h>
#include <stddef.h>

struct limits;

/* `max_sessions`: what the limit of open files allows. NULL without memory. */
struct limits *limits_new(size_t listeners, size_t threads, size_t max_sessions)
    __attribute__((warn_unused_result));
void limits_free(struct limits *limits); /* NULL is fine */

/* Whether there are descriptors for one more session. */
bool limits_have_room(const struct limits *limits);

/* A session holds descriptors from its begin until it is freed, and counts against its listener's
 * max_connections from its begin until it ends. */
void limits_session_begins(struct limits *limits, size_t listener);
void limits_session_ends(struct limits *limits, size_t listener);
void limits_session_freed(struct limits *limits);

/* Whether more connections of the listener are open than `max_connections`; 0: no limit. */
bool limits_connections_exceeded(const struct limits *limits, size_t listener,
                                 size_t max_connections);

/* A handshake waits for a step of ours; false if that makes more than `max_handshakes` of the
 * listener. It counts in any case until limits_handshake_leaves. */
bool limits_handshake_waits(struct limits *limits, size_t listener, size_t max_handshakes)
    __attribute__((warn_unused_result));
void limits_handshake_leaves(struct limits *limits, size_t listener);

/* How many handshakes of one listener each thread lets wait for their clients. They cost memory but
 * no time, so there may be four times as many as wait for us; 16 at least. */
size_t limits_max_awaited(const struct limits *limits, size_t max_handshakes);

/* --- for the metrics: how many there are now --- */

size_t limits_sessions(const struct limits *limits);
size_t limits_connections(const struct limits *limits, size_t listener);
size_t limits_handshakes(const struct limits *limits, size_t listener);

#endif
