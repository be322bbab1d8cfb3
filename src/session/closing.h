/* The single way to end a session. */
#ifndef POSTERN_SESSION_CLOSING_H
#define POSTERN_SESSION_CLOSING_H

#include "core/reason.h"
#include "session/phase.h"

/* Writes the closing line, sends what is queued (close_notify included, where the client may still
 * read), and closes both sockets: at once if nothing has to leave, else within two seconds. Always
 * returns SESSION_ENDED, for the caller to return. `detail` is for the line, or NULL; once the
 * broker has refused the login, the line has REASON_BROKER_REFUSED, whatever the reason. Not for a
 * session that is closing already. */
enum verdict session_end(struct session *s, enum reason reason, const char *detail)
    __attribute__((warn_unused_result));

/* The same for a caller that has nobody to report to; harmless if the session is closing. */
void session_end_now(struct session *s, enum reason reason, const char *detail);

/* Closes both sockets of a session that is closing, whatever still had to leave. */
void closing_abort(struct session *s);

/* A session that is closing is over as soon as nothing has to leave any more: then its sockets are
 * closed, and it is freed at the end of the turn. */
void closing_finish_if_sent(struct session *s);

/* Takes a session out of the handshake queues and their counters; harmless if it is in none. */
void closing_leave_handshakes(struct session *s);

/* Its client has said something for the broker, or is gone: nothing waits for that any more, and
 * its listener and its address have a newcomer less. Harmless if it is none. */
void closing_end_newcomer(struct session *s);

#endif
