/* One of a session's two sockets: what its peer would not take yet, and whether it has something to
 * say.
 *
 * An idle conn is these few bytes; what waits for the peer is one allocation of its own. */
#ifndef POSTERN_NET_CONN_H
#define POSTERN_NET_CONN_H

#include "net/poller.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct outgoing;

struct conn {
    struct poll_handle handle;
    struct outgoing *queue; /* NULL: nothing waits */
    bool readable : 1;      /* reading may give something */
    bool hung_up : 1;       /* the peer's FIN is here: behind what can be read is the end */
    bool failed : 1;        /* the socket has an error, which only a call can tell */
    bool at_end : 1;        /* hung up, and all before it has been read */
    bool reading : 1;       /* somebody wants what it says */
    bool ended : 1;         /* it will say nothing more */
    bool shut_wanted : 1;   /* nothing more will be sent to it: FIN after what waits */
    bool shut : 1;          /* FIN is out */
    bool cut : 1;           /* bytes for it are lost: none may follow them */
};

/* A conn without a socket. With one in `handle.fd`, conn_open has on_ready told of what comes: 0 or
 * a libuv code. */
void conn_init(struct conn *conn, void (*on_ready)(struct poll_handle *handle, unsigned events));
int conn_open(struct conn *conn, struct poller *poller) __attribute__((warn_unused_result));
bool conn_is_open(const struct conn *conn);
void conn_close(struct conn *conn); /* and forgets what waits; may be called twice */

/* Takes note of what the poller told. */
void conn_note(struct conn *conn, unsigned events);

/* Up to `room` bytes of what the peer says, or UV_EOF, or a libuv code. 0: nothing for now, and
 * `readable` is false. */
ssize_t conn_read(struct conn *conn, uint8_t *into, size_t room)
    __attribute__((warn_unused_result));

/* Sends what the peer takes and keeps the rest, in order and without a limit: the caller bounds
 * what waits. 0 or a libuv code (UV_ENOMEM for every shortage of ours). After a code nothing waits
 * any more and nothing can be sent: the peer must not take what follows a gap for the stream. */
int conn_send(struct conn *conn, struct poller *poller, const uint8_t *data, size_t len)
    __attribute__((warn_unused_result));

/* Bytes that wait for the peer. */
size_t conn_waiting(const struct conn *conn);

/* The peer may take some of it now. 0 or a libuv code, as conn_send. */
int conn_flush(struct conn *conn) __attribute__((warn_unused_result));

/* Whether something waits, and has not moved since this was asked before. */
bool conn_is_stuck(struct conn *conn);

/* Sends FIN, at once or behind what waits. */
void conn_shut(struct conn *conn);

#endif
