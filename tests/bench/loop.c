#include "loop.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tls.h"

enum { STALL_SECONDS = 30, BATCH = 64 };

void load_open(struct load *load, const struct load_options *options) {
    load->options = *options;
    load->pattern = pattern_new();
    load->tls = tls_new(options);
    load->epoll = epoll_create1(EPOLL_CLOEXEC);
    load->next_seed = 1;
    if (load->epoll < 0) {
        fail("epoll_create1: %s", strerror(errno));
    }
    prctl(PR_SET_TIMERSLACK, 1); /* the default of 50 us would be seen in latencies */
}

void loop_watch(struct client *c, uint32_t events) {
    if (c->events == events) {
        return;
    }
    struct epoll_event e = {.events = events, .data.ptr = c};
    if (epoll_ctl(c->load->epoll, c->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, c->fd, &e) != 0) {
        fail("epoll_ctl: %s", strerror(errno));
    }
    c->events = events;
}

void load_turn(struct load *load, int64_t timeout_ns) {
    struct epoll_event events[BATCH];
    bool patient = timeout_ns >= 0;
    struct timespec timeout = {.tv_sec = STALL_SECONDS};
    if (patient) {
        timeout.tv_sec = (time_t)(timeout_ns / 1000000000);
        timeout.tv_nsec = (long)(timeout_ns % 1000000000);
    }
    /* musl 1.2.3 has no function for it. */
    int count = (int)syscall(SYS_epoll_pwait2, load->epoll, events, BATCH, &timeout, NULL, 0);
    if (count == 0 && !patient) {
        fail("stalled: nothing came for %d seconds", STALL_SECONDS);
    }
    if (count < 0 && errno != EINTR) {
        fail("epoll_pwait2: %s", strerror(errno));
    }
    for (int i = 0; i < count; i++) {
        client_event(events[i].data.ptr, (events[i].events & EPOLLOUT) != 0);
    }
}
