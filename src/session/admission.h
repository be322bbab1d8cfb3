/* Admission of clients: who is accepted, who makes room, and who may stay after a reload. */
#ifndef POSTERN_SESSION_ADMISSION_H
#define POSTERN_SESSION_ADMISSION_H

#include "session/phase.h"
#include "session/runtime.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pool;

/* What is known of a client before its first TLS byte: its address (allow, deny, and the limits for
 * an address), max_connections, and the state of the backends: whether some are up, of those that
 * the listener and its routes have. At accept, or once its balancer's header is read. */
enum verdict admission_check(struct session *s) __attribute__((warn_unused_result));

/* Once the client's route is known: whether a backend of that is up, or was a moment ago. True
 * where the listener has no routes: then admission_check has looked. */
bool admission_has_backend(struct session *s) __attribute__((warn_unused_result));

/* Whether the peer of a new connection is one of accept_proxy's balancers. */
bool admission_is_balancer(const struct session *s);

enum admission_room {
    ADMISSION_ROOM,           /* accept the next one */
    ADMISSION_NO_DESCRIPTORS, /* for any listener */
    ADMISSION_NO_PLACE        /* for this listener: newcomers hold some of max_connections */
};

/* Whether there are descriptors and a place for one more connection of the listener as it is. */
bool admission_has_room(const struct pool *pool, size_t listener);

/* Whether a connection that waits in the kernel's queue can be accepted. Where a descriptor or a
 * place is missing, a client of this pool that has sent nothing for the broker is ended for it
 * (eviction.h). If there is no such client, the other pools are asked, and the connection is left
 * in the queue until one of them has ended one. The caller has called limits_begin_making_room. */
enum admission_room admission_make_room(struct pool *pool, size_t listener)
    __attribute__((warn_unused_result));

/* For the hook ask_for_room. */
#define ADMISSION_ANY_LISTENER SIZE_MAX

/* Another pool has asked: false if there is no room and nobody here can make some, so that the next
 * pool is to be asked. */
bool admission_make_room_for_others(struct pool *pool, size_t listener)
    __attribute__((warn_unused_result));

/* The ClientHello is whole: the session's handshake begins, and its first step is queued. Beyond
 * max_handshakes one of the address that has the most handshakes under way ends instead, be it this
 * one; but if its address has few, it stays, up to twice max_handshakes. */
enum verdict admission_begin_handshake(struct session *s) __attribute__((warn_unused_result));

/* More handshakes of the listener than max_handshakes wait for us, so no more connections had
 * better be accepted. */
bool admission_is_crowded(const struct pool *pool, size_t listener);

/* A further step can be made: counts the session and queues it for the scheduler. A session whose
 * handshake has begun is not refused any more. */
void admission_queue_handshake(struct session *s);

/* All that the client sent is used up; `answered`: we sent it something in return. If not, what
 * came is part of a flight and no progress: the session has waited since our last answer, and
 * stands first in its list, so that nobody stays by sending a byte now and then. Another session
 * that waits for its client may end to make room: of those that have waited longest, one of the
 * address with the most handshakes. */
void admission_await_client(struct session *s, bool answered);

/* A reload: takes the reference to `next`, which is current from now on. Where it asks for that
 * (revoked_sessions), sessions whose certificate it revokes or does not allow any more end:
 * admission_check_revoked looks at some of those that are left, `unchecked` in the pool, and is to
 * be called in each turn until none is. */
void admission_adopt(struct pool *pool, struct runtime *next);
void admission_check_revoked(struct pool *pool);

#endif
