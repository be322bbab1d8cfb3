#include "broker/dial.h"

#include "broker/connect.h"

#include <string.h>
#include <sys/socket.h>

/* How often what waits is looked at: often enough that the wait is not felt, and that no place
 * stays free for long. */
enum { TICK_MS = 20 };

/* How many attempts in a row must stay without an answer before a broker counts as down. Where
 * another one can serve instead, that costs no client anything. */
enum { PATIENCE_ALONE = 3, PATIENCE_AMONG_OTHERS = 1 };

/* What the functions below return besides 0, CONNECT_DONE and libuv codes, which are negative. */
enum { WAITS = CONNECT_DONE + 1, NOTHING_LEFT };

static void go_on(struct dial *d);

void dialer_init(struct dialer *dialer, uv_loop_t *loop, struct poller *poller) {
    *dialer = (struct dialer){.loop = loop, .poller = poller, .tick_ms = UINT64_MAX};
    lookups_init(&dialer->lookups, loop);
    dial_queue_init(&dialer->queue);
    list_init(&dialer->waiting_for_any);
}

void dialer_on_down(struct dialer *dialer, dialer_down_callback *on_down, void *arg) {
    dialer->on_down = on_down;
    dialer->on_down_arg = arg;
}

void dialer_close(struct dialer *dialer) {
    lookups_close(&dialer->lookups);
    dial_queue_free(&dialer->queue);
    dialer->tick_ms = UINT64_MAX;
    dialer->has_more = false;
}

static uint64_t now_ms(const struct dial *d) {
    return uv_now(d->dialer->loop);
}

static struct backend *current(const struct dial *d) {
    return d->target->backends[d->backend];
}

static void give_place_back(struct dial *d) {
    if (d->counted) {
        d->counted = false;
        dial_limit_end(backend_limit(current(d)));
    }
}

static void finish(struct dial *d, int status) {
    d->state = DIAL_IDLE;
    if (status == 0) {
        give_place_back(d);
        backend_count_dial(current(d), 0);
        backend_mark_up(current(d), now_ms(d));
    }
    d->done(d, status);
}

/* --- connecting --- */

static void on_writable(struct poll_handle *handle, unsigned events) {
    struct dial *d = container_of(handle, struct dial, handle);
    int error = 0;
    socklen_t len = sizeof error;
    if ((events & (POLLER_WRITABLE | POLLER_ERROR)) == 0) {
        return;
    }
    getsockopt(handle->fd, SOL_SOCKET, SO_ERROR, &error, &len);
    if (error == 0) {
        finish(d, 0);
        return;
    }
    poll_handle_close(handle);
    d->status = uv_translate_sys_error(error);
    d->address++;
    go_on(d);
}

static int connect_next(struct dial *d) {
    struct connect_target to = {.backend = current(d),
                                .address = &d->addresses[d->address],
                                .sources = d->target->sources,
                                .now_ms = now_ms(d)};
    d->state = DIAL_CONNECTING;
    d->began_ms = to.now_ms;
    return connect_begin(&d->handle, d->dialer->poller, &to, on_writable);
}

/* --- what an attempt shows about its backend --- */

/* Our own shortages show nothing; and a lookup is cancelled only when this process stops. */
static bool means_down(int status) {
    return status != UV_EAGAIN && status != UV_EBUSY && status != UV_EMFILE &&
           status != UV_ENFILE && status != UV_ENOMEM && status != UV_EAI_MEMORY &&
           status != UV_ENOBUFS && status != UV_ENOSPC && status != UV_EADDRNOTAVAIL &&
           status != UV_EAI_CANCELED;
}

static void report_down(const struct dial *d, struct backend *b) {
    if (d->dialer->on_down != NULL) {
        d->dialer->on_down(d->dialer->on_down_arg, b, d->target->sources);
    }
}

static void judge(const struct dial *d, int status) {
    struct backend *b = current(d);
    if (!means_down(status)) {
        return;
    }
    backend_forget_addresses(b);
    if (status == UV_ETIMEDOUT) {
        backend_note_silence(b, status, d->began_ms, now_ms(d),
                             d->target->backend_count > 1 ? PATIENCE_AMONG_OTHERS : PATIENCE_ALONE);
    } else {
        backend_mark_down(b, status, now_ms(d));
    }
    if (backend_is_down(b)) {
        report_down(d, b);
    }
}

static void to_next_backend(struct dial *d) {
    give_place_back(d);
    d->backend++;
    d->address = d->address_count = 0;
}

/* All addresses of the current backend failed, or its turn did not come. */
static void leave_backend(struct dial *d, int status) {
    d->status = status;
    if (status != UV_EBUSY) {
        backend_count_dial(current(d), status);
    }
    judge(d, status);
    to_next_backend(d);
}

/* --- waiting --- */

static void tick_soon(struct dialer *dialer, uint64_t now) {
    if (dialer->tick_ms == UINT64_MAX) {
        dialer->tick_ms = now + TICK_MS;
    }
}

/* 0: it has a place; WAITS, or a libuv code. */
static int take_place(struct dial *d) {
    if (d->counted || d->target->bounds == NULL) {
        return 0;
    }
    struct dial_queue *queue = &d->dialer->queue;
    const struct config_dials *bounds = d->target->bounds;
    int rc = d->state == DIAL_DOWN
                 ? dial_queue_line_up(queue, current(d), bounds, &d->queued)
                 : dial_queue_enter(queue, current(d), bounds, &d->queued, now_ms(d));
    d->counted = rc == DIAL_ADMITTED;
    if (rc != 0) {
        return d->counted ? 0 : rc;
    }
    d->state = DIAL_QUEUED;
    d->queue_status = UV_EBUSY;
    d->has_waited = true;
    tick_soon(d->dialer, now_ms(d));
    return WAITS;
}

static void on_turn(struct dial_waiter *queued, bool admitted) {
    struct dial *d = container_of(queued, struct dial, queued);
    d->counted = admitted;
    go_on(d);
}

/* A unix socket's queue is full (connect(2): EAGAIN), which TCP would wait for by itself: somebody
 * listens there. WAITS, or a libuv code. */
static int wait_for_room(struct dial *d) {
    backend_mark_up(current(d), now_ms(d));
    if (!d->counted) {
        return UV_EAGAIN; /* a probe: the mark is all that it is for */
    }
    int rc = dial_queue_return(&d->dialer->queue, current(d), d->target->bounds, &d->queued);
    if (rc != 0) {
        return rc;
    }
    d->counted = false;
    d->address_count = 0;
    d->state = DIAL_QUEUED;
    d->queue_status = UV_EAGAIN;
    tick_soon(d->dialer, now_ms(d));
    return WAITS;
}

/* Nothing is left to try. The dial may have been freed afterwards. */
static void run_out(struct dial *d) {
    const struct dial_target *t = d->target;
    if (t->even_if_down || d->expired || !backends_all_down(t->backends, t->backend_count)) {
        finish(d, d->status);
        return;
    }
    d->state = DIAL_DOWN;
    d->has_waited = true;
    list_append(&d->dialer->waiting_for_any, &d->any);
    tick_soon(d->dialer, now_ms(d));
}

/* Their `done` may cancel others. Those with the same target as the one before have its answer. */
static void look_at_backends(struct dialer *dialer) {
    const struct dial_target *all_down = NULL;
    struct list now;
    list_init(&now);
    list_append(&dialer->waiting_for_any, &now); /* becomes the head of what is there */
    list_remove(&dialer->waiting_for_any);
    while (!list_is_empty(&now)) {
        struct dial *d = container_of(now.next, struct dial, any);
        const struct dial_target *t = d->target;
        list_remove(&d->any);
        if (t != all_down && !backends_all_down(t->backends, t->backend_count)) {
            d->backend = 0;
            go_on(d);
            continue;
        }
        list_append(&dialer->waiting_for_any, &d->any);
        for (size_t i = 0; t != all_down && i < t->backend_count; i++) {
            report_down(d, t->backends[i]);
        }
        all_down = t;
    }
}

uint64_t dialer_next_ms(const struct dialer *dialer) {
    return dialer->has_more ? 0 : dialer->tick_ms;
}

void dialer_on_time(struct dialer *dialer) {
    uint64_t now = uv_now(dialer->loop);
    if (now < dialer_next_ms(dialer)) {
        return;
    }
    if (now >= dialer->tick_ms) {
        dialer->tick_ms = UINT64_MAX;
        look_at_backends(dialer);
        dial_queue_tick(&dialer->queue, now);
    }
    dialer->has_more = dial_queue_serve(&dialer->queue);
    if (!list_is_empty(&dialer->waiting_for_any) || !dial_queue_is_empty(&dialer->queue)) {
        tick_soon(dialer, now);
    }
}

/* --- the way through addresses and backends --- */

static void on_resolved(struct lookup_waiter *waiter, int status, const struct address *addresses,
                        size_t count) {
    struct dial *d = container_of(waiter, struct dial, waiter);
    if (status == 0) {
        memcpy(d->addresses, addresses, count * sizeof *addresses);
        d->address_count = count;
    } else {
        leave_backend(d, status);
    }
    go_on(d);
}

/* Finds what to connect to at the current backend. 0, WAITS, or a libuv code. */
static int find_addresses(struct dial *d) {
    struct backend *b = current(d);
    d->address = 0;
    if (backend_path(b) != NULL) {
        d->address_count = 1; /* the path */
        return 0;
    }
    d->address_count = backend_addresses(b, now_ms(d), d->addresses);
    if (d->address_count > 0) {
        return 0;
    }
    d->state = DIAL_RESOLVING;
    d->began_ms = now_ms(d);
    int rc = lookup_wait(&d->dialer->lookups, b, &d->waiter);
    return rc == 0 ? WAITS : rc;
}

static void skip_backends_that_are_down(struct dial *d) {
    while (d->backend < d->target->backend_count && !d->target->even_if_down &&
           backend_is_down(current(d))) {
        d->status = backend_down_status(current(d));
        report_down(d, current(d));
        to_next_backend(d);
    }
}

/* One step. CONNECT_DONE, WAITS, NOTHING_LEFT; or 0, and the next step can be made. */
static int step(struct dial *d) {
    int rc = 0;
    if (d->address_count == 0) {
        skip_backends_that_are_down(d);
        if (d->backend == d->target->backend_count) {
            return NOTHING_LEFT;
        }
        rc = take_place(d);
        rc = rc == 0 ? find_addresses(d) : rc;
    } else if (d->address == d->address_count) {
        rc = d->status;
    }
    if (rc < 0) {
        leave_backend(d, rc);
        return 0;
    }
    if (rc != 0) {
        return rc;
    }
    rc = connect_next(d);
    if (rc >= 0) {
        return rc == 0 ? WAITS : rc;
    }
    if (rc == UV_EAGAIN && backend_path(current(d)) != NULL) {
        rc = wait_for_room(d);
        if (rc >= 0) {
            return rc;
        }
    }
    d->status = rc;
    d->address++;
    return 0;
}

/* Continues from where the dial stands until it is connected, or has to wait, or nothing is left.
 * The dial may have been freed afterwards. */
static void go_on(struct dial *d) {
    int rc;
    do {
        rc = step(d);
    } while (rc == 0);
    if (rc == CONNECT_DONE) {
        finish(d, 0);
    } else if (rc == NOTHING_LEFT) {
        run_out(d);
    }
}

void dial_start(struct dial *d, struct dialer *dialer, const struct dial_target *target,
                void (*done)(struct dial *dial, int status)) {
    *d = (struct dial){
        .handle = {.fd = -1},
        .dialer = dialer,
        .done = done,
        .target = target,
        .status = UV_ECONNREFUSED,
        .queued = {.go = on_turn},
        .waiter = {.done = on_resolved},
    };
    list_init(&d->any);
    list_init(&d->queued.link);
    list_init(&d->waiter.link);
    go_on(d);
}

size_t dial_backend(const struct dial *d) {
    return d->backend;
}

void dial_take(struct dial *d, struct poll_handle *into) {
    poll_handle_move(&d->handle, into);
}

void dial_expire(struct dial *d) {
    bool attempt = d->state == DIAL_RESOLVING || d->state == DIAL_CONNECTING;
    if (d->state == DIAL_IDLE) {
        return;
    }
    d->expired = true;
    if (attempt && d->has_waited) {
        d->has_waited = false;
        return;
    }
    if (d->state == DIAL_DOWN) {
        list_remove(&d->any);
        finish(d, d->status);
        return;
    }
    if (d->state == DIAL_QUEUED) {
        dial_queue_leave(&d->queued);
        leave_backend(d, d->queue_status);
    } else if (d->state == DIAL_RESOLVING) {
        lookup_cancel(&d->waiter);
        leave_backend(d, UV_ETIMEDOUT);
    } else {
        poll_handle_close(&d->handle);
        d->status = UV_ETIMEDOUT;
        d->address++;
    }
    go_on(d);
}

void dial_yield(struct dial *d) {
    dial_queue_yield(&d->queued);
}

void dial_cancel(struct dial *d) {
    switch (d->state) {
    case DIAL_IDLE:
        return;
    case DIAL_DOWN:
        list_remove(&d->any);
        break;
    case DIAL_QUEUED:
        dial_queue_leave(&d->queued);
        break;
    case DIAL_RESOLVING:
        lookup_cancel(&d->waiter);
        break;
    case DIAL_CONNECTING:
        poll_handle_close(&d->handle);
        break;
    }
    give_place_back(d);
    d->state = DIAL_IDLE;
}

bool dial_is_under_way(const struct dial *d) {
    return d->state != DIAL_IDLE;
}
