#include "net/loop.h"

#include <assert.h>
#include <stdlib.h>

enum { ROUND_NS = 200 * 1000 };

struct loop {
    uv_loop_t uv;
    struct loop_hooks hooks;
    struct poller *poller;
    uv_poll_t sockets;      /* the poller's descriptor */
    uv_prepare_t preparing; /* arms the timer, decides whether the loop may wait */
    uv_idle_t busy;         /* active while there is work: then the loop does not wait */
    uv_check_t after;       /* a turn's end */
    uv_timer_t timer;
    uv_async_t wake;
    uint64_t timer_ms;  /* what the timer is set to; UINT64_MAX: it is not */
    uint64_t events_ns; /* 0: no socket had anything to report in this turn */
};

static void on_sockets(uv_poll_t *handle, int status, int events) {
    struct loop *loop = handle->data;
    loop->events_ns = uv_hrtime();
    poller_dispatch(loop->poller);
}

static void on_timer(uv_timer_t *timer) {
    struct loop *loop = timer->data;
    loop->timer_ms = UINT64_MAX;
    loop->hooks.on_deadline(loop->hooks.arg);
}

static void on_busy(uv_idle_t *handle) {
}

/* Timers have run by now, so the work that they left is seen here. */
static void on_before_wait(uv_prepare_t *handle) {
    struct loop *loop = handle->data;
    loop->events_ns = 0;
    if (loop->hooks.has_work(loop->hooks.arg)) {
        uv_idle_start(&loop->busy, on_busy);
    } else {
        uv_idle_stop(&loop->busy);
    }
    uint64_t due_ms = loop->hooks.next_deadline_ms(loop->hooks.arg);
    if (due_ms == loop->timer_ms) {
        return;
    }
    loop->timer_ms = due_ms;
    if (due_ms == UINT64_MAX) {
        uv_timer_stop(&loop->timer);
    } else {
        uint64_t now_ms = uv_now(&loop->uv);
        uv_timer_start(&loop->timer, on_timer, due_ms > now_ms ? due_ms - now_ms : 0, 0);
    }
}

/* While pending clients leave work the sockets are looked at after each turn, but libuv's own
 * descriptors and timers only every so often: a round through uv_run costs as much as a message. */
static void on_after_wait(uv_check_t *handle) {
    struct loop *loop = handle->data;
    uint64_t now_ns = loop->events_ns != 0 ? loop->events_ns : uv_hrtime();
    uint64_t end_ns = now_ns + ROUND_NS;
    for (;;) {
        bool more = loop->hooks.on_turn(loop->hooks.arg, now_ns);
        if (!more || uv_is_closing((uv_handle_t *)handle)) {
            return;
        }
        now_ns = uv_hrtime();
        if (now_ns >= end_ns) {
            return;
        }
        poller_dispatch(loop->poller);
    }
}

static void on_async(uv_async_t *async) {
    struct loop *loop = async->data;
    loop->hooks.on_wake(loop->hooks.wake_arg);
}

static int open_handles(struct loop *loop) {
    uv_timer_init(&loop->uv, &loop->timer); /* these four cannot fail */
    uv_idle_init(&loop->uv, &loop->busy);
    uv_prepare_init(&loop->uv, &loop->preparing);
    uv_check_init(&loop->uv, &loop->after);
    loop->timer.data = loop->preparing.data = loop->after.data = loop;
    loop->wake.data = loop->sockets.data = loop;
    uv_prepare_start(&loop->preparing, on_before_wait);
    uv_check_start(&loop->after, on_after_wait);
    int rc = uv_async_init(&loop->uv, &loop->wake, on_async);
    if (rc == 0) {
        rc = uv_poll_init(&loop->uv, &loop->sockets, poller_fd(loop->poller));
    }
    return rc != 0 ? rc : uv_poll_start(&loop->sockets, UV_READABLE, on_sockets);
}

struct loop *loop_new(const struct loop_hooks *hooks, int *status) {
    struct loop *loop = calloc(1, sizeof *loop);
    if (loop == NULL) {
        *status = UV_ENOMEM;
        return NULL;
    }
    loop->hooks = *hooks;
    loop->timer_ms = UINT64_MAX;
    loop->poller = poller_new(status);
    if (*status == 0) {
        *status = uv_loop_init(&loop->uv);
    }
    if (*status != 0) {
        poller_free(loop->poller);
        free(loop);
        return NULL;
    }
    *status = open_handles(loop);
    if (*status != 0) {
        loop_stop(loop);
        loop_run(loop);
        loop_free(loop);
        return NULL;
    }
    return loop;
}

void loop_run(struct loop *loop) {
    uv_run(&loop->uv, UV_RUN_DEFAULT);
}

static void close_handle(uv_handle_t *handle, void *arg) {
    if (!uv_is_closing(handle)) {
        uv_close(handle, NULL);
    }
}

void loop_stop(struct loop *loop) {
    uv_walk(&loop->uv, close_handle, NULL);
}

void loop_free(struct loop *loop) {
    if (loop == NULL) {
        return;
    }
    int rc = uv_loop_close(&loop->uv);
    assert(rc == 0); /* else a handle was left open */
    (void)rc;
    poller_free(loop->poller);
    free(loop);
}

void loop_wake(struct loop *loop) {
    int rc = uv_async_send(&loop->wake);
    assert(rc == 0);
    (void)rc;
}

uint64_t loop_now_ms(const struct loop *loop) {
    return uv_now(&loop->uv);
}

uint64_t loop_now_ns(void) {
    return uv_hrtime();
}

struct poller *loop_poller(const struct loop *loop) {
    return loop->poller;
}

uv_loop_t *loop_uv(struct loop *loop) {
    return &loop->uv;
}
