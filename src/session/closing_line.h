/* The one line that each accepted connection leaves in the log (postern.conf(5), LOG). */
#ifndef POSTERN_SESSION_CLOSING_LINE_H
#define POSTERN_SESSION_CLOSING_LINE_H

#include "core/reason.h"

#include <stdbool.h>

struct session;

/* A connection that never sent a byte is of no interest: a port scan, a health check. Its line is
 * at debug. */
bool closing_line_is_silent(const struct session *s, enum reason reason);

/* What an unauthenticated client can cause is written at a bounded rate for each reason and address
 * (core/log_limit.h), the ends of sessions that were served as session_log wants it. `detail` may
 * be NULL. Before the session gives anything back. */
void closing_line_write(struct session *s, enum reason reason, const char *detail);

#endif
