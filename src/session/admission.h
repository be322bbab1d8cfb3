/* Who may come in, who makes room, and who may stay after a reload. */
#ifndef POSTERN_SESSION_ADMISSION_H
#define POSTERN_SESSION_ADMISSION_H

#include "session/phase.h"
#include "session/runtime.h"

#include <stdbool.h>

struct pool;

/* max_connections and the state of the backends, for the client at `client_addr`: at accept, or
 * once its balancer's header is read. */
enum verdict admission_check(struct session *s) __attribute__((warn_unused_result));

/* Whether the peer of a new connection is one of accept_proxy's balancers. */
bool admission_is_balancer(const struct session *s);

/* Whether there are descriptors for one more session, after the oldest silent client has made room
 * if need be. */
bool admission_make_room(struct pool *pool) __attribute__((warn_unused_result));

/* Ends the oldest silent client of this pool, unless it has only just come. True if one went. */
bool admission_evict_silent(struct pool *pool);

/* A step of the handshake can be made: counts the session and queues it for the scheduler. A
 * session that was awaited is never refused; a new one is, beyond max_handshakes. */
enum verdict admission_queue_handshake(struct session *s) __attribute__((warn_unused_result));

/* All that the client sent is used up. The session that has waited longest for its client may end
 * to make room; it is never this one. */
void admission_await_client(struct session *s);

/* Whether that runtime's CRL lists the client's certificate. The handshake is complete. */
bool admission_is_revoked(const struct session *s, const struct runtime *by);

/* A reload: takes the reference to `next`, which is current from now on, and ends the sessions
 * whose certificate it revokes, where it asks for that (revoked_sessions). */
void admission_adopt(struct pool *pool, struct runtime *next);

#endif
