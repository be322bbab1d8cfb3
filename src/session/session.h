/* One client and its broker: its life, and the way of every event to the phase it is for.
 *
 * A session goes through the phases of phase.h. It is served by its pool's thread alone. It ends by
 * session_end (closing.h), and is freed at the end of the turn in which its last socket closes. */
#ifndef POSTERN_SESSION_SESSION_H
#define POSTERN_SESSION_SESSION_H

#include "core/address.h"
#include "session/phase.h"

#include <stdbool.h>
#include <stddef.h>

struct pool;
struct pool_member;

/* Takes over `fd`, a connection from `client_addr`, and serves what it has sent
 * already. False without memory: then the connection is closed. */
bool session_begin(struct pool *pool, size_t listener, int fd, const struct address *client_addr)
    __attribute__((warn_unused_result));

/* Takes over `fd`, and closes it as limit_connections. */
void session_refuse(struct pool *pool, size_t listener, int fd, const struct address *client_addr);

/* Goes on with both sockets, and with what else the session waited for. */
void session_serve(struct pool_member *m);

/* A handshake step of a queued session, or one more piece of a paused step. */
void session_step(struct pool_member *m);

/* A deadline was reached. */
void session_on_progress_due(struct pool_member *m);
void session_on_silence_due(struct pool_member *m);

/* Frees a session that the pool has in `closed`; not while the poller dispatches. */
void session_free(struct pool_member *m);

#endif
