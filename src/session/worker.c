#include "session/worker.h"

#include "session/listener.h"
#include "session/session.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { RETRY_MS = 100 };

/* --- deadlines --- */

uint64_t worker_now(const struct worker *w) {
    return uv_now(&w->loop);
}

bool worker_deadline(struct worker *w, struct deadlines *all, struct deadline *d,
                     uint64_t duration_ms) {
    if (!deadline_set(all, d, worker_now(w), duration_ms)) {
        return false;
    }
    if (deadline_is_set(d) && d->at_ms < w->due_ms) {
        w->due_ms = d->at_ms;
    }
    return true;
}

static void serve_deadlines(struct worker *w) {
    uint64_t now = worker_now(w);
    struct deadline *d;
    if (now < w->due_ms) {
        return;
    }
    while ((d = deadlines_take_due(&w->progress, now)) != NULL) {
        session_on_progress_due(container_of(d, struct session, progress));
    }
    while ((d = deadlines_take_due(&w->silence, now)) != NULL) {
        session_on_silence_due(container_of(d, struct session, silence));
    }
    uint64_t progress = deadlines_next(&w->progress), silence = deadlines_next(&w->silence);
    w->due_ms = progress < silence ? progress : silence;
}

/* --- what is looked at again soon --- */

bool worker_may_log(struct worker *w, enum reason reason, uint64_t *suppressed) {
    if (log_limit_allows(&w->log_limit, reason, worker_now(w), suppressed)) {
        return true;
    }
    worker_retry(w);
    return false;
}

static void resume_starved(struct worker *w) {
    for (size_t i = 0; i < w->listener_count; i++) {
        listener_retry(&w->listeners[i]);
    }
}

static void on_retry(uv_timer_t *timer) {
    struct worker *w = timer->data;
    resume_starved(w); /* one that starves again asks for this again */
    if (!log_limit_report(&w->log_limit, worker_now(w), false)) {
        uv_timer_stop(timer);
    }
}

void worker_retry(struct worker *w) {
    if (!w->closing && !uv_is_active((uv_handle_t *)&w->retry)) {
        uv_timer_start(&w->retry, on_retry, RETRY_MS, RETRY_MS);
    }
}

/* --- wishes from other threads --- */

static void take_runtime(struct worker *w, struct runtime *next) {
    runtime_unref(w->runtime);
    w->runtime = next;
    for (struct list *l = w->sessions.next, *after; l != &w->sessions; l = after) {
        after = l->next;
        session_check_revoked(container_of(l, struct session, link), next);
    }
    w->events.adopted(w->events.arg);
}

static void take_wishes(struct worker *w) {
    uv_mutex_lock(&w->mutex);
    struct runtime *next = w->next_runtime;
    bool drain = w->drain_wanted, stop = w->stop_wanted, room = w->room_wanted;
    uint64_t drain_ms = w->drain_wanted_ms;
    w->next_runtime = NULL;
    w->drain_wanted = w->stop_wanted = w->room_wanted = false;
    uv_mutex_unlock(&w->mutex);
    atomic_fetch_add(&w->turns, 1);
    if (next != NULL) {
        take_runtime(w, next);
    }
    if (room) {
        (void)session_evict_silent(w);
    }
    if (stop) {
        drain_at_once(w);
    } else if (drain) {
        drain_begin(w, drain_ms);
    }
}

static void wake(struct worker *w) {
    uint64_t one = 1;
    ssize_t rc = write(w->wake.fd, &one, sizeof one);
    assert(rc == sizeof one); /* the counter has room for as long as anyone lives */
    (void)rc;
}

/* Within poller_dispatch only what is woken for is noted. */
static void on_wake(struct poll_handle *polled, uint32_t events) {
    struct worker *w = container_of(polled, struct worker, wake);
    w->woken = true;
}

void worker_adopt(struct worker *w, struct runtime *runtime) {
    uv_mutex_lock(&w->mutex);
    struct runtime *unseen = w->next_runtime;
    w->next_runtime = runtime;
    wake(w);
    uv_mutex_unlock(&w->mutex);
    runtime_unref(unseen);
}

void worker_drain(struct worker *w, uint64_t duration_ms) {
    uv_mutex_lock(&w->mutex);
    w->drain_wanted = true;
    w->drain_wanted_ms = duration_ms;
    wake(w);
    uv_mutex_unlock(&w->mutex);
}

void worker_stop(struct worker *w) {
    uv_mutex_lock(&w->mutex);
    w->stop_wanted = true;
    wake(w);
    uv_mutex_unlock(&w->mutex);
}

void worker_ask_for_room(struct worker *w) {
    uv_mutex_lock(&w->mutex);
    w->room_wanted = true;
    wake(w);
    uv_mutex_unlock(&w->mutex);
}

void worker_ping(struct worker *w) {
    uv_mutex_lock(&w->mutex);
    wake(w);
    uv_mutex_unlock(&w->mutex);
}

unsigned worker_turns(const struct worker *w) {
    return atomic_load(&w->turns);
}

/* --- a turn of the loop --- */

void worker_serve_later(struct worker *w, struct session *s) {
    if (list_is_empty(&s->ready)) {
        bool connected = s->state == SESSION_STREAMING;
        list_append(connected ? &w->unfinished : &w->scheduler.waiting, &s->ready);
    }
}

/* Those that have more to say than one turn allows; who does not come to an end now waits for the
 * next turn. */
static void serve_unfinished(struct worker *w) {
    struct list now;
    if (list_is_empty(&w->unfinished)) {
        return;
    }
    list_init(&now);
    list_append(&w->unfinished, &now); /* becomes the head of what is there */
    list_remove(&w->unfinished);
    while (!list_is_empty(&now)) {
        struct session *s = container_of(now.next, struct session, ready);
        list_remove(&s->ready);
        session_serve(s);
    }
}

void worker_defer_free(struct worker *w, struct session *s) {
    list_remove(&s->ready);
    list_remove(&s->queue);
    list_remove(&s->link);
    list_append(&w->closed, &s->link);
}

static void free_closed(struct worker *w) {
    while (!list_is_empty(&w->closed)) {
        session_free(container_of(w->closed.next, struct session, link));
        w->unfreed_count--;
        atomic_fetch_sub_explicit(&w->shared->sessions, 1, memory_order_relaxed);
    }
}

/* -1: as long as it takes. */
static int wait_ms(struct worker *w) {
    if (!list_is_empty(&w->unfinished) || scheduler_has_work(w)) {
        return 0;
    }
    uv_update_time(&w->loop);
    int libuv_ms = uv_backend_timeout(&w->loop);
    uint64_t now = worker_now(w), ms = w->due_ms > now ? w->due_ms - now : 0;
    if (w->due_ms == UINT64_MAX || (libuv_ms >= 0 && (uint64_t)libuv_ms < ms)) {
        return libuv_ms;
    }
    return ms < INT_MAX ? (int)ms : INT_MAX;
}

static void on_loop_ready(struct poll_handle *polled, uint32_t events) {
    struct worker *w = container_of(polled, struct worker, loop_polled);
    w->loop_due = true;
}

static void serve_libuv(struct worker *w) {
    if (w->loop_due || uv_backend_timeout(&w->loop) == 0) {
        w->loop_due = false;
        uv_run(&w->loop, UV_RUN_NOWAIT);
    }
}

static void serve_other_threads(struct worker *w) {
    if (w->woken) {
        w->woken = false;
        take_wishes(w);
    }
}

static void turn(struct worker *w) {
    poller_wait(&w->poller, wait_ms(w));
    uint64_t woke_ns = uv_hrtime();
    uv_update_time(&w->loop); /* what is told sets deadlines */
    poller_dispatch(&w->poller);
    serve_unfinished(w);
    serve_deadlines(w);
    serve_libuv(w);
    serve_other_threads(w);
    if (scheduler_has_work(w)) {
        scheduler_run(w, woke_ns);
    }
    free_closed(w);
    if (w->draining && w->unfreed_count == 0) {
        drain_close_loop(w);
    }
}

static void run(void *arg) {
    struct worker *w = arg;
    while (!w->closing) {
        turn(w);
    }
    uv_run(&w->loop, UV_RUN_DEFAULT); /* until all that drain_close_loop closes is closed */
    w->events.stopped(w->events.arg);
}

/* --- the thread --- */

static int open_wakes_and_timers(struct worker *w) {
    uv_timer_init(&w->loop, &w->retry); /* these two cannot fail */
    uv_timer_init(&w->loop, &w->drain);
    w->retry.data = w->drain.data = w;
    /* Without an active handle libuv would not look at its own descriptors: a thread of its pool
     * may signal once more when nobody waits for it any longer, and we would be told of that for
     * ever. */
    int rc = uv_async_init(&w->loop, &w->alive, NULL);
    if (rc != 0) {
        return rc;
    }
    w->wake.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    w->wake.on_ready = on_wake;
    if (w->wake.fd < 0) {
        return uv_translate_sys_error(errno);
    }
    w->loop_polled.fd = uv_backend_fd(&w->loop);
    w->loop_polled.on_ready = on_loop_ready;
    w->loop_due = true; /* libuv registers its own descriptors when it runs */
    rc = poller_watch(&w->poller, &w->loop_polled, EPOLLIN);
    return rc != 0 ? rc : poller_watch(&w->poller, &w->wake, EPOLLIN | EPOLLET);
}

static void free_parts(struct worker *w) {
    runtime_unref(w->runtime);
    runtime_unref(w->next_runtime);
    deadlines_free(&w->progress);
    deadlines_free(&w->silence);
    buf_free(&w->io.out);
    free(w->listeners);
    free(w->cipher);
    free(w->plain);
    scheduler_free(&w->scheduler);
    poll_handle_close(&w->wake);
    poller_close(&w->poller);
    uv_mutex_destroy(&w->mutex);
}

static int allocate(struct worker *w, size_t fd_count) {
    w->listeners = calloc(fd_count, sizeof *w->listeners);
    w->cipher = malloc(WORKER_READ_SIZE);
    w->plain = malloc(WORKER_PLAIN_SIZE);
    return w->listeners != NULL && w->cipher != NULL && w->plain != NULL ? 0 : UV_ENOMEM;
}

static int open_listeners(struct worker *w, const int *fds, const size_t *listener_of,
                          size_t count) {
    for (size_t i = 0; i < count; i++) {
        int rc = listener_open(&w->listeners[i], w, listener_of[i], fds[i]);
        if (rc != 0) {
            return rc;
        }
        w->listener_count++;
    }
    return 0;
}

int worker_init(struct worker *w, struct shared *shared, struct runtime *runtime, const int *fds,
                const size_t *listener_of, size_t fd_count, struct worker_events events) {
    *w = (struct worker){.shared = shared, .events = events};
    w->due_ms = UINT64_MAX;
    w->poller.fd = w->wake.fd = -1;
    struct list *lists[] = {&w->silent, &w->sessions, &w->over, &w->closed, &w->unfinished};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        list_init(lists[i]);
    }
    scheduler_init(&w->scheduler);
    int rc = uv_mutex_init(&w->mutex);
    if (rc != 0) {
        return rc;
    }
    rc = allocate(w, fd_count);
    if (rc == 0) {
        rc = poller_open(&w->poller);
    }
    if (rc == 0) {
        rc = uv_loop_init(&w->loop);
    }
    if (rc != 0) {
        free_parts(w);
        return rc;
    }
    w->runtime = runtime_ref(runtime);
    dialer_init(&w->dialer, &w->loop, &w->poller);
    prober_init(&w->prober, &w->dialer);
    rc = open_wakes_and_timers(w);
    if (rc == 0) {
        rc = open_listeners(w, fds, listener_of, fd_count);
    }
    if (rc != 0) {
        drain_close_loop(w);
        uv_run(&w->loop, UV_RUN_DEFAULT);
        uv_loop_close(&w->loop);
        free_parts(w);
    }
    return rc;
}

int worker_start(struct worker *w) {
    int rc = uv_thread_create(&w->thread, run, w);
    w->started = rc == 0;
    return rc;
}

void worker_join(struct worker *w) {
    if (w->started) {
        uv_thread_join(&w->thread);
    } else {
        run(w);
    }
    int rc = uv_loop_close(&w->loop);
    assert(rc == 0);
    (void)rc;
    free_parts(w);
}
