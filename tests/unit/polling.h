/* A poller without a loop, for unit tests. */
#ifndef POSTERN_TESTS_POLLING_H
#define POSTERN_TESTS_POLLING_H

#include "net/poller.h"

#include <check.h>
#include <poll.h>

static inline struct poller *make_poller(void) {
    int status;
    struct poller *poller = poller_new(&status);
    ck_assert_int_eq(status, 0);
    return poller;
}

/* Dispatches the events that there are or that come within that time; -1: waits without a limit. */
static inline void wait_and_dispatch(struct poller *poller, int timeout_ms) {
    struct pollfd any = {.fd = poller_fd(poller), .events = POLLIN};
    ck_assert_int_ge(poll(&any, 1, timeout_ms), 0);
    poller_dispatch(poller);
}

#endif
