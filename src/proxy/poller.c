#include "proxy/poller.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>
#include <uv.h>

/* More are left for the next turn, so that one turn is never long. */
enum { EVENTS = 64 };

int poller_open(struct poller *p) {
    *p = (struct poller){.fd = epoll_create1(EPOLL_CLOEXEC)};
    return p->fd >= 0 ? 0 : uv_translate_sys_error(errno);
}

void poller_close(struct poller *p) {
    if (p->fd >= 0) {
        close(p->fd);
        p->fd = -1;
    }
}

int poller_watch(struct poller *p, struct watch *watch, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = watch};
    int operation = watch->asked != 0 ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    if (epoll_ctl(p->fd, operation, watch->fd, &event) != 0) {
        return uv_translate_sys_error(errno);
    }
    watch->asked = events;
    return 0;
}

void poller_wait(struct poller *p, int timeout_ms) {
    struct epoll_event events[EVENTS];
    int count = epoll_wait(p->fd, events, EVENTS, timeout_ms);
    p->woke_ns = uv_hrtime();
    for (int i = 0; i < count; i++) {
        struct watch *watch = events[i].data.ptr;
        if (watch->fd >= 0) {
            watch->on_ready(watch, events[i].events);
        }
    }
}

void watch_close(struct watch *watch) {
    if (watch->fd >= 0) {
        close(watch->fd);
        watch->fd = -1;
        watch->asked = 0;
    }
}
