#include "loop.h"
#include "random.h"
#include "sockets.h"
#include "trace.h"

#include <stdlib.h>
#include <uv.h>

enum { EVENTS_MAX = 64 };

struct poller {
    struct list ready;
};

static struct poller *the_poller;

struct poller *poller_new(int *status) {
    struct poller *p = malloc(sizeof *p);
    NEED(p != NULL && the_poller == NULL, "a second poller");
    list_init(&p->ready);
    the_poller = p;
    *status = 0;
    return p;
}

void poller_free(struct poller *p) {
    NEED(list_is_empty(&p->ready), "a watched socket is left");
    the_poller = NULL;
    free(p);
}

/* Errors and the end of both ways are reported without being asked for. */
static unsigned reportable(const struct sim_socket *sock) {
    unsigned wanted = sock->handle->watched | POLLER_ERROR;
    if ((wanted & POLLER_READABLE) != 0) {
        wanted |= POLLER_HANGUP;
    }
    if (sock->reset || (sock->in_fin && sock->out_fin)) {
        wanted |= POLLER_READABLE | POLLER_WRITABLE;
    }
    return sim_socket_events(sock) & wanted;
}

void sim_poller_note(struct sim_socket *sock) {
    if (sock->handle != NULL && reportable(sock) != 0 && list_is_empty(&sock->ready)) {
        list_append(&the_poller->ready, &sock->ready);
    }
}

bool sim_poller_is_idle(const struct poller *p) {
    return list_is_empty(&p->ready);
}

int poller_watch(struct poller *p, struct poll_handle *handle, unsigned events) {
    struct sim_socket *sock = sim_socket_of(handle->fd);
    NEED(sock != NULL && p == the_poller, "poller_watch of descriptor %d", handle->fd);
    NEED((sock->handle != NULL) == (handle->watched != 0),
         "descriptor %d is watched for %u as the handle has it", handle->fd, handle->watched);
    if (sim_has_trouble(2000)) {
        return UV_ENOSPC;
    }
    sock->handle = handle;
    handle->watched = events;
    sim_poller_note(sock);
    return 0;
}

void poller_unwatch(struct poller *p, struct poll_handle *handle) {
    struct sim_socket *sock = sim_socket_of(handle->fd);
    NEED(p == the_poller, "poller_unwatch of another poller");
    if (sock != NULL && handle->watched != 0) {
        list_remove(&sock->ready);
        sock->handle = NULL;
        handle->watched = 0;
    }
}

struct report {
    struct poll_handle *handle;
    unsigned events;
};

/* In any order. */
static size_t collect(struct poller *p, struct report reports[EVENTS_MAX]) {
    size_t count = 0;
    while (count < EVENTS_MAX && !list_is_empty(&p->ready)) {
        struct sim_socket *sock = container_of(p->ready.next, struct sim_socket, ready);
        list_remove(&sock->ready);
        struct report one = {sock->handle, reportable(sock)};
        if (one.events != 0) {
            size_t at = (size_t)random_below(count + 1);
            reports[count++] = reports[at];
            reports[at] = one;
        }
    }
    return count;
}

void poller_dispatch(struct poller *p) {
    struct report reports[EVENTS_MAX];
    size_t count = collect(p, reports);
    for (size_t i = 0; i < count; i++) {
        if (reports[i].handle->fd >= 0) {
            reports[i].handle->on_ready(reports[i].handle, reports[i].events);
        }
    }
}

void poll_handle_close(struct poll_handle *handle) {
    if (handle->fd >= 0) {
        sim_close(handle->fd);
        handle->fd = -1;
        handle->watched = 0;
    }
}
