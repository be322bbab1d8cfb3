#include "proxy/side.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <uv.h>

enum { FIRST_ROOM = 4096 };

static const uint32_t TOLD = EPOLLIN | EPOLLRDHUP | EPOLLET;

struct outgoing {
    size_t sent, len, room; /* data[sent..len) waits */
    size_t seen;            /* waiting when side_is_stuck last looked */
    uint8_t data[];
};

void side_init(struct side *side, void (*on_ready)(struct watch *watch, uint32_t events)) {
    *side = (struct side){.watch = {.fd = -1, .on_ready = on_ready}};
}

int side_open(struct side *side, struct poller *poller) {
    return poller_watch(poller, &side->watch, TOLD);
}

bool side_is_open(const struct side *side) {
    return side->watch.fd >= 0;
}

static void forget_waiting(struct side *side) {
    free(side->queue);
    side->queue = NULL;
}

void side_close(struct side *side) {
    watch_close(&side->watch);
    forget_waiting(side);
    side->readable = side->reading = false;
}

void side_note(struct side *side, uint32_t events) {
    if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) {
        side->readable = true;
    }
    /* With an error the call must be made that tells which. */
    if ((events & (EPOLLRDHUP | EPOLLERR)) == EPOLLRDHUP) {
        side->hung_up = true;
    }
}

/* --- reading --- */

ssize_t side_read(struct side *side, uint8_t *into, size_t room) {
    ssize_t got = 0;
    if (!side->at_end) {
        do {
            got = recv(side->watch.fd, into, room, 0);
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
    side->at_end = side->hung_up && (size_t)got < room;
    side->readable = side->at_end || (size_t)got == room;
    return got;
}

/* --- sending --- */

/* What the peer takes now, or a libuv code. */
static ssize_t send_some(const struct side *side, const uint8_t *data, size_t len) {
    ssize_t sent;
    do {
        sent = send(side->watch.fd, data, len, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    if (sent < 0) {
        return errno == EAGAIN ? 0 : uv_translate_sys_error(errno);
    }
    return sent;
}

size_t side_waiting(const struct side *side) {
    return side->queue != NULL ? side->queue->len - side->queue->sent : 0;
}

/* Makes room for `len` more. False without memory. */
static bool grow(struct side *side, size_t len) {
    struct outgoing *q = side->queue;
    size_t used = 0, room = FIRST_ROOM;
    if (q != NULL) {
        memmove(q->data, q->data + q->sent, q->len - q->sent);
        q->len -= q->sent;
        q->sent = 0;
        used = q->len;
        room = q->room;
    }
    while (room - used < len) {
        room *= 2;
    }
    if (q != NULL && room == q->room) {
        return true;
    }
    struct outgoing *bigger = realloc(q, sizeof *q + room);
    if (bigger == NULL) {
        return false;
    }
    if (q == NULL) {
        *bigger = (struct outgoing){0};
    }
    bigger->room = room;
    side->queue = bigger;
    return true;
}

static int wait_for_room(struct side *side, struct poller *poller) {
    bool told = (side->watch.asked & EPOLLOUT) != 0;
    return told ? 0 : poller_watch(poller, &side->watch, TOLD | EPOLLOUT);
}

int side_send(struct side *side, struct poller *poller, const uint8_t *data, size_t len) {
    ssize_t sent = side->queue == NULL ? send_some(side, data, len) : 0;
    if (sent < 0) {
        return (int)sent;
    }
    size_t rest = len - (size_t)sent;
    if (rest == 0) {
        return 0;
    }
    if (!grow(side, rest)) {
        return UV_ENOMEM;
    }
    memcpy(side->queue->data + side->queue->len, data + sent, rest);
    side->queue->len += rest;
    return wait_for_room(side, poller);
}

int side_flush(struct side *side) {
    struct outgoing *q = side->queue;
    if (q == NULL) {
        return 0;
    }
    ssize_t sent = send_some(side, q->data + q->sent, q->len - q->sent);
    if (sent < 0) {
        return (int)sent;
    }
    q->sent += (size_t)sent;
    q->seen = 0;
    if (q->sent == q->len) {
        forget_waiting(side);
        if (side->shut_wanted) {
            side_shut(side);
        }
    }
    return 0;
}

bool side_is_stuck(struct side *side) {
    size_t waiting = side_waiting(side);
    bool stuck = waiting > 0 && waiting == side->queue->seen;
    if (waiting > 0) {
        side->queue->seen = waiting;
    }
    return stuck;
}

void side_shut(struct side *side) {
    side->shut_wanted = true;
    if (side->queue != NULL || side->shut || !side_is_open(side)) {
        return;
    }
    side->shut = true;
    if (!side->ended) { /* else both directions are done: the close that follows says it */
        shutdown(side->watch.fd, SHUT_WR); /* fails only where the peer is gone, as reading tells */
    }
}
