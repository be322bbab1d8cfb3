/* The phase that makes a TLS connection, in steps that the scheduler gives time to. */
#ifndef POSTERN_SESSION_HANDSHAKE_H
#define POSTERN_SESSION_HANDSHAKE_H

#include "session/phase.h"

#include <stdbool.h>

/* One step of a session that was queued. */
enum verdict handshake_step(struct session *s) __attribute__((warn_unused_result));

/* The same in three parts, of which only the second takes long, touches nothing but the session's
 * heavy step and its engine, and may pause. After the first, GOES_ON means that the second may
 * begin. */
enum verdict handshake_begin_heavy(struct session *s) __attribute__((warn_unused_result));
void handshake_make_heavy(struct session *s);
enum verdict handshake_end_heavy(struct session *s) __attribute__((warn_unused_result));

#endif
