/* The phase that makes a TLS connection, in steps that the scheduler gives time to. */
#ifndef POSTERN_SESSION_HANDSHAKE_H
#define POSTERN_SESSION_HANDSHAKE_H

#include "session/phase.h"

/* One step of a queued session, or one more piece of a paused step. */
enum verdict handshake_step(struct session *s) __attribute__((warn_unused_result));

#endif
