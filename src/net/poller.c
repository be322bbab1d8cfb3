#include "net/poller.h"

#include <errno.h>
#include <unistd.h>
#include <uv.h>

int poller_open(struct poller *p) {
    p->count = 0;
    p->fd = epoll_create1(EPOLL_CLOEXEC);
    return p->fd >= 0 ? 0 : uv_translate_sys_error(errno);
}

void poller_close(struct poller *p) {
    if (p->fd >= 0) {
        close(p->fd);
        p->fd = -1;
    }
}

int poller_watch(struct poller *p, struct poll_handle *polled, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = polled};
    int operation = polled->asked != 0 ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    if (epoll_ctl(p->fd, operation, polled->fd, &event) != 0) {
        return uv_translate_sys_error(errno);
    }
    polled->asked = events;
    return 0;
}

void poller_wait(struct poller *p, int timeout_ms) {
    p->count = epoll_wait(p->fd, p->events, POLLER_EVENTS, timeout_ms); /* -1: interrupted */
}

void poller_dispatch(struct poller *p) {
    for (int i = 0; i < p->count; i++) {
        struct poll_handle *polled = p->events[i].data.ptr;
        if (polled->fd >= 0) {
            polled->on_ready(polled, p->events[i].events);
        }
    }
    p->count = 0;
}

void poll_handle_close(struct poll_handle *polled) {
    if (polled->fd >= 0) {
        close(polled->fd);
        polled->fd = -1;
        polled->asked = 0;
    }
}
