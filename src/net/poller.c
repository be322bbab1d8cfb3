#include "net/poller.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>
#include <uv.h>

enum { EVENTS_MAX = 64 };

struct poller {
    int fd;
};

struct poller *poller_new(int *status) {
    struct poller *p = malloc(sizeof *p);
    if (p == NULL) {
        *status = UV_ENOMEM;
        return NULL;
    }
    p->fd = epoll_create1(EPOLL_CLOEXEC);
    *status = p->fd >= 0 ? 0 : uv_translate_sys_error(errno);
    if (p->fd < 0) {
        free(p);
        return NULL;
    }
    return p;
}

void poller_free(struct poller *p) {
    if (p != NULL) {
        close(p->fd);
        free(p);
    }
}

int poller_fd(const struct poller *p) {
    return p->fd;
}

static uint32_t to_epoll(unsigned events) {
    return EPOLLET | ((events & POLLER_READABLE) != 0 ? EPOLLIN | EPOLLRDHUP : 0u) |
           ((events & POLLER_WRITABLE) != 0 ? EPOLLOUT : 0u);
}

/* EPOLLHUP is the end of both directions: the next call reports it. */
static unsigned from_epoll(uint32_t events) {
    return ((events & (EPOLLIN | EPOLLHUP)) != 0 ? POLLER_READABLE : 0u) |
           ((events & (EPOLLOUT | EPOLLHUP)) != 0 ? POLLER_WRITABLE : 0u) |
           ((events & EPOLLRDHUP) != 0 ? POLLER_READABLE | POLLER_HANGUP : 0u) |
           ((events & EPOLLERR) != 0 ? POLLER_ERROR : 0u);
}

int poller_watch(struct poller *p, struct poll_handle *handle, unsigned events) {
    struct epoll_event event = {.events = to_epoll(events), .data.ptr = handle};
    int operation = handle->watched != 0 ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    if (epoll_ctl(p->fd, operation, handle->fd, &event) != 0) {
        return uv_translate_sys_error(errno);
    }
    handle->watched = events;
    return 0;
}

void poller_unwatch(struct poller *p, struct poll_handle *handle) {
    if (handle->watched != 0) {
        epoll_ctl(p->fd, EPOLL_CTL_DEL, handle->fd, NULL);
        handle->watched = 0;
    }
}

void poller_dispatch(struct poller *p) {
    struct epoll_event events[EVENTS_MAX];
    int count = epoll_wait(p->fd, events, EVENTS_MAX, 0); /* -1: interrupted; the next turn asks */
    for (int i = 0; i < count; i++) {
        struct poll_handle *handle = events[i].data.ptr;
        if (handle->fd >= 0) {
            handle->on_ready(handle, from_epoll(events[i].events));
        }
    }
}

void poll_handle_close(struct poll_handle *handle) {
    if (handle->fd >= 0) {
        close(handle->fd);
        handle->fd = -1;
        handle->watched = 0;
    }
}
