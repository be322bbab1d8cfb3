#include "server/workers.h"

#include "server/signals.h"
#include "server/worker.h"

#include <pthread.h>
#include <stdlib.h>

static void on_wake(uv_async_t *async) {
    struct workers *w = async->data;
    if (w->adopting && atomic_load(&w->to_adopt) == 0) {
        w->adopting = false;
        w->events.adopted(w->events.arg);
    }
    if (atomic_load(&w->running) == 0) {
        w->events.stopped(w->events.arg);
    }
}

int workers_init(struct workers *w, uv_loop_t *loop, struct workers_events events) {
    w->events = events;
    w->wake.data = w;
    return uv_async_init(loop, &w->wake, on_wake);
}

/* --- on the threads of the workers --- */

static void on_adopted(void *arg) {
    struct workers *w = arg;
    if (atomic_fetch_sub(&w->to_adopt, 1) == 1) {
        uv_async_send(&w->wake);
    }
}

static void on_stopped(void *arg) {
    struct workers *w = arg;
    if (atomic_fetch_sub(&w->running, 1) == 1) {
        uv_async_send(&w->wake);
    }
}

/* Clients wait for room that this worker cannot make: the next one is asked. */
static void on_wants_room(void *arg, const struct worker *worker, struct worker_request request) {
    struct workers *w = arg;
    size_t i = 0;
    while (i < w->count && w->all[i] != worker) {
        i++;
    }
    if (request.asked < w->count) {
        worker_make_room(w->all[(i + 1) % w->count], request);
    }
}

/* --- start and end --- */

/* The sockets of worker `index` of `count`: its own, or those that several share. NULL without
 * memory. */
static struct worker_socket *list_sockets(const struct bound_set *bound, size_t index, size_t count,
                                          size_t *socket_count) {
    struct worker_socket *sockets = calloc(bind_watched(bound, count), sizeof *sockets);
    *socket_count = 0;
    for (size_t i = 0; sockets != NULL && i < bound->count; i++) {
        const struct bound *b = &bound->all[i];
        struct bound_share share = bound_share(b, index, count);
        for (size_t k = share.first; k < b->fd_count; k += share.step) {
            sockets[(*socket_count)++] =
                (struct worker_socket){.fd = b->fds[k], .listener = b->listener};
        }
    }
    return sockets;
}

/* 0 or a libuv code. */
static int make_worker(struct workers *w, size_t index, size_t count, struct limits *limits,
                       struct runtime *runtime, const struct bound_set *bound) {
    struct worker_events events = {
        .arg = w, .adopted = on_adopted, .stopped = on_stopped, .wants_room = on_wants_room};
    size_t socket_count;
    struct worker_socket *sockets = list_sockets(bound, index, count, &socket_count);
    int status = UV_ENOMEM;
    if (sockets == NULL) {
        return status;
    }
    w->all[index] = worker_new(limits, runtime, sockets, socket_count, &events, &status);
    free(sockets);
    return status;
}

static int start_threads(struct workers *w) {
    sigset_t before;
    int rc = 0;
    signals_block_for_threads(&before);
    for (size_t i = 0; rc == 0 && i < w->count; i++) {
        rc = worker_start(w->all[i]);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

int workers_start(struct workers *w, size_t count, struct limits *limits, struct runtime *runtime,
                  const struct bound_set *bound, struct error *err) {
    w->all = calloc(count, sizeof *w->all);
    w->turns_seen = calloc(count, sizeof *w->turns_seen);
    if (w->all == NULL || w->turns_seen == NULL) {
        return error_set(err, "out of memory");
    }
    int rc = 0;
    while (rc == 0 && w->count < count) {
        rc = make_worker(w, w->count, count, limits, runtime, bound);
        w->turns_seen[w->count] = UINT32_MAX;
        w->count += rc == 0;
    }
    atomic_store(&w->running, w->count);
    if (rc == 0) {
        rc = start_threads(w);
    }
    if (rc != 0) {
        workers_stop(w);
        return error_set(err, "cannot start %zu workers: %s", count, uv_strerror(rc));
    }
    return 0;
}

void workers_join(struct workers *w) {
    for (size_t i = 0; i < w->count; i++) {
        worker_join(w->all[i]);
    }
    for (size_t i = 0; i < w->count; i++) {
        worker_free(w->all[i]);
    }
    free(w->all);
    free(w->turns_seen);
    w->all = NULL;
    w->turns_seen = NULL;
    w->count = 0;
}

void workers_drain(struct workers *w, uint64_t grace_ms, uint64_t duration_ms) {
    for (size_t i = 0; i < w->count; i++) {
        worker_drain(w->all[i], grace_ms, duration_ms);
    }
}

void workers_stop(struct workers *w) {
    for (size_t i = 0; i < w->count; i++) {
        worker_stop(w->all[i]);
    }
}

/* --- while they run --- */

void workers_adopt(struct workers *w, struct runtime *runtime) {
    w->adopting = true;
    atomic_store(&w->to_adopt, w->count);
    for (size_t i = 0; i < w->count; i++) {
        worker_adopt(w->all[i], runtime_ref(runtime));
    }
}

bool workers_have_turned(struct workers *w) {
    bool all_turned = true;
    for (size_t i = 0; i < w->count; i++) {
        unsigned turns = worker_turns(w->all[i]);
        all_turned = all_turned && turns != w->turns_seen[i];
        w->turns_seen[i] = turns;
        worker_ping(w->all[i]);
    }
    return all_turned;
}

const struct metrics *workers_metrics(const struct workers *w, size_t index) {
    return worker_metrics(w->all[index]);
}

bool workers_list(struct workers *w, size_t index, struct worker_listing *listing,
                  uint64_t timeout_ms) {
    return worker_list(w->all[index], listing, timeout_ms);
}

unsigned workers_turns(const struct workers *w, size_t index) {
    return worker_turns(w->all[index]);
}

void workers_ping(struct workers *w, size_t index) {
    worker_ping(w->all[index]);
}
