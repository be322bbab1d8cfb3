#include "net/conn.h"

#include "core/buf.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <uv.h>

static const uint32_t TOLD = EPOLLIN | EPOLLRDHUP | EPOLLET;

struct outgoing {
    struct buf bytes;
    size_t sent; /* of them; the others wait */
    bool looked; /* conn_is_stuck has been asked, and nothing has moved since */
};

void conn_init(struct conn *side, void (*on_ready)(struct poll_handle *polled, uint32_t events)) {
    *side = (struct conn){.polled = {.fd = -1, .on_ready = on_ready}};
}

int conn_open(struct conn *side, struct poller *poller) {
    return poller_watch(poller, &side->polled, TOLD);
}

bool conn_is_open(const struct conn *side) {
    return side->polled.fd >= 0;
}

static void forget_waiting(struct conn *side) {
    if (side->queue != NULL) {
        buf_free(&side->queue->bytes);
        free(side->queue);
        side->queue = NULL;
    }
}

void conn_close(struct conn *side) {
    poll_handle_close(&side->polled);
    forget_waiting(side);
    side->readable = side->reading = false;
}

void conn_note(struct conn *side, uint32_t events) {
    if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) {
        side->readable = true;
    }
    side->failed = side->failed || (events & EPOLLERR) != 0;
    side->hung_up = side->hung_up || (events & EPOLLRDHUP) != 0;
}

/* --- reading --- */

ssize_t conn_read(struct conn *side, uint8_t *into, size_t room) {
    ssize_t got = 0;
    if (!side->at_end) {
        do {
            got = recv(side->polled.fd, into, room, 0);
        } while (got < 0 && errno == EINTR);
    }
    if (got == 0) {
        side->readable = false;
        return UV_EOF;
    }
    if (got < 0) {
        side->readable = false;
        return errno == EAGAIN ? 0 : uv_translate_sys_error(errno);
    }
    side->at_end = side->hung_up && !side->failed && (size_t)got < room;
    side->readable = side->at_end || side->failed || (size_t)got == room;
    return got;
}

/* --- sending --- */

/* What the peer takes now, or a libuv code. */
static ssize_t send_some(const struct conn *side, const uint8_t *data, size_t len) {
    ssize_t sent;
    do {
        sent = send(side->polled.fd, data, len, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    if (sent < 0) {
        return errno == EAGAIN ? 0 : uv_translate_sys_error(errno);
    }
    return sent;
}

size_t conn_waiting(const struct conn *side) {
    return side->queue != NULL ? side->queue->bytes.len - side->queue->sent : 0;
}

/* False without memory. */
static bool keep(struct conn *side, const uint8_t *data, size_t len) {
    if (side->queue == NULL) {
        side->queue = calloc(1, sizeof *side->queue);
    }
    struct outgoing *q = side->queue;
    if (q == NULL) {
        return false;
    }
    buf_consume(&q->bytes, q->sent);
    q->sent = 0;
    return buf_append(&q->bytes, data, len, SIZE_MAX);
}

static int wait_for_room(struct conn *side, struct poller *poller) {
    bool told = (side->polled.asked & EPOLLOUT) != 0;
    return told ? 0 : poller_watch(poller, &side->polled, TOLD | EPOLLOUT);
}

int conn_send(struct conn *side, struct poller *poller, const uint8_t *data, size_t len) {
    ssize_t sent = side->queue == NULL ? send_some(side, data, len) : 0;
    if (sent < 0) {
        return (int)sent;
    }
    size_t rest = len - (size_t)sent;
    if (rest == 0) {
        return 0;
    }
    if (!keep(side, data + sent, rest)) {
        return UV_ENOMEM;
    }
    return wait_for_room(side, poller);
}

int conn_flush(struct conn *side) {
    struct outgoing *q = side->queue;
    if (q == NULL) {
        return 0;
    }
    ssize_t sent = send_some(side, q->bytes.data + q->sent, q->bytes.len - q->sent);
    if (sent < 0) {
        return (int)sent;
    }
    if (sent > 0) {
        q->sent += (size_t)sent;
        q->looked = false;
    }
    if (q->sent == q->bytes.len) {
        forget_waiting(side);
        if (side->shut_wanted) {
            conn_shut(side);
        }
    }
    return 0;
}

bool conn_is_stuck(struct conn *side) {
    struct outgoing *q = side->queue;
    bool stuck = q != NULL && q->looked;
    if (q != NULL) {
        q->looked = true;
    }
    return stuck;
}

void conn_shut(struct conn *side) {
    side->shut_wanted = true;
    if (side->queue != NULL || side->shut || !conn_is_open(side)) {
        return;
    }
    side->shut = true;
    if (!side->ended) { /* else both directions are done: the close that follows says it */
        shutdown(side->polled.fd,
                 SHUT_WR); /* fails only where the peer is gone, as reading tells */
    }
}
