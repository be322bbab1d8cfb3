/* Admission of clients: who is accepted, who makes room, and who may stay after a reload. */
#ifndef POSTERN_SESSION_ADMISSION_H
#define POSTERN_SESSION_ADMISSION_H

#include "session/phase.h"
#include "session/runtime.h"

#include <stdbool.h>

struct pool;

/* What is known of a client before its first TLS byte: its address (allow, deny, and the limits for
 * an address), max_connections, and the state of the backends. At accept, or once its balancer's
 * header is read. */
enum verdict admission_check(struct session *s) __attribute__((warn_unused_result));

/* Whether the peer of a new connection is one of accept_proxy's balancers. */
bool admission_is_balancer(const struct session *s);

/* Whether there are descriptors for one more session, after a client that is silent or awaited has
 * made room if need be. */
bool admission_make_room(struct pool *pool) __attribute__((warn_unused_result));

/* Ends the oldest silent client of this pool; if there is none that has been silent for a second, a
 * handshake that waits for its client, of the address that has the most. True if one went. */
bool admission_evict(struct pool *pool);

/* The ClientHello is whole: the session's handshake begins, and its first step is queued. Beyond
 * max_handshakes one of the address that has the most handshakes under way ends instead, be it this
 * one. */
enum verdict admission_begin_handshake(struct session *s) __attribute__((warn_unused_result));

/* A further step can be made: counts the session and queues it for the scheduler. A session whose
 * handshake has begun is not refused any more. */
void admission_queue_handshake(struct session *s);

/* All that the client sent is used up. Another session that waits for its client may end to make
 * room: of those that have waited longest, one of the address with the most handshakes. */
void admission_await_client(struct session *s);

/* A reload: takes the reference to `next`, which is current from now on, and ends the sessions
 * whose certificate it revokes or does not allow any more, where it asks for that
 * (revoked_sessions). */
void admission_adopt(struct pool *pool, struct runtime *next);

#endif
