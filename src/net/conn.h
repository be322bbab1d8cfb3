/* One connected socket: its edges, what its peer has not taken yet, and what is known of its end.
 *
 * An idle connection is these few bytes; what waits for the peer is one allocation of its own. */
#ifndef POSTERN_NET_CONN_H
#define POSTERN_NET_CONN_H

#include "net/poller.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct outgoing;

/* Embedded in a session, which reads all fields, writes `reading` and `ended`, sets `handle.fd`
 * and `secret` before conn_open, and may set `readable` to have a read tried. The other fields are
 * conn.c's. */
struct conn {
    struct poll_handle handle;
    struct outgoing *queue; /* what the peer has not taken; NULL: nothing */
    bool readable : 1;      /* reading may give something */
    bool hung_up : 1;       /* the peer's FIN is here: after what can be read comes the end */
    bool failed : 1;        /* the socket has an error, which the next call reports */
    bool at_end : 1;        /* hung up, and everything before it has been read */
    bool reading : 1;       /* the owner wants what the peer sends */
    bool ended : 1;         /* the peer will send nothing more that counts */
    bool shut_wanted : 1;   /* nothing more will be sent to it: FIN after what waits */
    bool shut : 1;          /* FIN is out */
    bool cut : 1;           /* bytes for it are lost: none may follow them */
    bool bounded : 1;       /* conn_bound_input was called */
    bool secret : 1;        /* what waits is overwritten when it has left: it is plaintext */
};

/* Makes a connection without a socket. With one in `handle.fd`, which then is the connection's to
 * close, conn_open watches it: `on_ready` is called for what comes from then on and passes it to
 * conn_note. 0 or a libuv code; after a code the socket is open still, until conn_close. */
void conn_init(struct conn *conn, void (*on_ready)(struct poll_handle *handle, unsigned events));
int conn_open(struct conn *conn, struct poller *poller) __attribute__((warn_unused_result));
bool conn_is_open(const struct conn *conn);

/* Closes the socket and drops what waits. May be called twice. */
void conn_close(struct conn *conn);

/* Takes note of the poller's events. */
void conn_note(struct conn *conn, unsigned events);

/* Up to `room` bytes of what the peer sent, or UV_EOF, or a libuv code. 0: nothing for now, and
 * `readable` is false. */
ssize_t conn_read(struct conn *conn, uint8_t *into, size_t room)
    __attribute__((warn_unused_result));

/* From now on the peer may send about 128 KB ahead of what is read. Left alone, the kernel allows
 * megabytes to a peer that sends fast (tcp_rmem), which have left the processor's caches when they
 * are read. One system call, the first time; of no effect on unix sockets, whose sender's buffer
 * counts. Where the peer is far away, no more than that arrives in a round trip. */
void conn_bound_input(struct conn *conn);

/* The error of a socket that is not read, which reading would report only after what the peer sent
 * before it: a libuv code. 0: none, or the peer had sent FIN before (EPIPE), so that what it sent
 * is whole and can be read still. */
int conn_error(struct conn *conn) __attribute__((warn_unused_result));

/* Sends what the peer takes and keeps the rest, in order and without a limit: the caller bounds
 * what waits. 0 or a libuv code (UV_ENOMEM for every shortage of ours). After a code nothing waits
 * any more and nothing can be sent: the peer must not take what follows a gap for the stream. */
int conn_send(struct conn *conn, struct poller *poller, const uint8_t *data, size_t len)
    __attribute__((warn_unused_result));

/* Bytes that wait for the peer. */
size_t conn_waiting(const struct conn *conn);

/* The peer may take some of what waits now. 0 or a libuv code, as for conn_send. */
int conn_flush(struct conn *conn) __attribute__((warn_unused_result));

/* Whether something waits, and has not moved since the previous call. */
bool conn_is_stuck(struct conn *conn);

/* Sends FIN, at once or after what waits. Nothing may be given to conn_send after it. May be called
 * twice, and without a socket. */
void conn_shut(struct conn *conn);

#endif
