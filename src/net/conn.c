#include "net/conn.h"

#include "core/buf.h"
#include "net/socket.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <uv.h>

/* The kernel doubles it, for what it needs itself (socket(7)). Of 64, 128 and 208 KB it is the one
 * with which bulk in records of 16 KB is cheapest. */
enum { INPUT_MAX = 128 * 1024 };

static const unsigned EVENTS = POLLER_READABLE | POLLER_HANGUP;

struct outgoing {
    struct buf bytes;
    size_t sent; /* of them; the others wait */
    bool looked; /* conn_is_stuck has been asked, and nothing has moved since */
};

void conn_init(struct conn *conn, void (*on_ready)(struct poll_handle *handle, unsigned events)) {
    *conn = (struct conn){.handle = {.fd = -1, .on_ready = on_ready}};
}

int conn_open(struct conn *conn, struct poller *poller) {
    return poller_watch(poller, &conn->handle, EVENTS);
}

bool conn_is_open(const struct conn *conn) {
    return conn->handle.fd >= 0;
}

static void forget_waiting(struct conn *conn) {
    if (conn->queue != NULL) {
        if (conn->secret) {
            buf_wipe(&conn->queue->bytes);
        } else {
            buf_free(&conn->queue->bytes);
        }
        free(conn->queue);
        conn->queue = NULL;
    }
}

void conn_close(struct conn *conn) {
    poll_handle_close(&conn->handle);
    forget_waiting(conn);
    conn->readable = conn->reading = false;
}

void conn_note(struct conn *conn, unsigned events) {
    if ((events & (POLLER_READABLE | POLLER_HANGUP | POLLER_ERROR)) != 0) {
        conn->readable = true;
    }
    conn->failed = conn->failed || (events & POLLER_ERROR) != 0;
    conn->hung_up = conn->hung_up || (events & POLLER_HANGUP) != 0;
}

/* --- reading --- */

ssize_t conn_read(struct conn *conn, uint8_t *into, size_t room) {
    ssize_t got = 0;
    if (!conn->at_end) {
        do {
            got = recv(conn->handle.fd, into, room, 0);
        } while (got < 0 && errno == EINTR);
    }
    if (got == 0) {
        conn->readable = false;
        return UV_EOF;
    }
    if (got < 0) {
        conn->readable = false;
        return errno == EAGAIN ? 0 : uv_translate_sys_error(errno);
    }
    conn->at_end = conn->hung_up && !conn->failed && (size_t)got < room;
    conn->readable = conn->at_end || conn->failed || (size_t)got == room;
    return got;
}

void conn_bound_input(struct conn *conn) {
    if (!conn->bounded) {
        conn->bounded = true;
        socket_set(conn->handle.fd, SOL_SOCKET, SO_RCVBUF, INPUT_MAX);
    }
}

int conn_error(struct conn *conn) {
    int error = 0;
    socklen_t len = sizeof error;
    if (!conn->failed || !conn_is_open(conn)) {
        return 0;
    }
    conn->failed = false; /* reading SO_ERROR clears it */
    getsockopt(conn->handle.fd, SOL_SOCKET, SO_ERROR, &error, &len);
    return error == EPIPE ? 0 : uv_translate_sys_error(error);
}

/* --- sending --- */

/* What the peer takes now, or a libuv code. */
static ssize_t send_some(const struct conn *conn, const uint8_t *data, size_t len) {
    ssize_t sent;
    do {
        sent = send(conn->handle.fd, data, len, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    if (sent < 0) {
        /* ENOBUFS is our shortage, not the peer's (send(2)). */
        return errno == EAGAIN ? 0 : errno == ENOBUFS ? UV_ENOMEM : uv_translate_sys_error(errno);
    }
    return sent;
}

size_t conn_waiting(const struct conn *conn) {
    return conn->queue != NULL ? conn->queue->bytes.len - conn->queue->sent : 0;
}

static int lose(struct conn *conn, int code) {
    forget_waiting(conn);
    conn->cut = true;
    return code;
}

/* False without memory. */
static bool keep(struct conn *conn, const uint8_t *data, size_t len) {
    if (conn->queue == NULL) {
        conn->queue = calloc(1, sizeof *conn->queue);
    }
    struct outgoing *q = conn->queue;
    if (q == NULL) {
        return false;
    }
    buf_consume(&q->bytes, q->sent);
    q->sent = 0;
    return buf_append(&q->bytes, data, len, SIZE_MAX);
}

static int wait_for_room(struct conn *conn, struct poller *poller) {
    bool watched = (conn->handle.watched & POLLER_WRITABLE) != 0;
    return watched ? 0 : poller_watch(poller, &conn->handle, EVENTS | POLLER_WRITABLE);
}

int conn_send(struct conn *conn, struct poller *poller, const uint8_t *data, size_t len) {
    if (conn->cut) {
        return UV_EPIPE;
    }
    ssize_t sent = conn->queue == NULL ? send_some(conn, data, len) : 0;
    if (sent < 0) {
        return lose(conn, (int)sent);
    }
    size_t rest = len - (size_t)sent;
    if (rest == 0) {
        return 0;
    }
    bool kept = keep(conn, data + sent, rest) && wait_for_room(conn, poller) == 0;
    return kept ? 0 : lose(conn, UV_ENOMEM);
}

int conn_flush(struct conn *conn) {
    struct outgoing *q = conn->queue;
    if (q == NULL) {
        return 0;
    }
    ssize_t sent = send_some(conn, q->bytes.data + q->sent, q->bytes.len - q->sent);
    if (sent < 0) {
        return lose(conn, (int)sent);
    }
    if (sent > 0) {
        q->sent += (size_t)sent;
        q->looked = false;
    }
    if (q->sent == q->bytes.len) {
        forget_waiting(conn);
        if (conn->shut_wanted) {
            conn_shut(conn);
        }
    }
    return 0;
}

bool conn_is_stuck(struct conn *conn) {
    struct outgoing *q = conn->queue;
    bool stuck = q != NULL && q->looked;
    if (q != NULL) {
        q->looked = true;
    }
    return stuck;
}

void conn_shut(struct conn *conn) {
    conn->shut_wanted = true;
    if (conn->queue != NULL || conn->shut || !conn_is_open(conn)) {
        return;
    }
    conn->shut = true;
    if (!conn->ended) { /* else both directions are done: the close that follows ends them */
        shutdown(conn->handle.fd,
                 SHUT_WR); /* fails only where the peer is gone, which reading reports */
    }
}
