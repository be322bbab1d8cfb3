#include "proxy/worker.h"

#include "base/log.h"
#include "proxy/listener.h"
#include "proxy/session.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* A storm of handshakes must not be felt by the connected: after this much time of it in one turn
 * of the loop they are looked at again. */
static const uint64_t HANDSHAKE_BUDGET_NS = 400 * 1000;

/* After a message went to the broker its answer is usually there within this time, but would wait
 * for a whole handshake step (an RSA signature takes half a millisecond) if one was begun at once.
 * So handshakes hold back that long, but never longer than this in a row. In a storm of RSA
 * handshakes this halves the median latency of the connected, for a tenth of the handshakes. */
static const uint64_t ANSWER_NS = 60 * 1000;
static const uint64_t HOLD_BACK_MAX_NS = 150 * 1000;

enum { RETRY_MS = 100, DRAIN_TICK_MS = 50, LINES_A_SECOND = 20 };

/* --- deadlines --- */

uint64_t worker_now(const struct worker *w) {
    return uv_now(&w->loop);
}

static void on_timer(uv_timer_t *timer);

static void look_at(struct worker *w, uint64_t at_ms) {
    if (at_ms >= w->timer_at_ms) {
        return;
    }
    uint64_t now = worker_now(w);
    w->timer_at_ms = at_ms;
    int rc = uv_timer_start(&w->timer, on_timer, at_ms > now ? at_ms - now : 0, 0);
    assert(rc == 0 || w->closing); /* refuses a closing handle only */
    (void)rc;
}

bool worker_deadline(struct worker *w, struct deadlines *all, struct deadline *d,
                     uint64_t duration_ms) {
    if (!deadline_set(all, d, worker_now(w), duration_ms)) {
        return false;
    }
    if (deadline_is_set(d)) {
        look_at(w, d->at_ms);
    }
    return true;
}

static void on_timer(uv_timer_t *timer) {
    struct worker *w = timer->data;
    uint64_t now = worker_now(w);
    struct deadline *d;
    w->timer_at_ms = UINT64_MAX;
    while ((d = deadlines_take_due(&w->progress, now)) != NULL) {
        session_on_progress_due(container_of(d, struct session, progress));
    }
    while ((d = deadlines_take_due(&w->silence, now)) != NULL) {
        session_on_silence_due(container_of(d, struct session, silence));
    }
    look_at(w, deadlines_next(&w->progress));
    look_at(w, deadlines_next(&w->silence));
}

/* --- handshakes --- */

void worker_queue_handshake(struct worker *w, struct session *s) {
    if (link_is_empty(&s->queue)) {
        link_append(s->engine.ssl != NULL ? &w->begun : &w->fresh, &s->queue);
    }
}

/* Those that were paid for in part go first: fewer are under way at once. */
static struct session *next_handshake(struct worker *w) {
    struct link *queue = !link_is_empty(&w->begun) ? &w->begun : &w->fresh;
    if (link_is_empty(queue)) {
        return NULL;
    }
    struct session *s = container_of(queue->next, struct session, queue);
    link_remove(&s->queue);
    return s;
}

static void on_no_sleep(uv_idle_t *idle) {
    (void)idle; /* being active is its work: the poll returns at once */
}

static bool handshakes_wait(const struct worker *w) {
    return !link_is_empty(&w->begun) || !link_is_empty(&w->fresh);
}

void worker_note_question(struct worker *w) {
    if (handshakes_wait(w)) {
        w->asked_ns = uv_hrtime();
    }
}

static bool holds_back(const struct worker *w, uint64_t now_ns) {
    return now_ns - w->asked_ns < ANSWER_NS && now_ns - w->rested_ns < HOLD_BACK_MAX_NS;
}

static void spend_handshake_budget(struct worker *w) {
    uint64_t start = uv_hrtime(), now = start;
    struct session *s;
    if (!holds_back(w, now)) {
        while (now - start < HANDSHAKE_BUDGET_NS && (s = next_handshake(w)) != NULL) {
            handshake_step(s);
            now = uv_hrtime();
        }
        w->rested_ns = now;
    }
    bool more = handshakes_wait(w);
    if (more != (bool)uv_is_active((uv_handle_t *)&w->no_sleep)) {
        more ? uv_idle_start(&w->no_sleep, on_no_sleep) : uv_idle_stop(&w->no_sleep);
    }
}

/* The poll has served the established sessions; now the others. */
static void on_after_poll(uv_check_t *check) {
    struct worker *w = check->data;
    w->read_last = NULL;
    for (size_t i = 0; i < w->listener_count; i++) {
        if (!w->listeners[i].starved) {
            listener_resume(&w->listeners[i]);
        }
    }
    if (handshakes_wait(w) || uv_is_active((uv_handle_t *)&w->no_sleep)) {
        spend_handshake_budget(w);
    }
}

/* --- what is looked at again soon --- */

bool worker_may_log(struct worker *w, enum reason reason, uint64_t *suppressed) {
    struct log_gate *gate = &w->gates[reason];
    uint64_t second = worker_now(w) / 1000;
    if (gate->second != second) {
        gate->second = second;
        gate->lines = 0;
    }
    if (gate->lines >= LINES_A_SECOND) {
        gate->suppressed++;
        worker_retry(w);
        return false;
    }
    gate->lines++;
    *suppressed = gate->suppressed;
    gate->suppressed = 0;
    return true;
}

/* The last of a storm is told too. True if some still wait for their second to pass. */
static bool tell_suppressed(struct worker *w) {
    bool waiting = false;
    uint64_t second = worker_now(w) / 1000;
    for (size_t i = 0; i < REASON_COUNT; i++) {
        struct log_gate *gate = &w->gates[i];
        if (gate->suppressed == 0) {
            continue;
        }
        if (gate->second == second && !w->closing) {
            waiting = true;
            continue;
        }
        struct log_line line;
        log_begin(&line, LOG_LEVEL_INFO, "lines suppressed");
        log_str(&line, "reason", reason_name((enum reason)i));
        log_num(&line, "suppressed", gate->suppressed);
        log_end(&line);
        gate->suppressed = 0;
    }
    return waiting;
}

static bool resume_starved(struct worker *w) {
    bool waiting = false;
    for (size_t i = 0; i < w->listener_count; i++) {
        if (w->listeners[i].starved) {
            listener_resume(&w->listeners[i]);
            waiting = waiting || w->listeners[i].starved;
        }
    }
    return waiting;
}

static void on_retry(uv_timer_t *timer) {
    struct worker *w = timer->data;
    bool lines = tell_suppressed(w);
    bool listeners = resume_starved(w);
    if (!lines && !listeners) {
        uv_timer_stop(timer);
    }
}

void worker_retry(struct worker *w) {
    if (!w->closing && !uv_is_active((uv_handle_t *)&w->retry)) {
        uv_timer_start(&w->retry, on_retry, RETRY_MS, RETRY_MS);
    }
}

/* --- the end --- */

static void close_handle(uv_handle_t *handle) {
    if (!uv_is_closing(handle)) {
        uv_close(handle, NULL);
    }
}

static void close_listeners(struct worker *w) {
    for (size_t i = 0; i < w->listener_count; i++) {
        listener_close(&w->listeners[i]);
    }
}

/* Nothing is left to serve: with its last handle closed, the loop ends. */
static void close_loop_handles(struct worker *w) {
    if (w->closing) {
        return;
    }
    w->closing = true;
    uv_mutex_lock(&w->mutex);
    w->deaf = true;
    uv_mutex_unlock(&w->mutex);
    tell_suppressed(w);
    close_listeners(w);
    dialer_close(&w->dialer);
    close_handle((uv_handle_t *)&w->timer);
    close_handle((uv_handle_t *)&w->retry);
    close_handle((uv_handle_t *)&w->drain);
    close_handle((uv_handle_t *)&w->after_poll);
    close_handle((uv_handle_t *)&w->no_sleep);
    close_handle((uv_handle_t *)&w->wake);
}

void worker_session_freed(struct worker *w) {
    w->unfreed_count--;
    atomic_fetch_sub_explicit(&w->shared->sessions, 1, memory_order_relaxed);
    if (w->draining && w->unfreed_count == 0) {
        close_loop_handles(w);
    }
}

static void end_all_before_their_broker(struct worker *w) {
    while (!link_is_empty(&w->silent)) {
        session_end(container_of(w->silent.next, struct session, link), REASON_DRAINED, NULL);
    }
    for (struct link *l = w->sessions.next, *next; l != &w->sessions; l = next) {
        next = l->next;
        struct session *s = container_of(l, struct session, link);
        if (s->state != SESSION_STREAMING) {
            session_end(s, REASON_DRAINED, NULL);
        }
    }
}

static void on_drain_tick(uv_timer_t *timer) {
    struct worker *w = timer->data;
    uint64_t passed = worker_now(w) - w->drain_started_ms;
    size_t may_stay =
        passed >= w->drain_ms
            ? 0
            : (size_t)((double)w->drain_total * (1 - (double)passed / (double)w->drain_ms));
    while (w->session_count > may_stay && !link_is_empty(&w->sessions)) {
        session_end(container_of(w->sessions.next, struct session, link), REASON_DRAINED, NULL);
    }
    if (w->session_count == 0) {
        uv_timer_stop(timer);
    }
}

static void begin_drain(struct worker *w, uint64_t duration_ms) {
    if (w->draining) {
        return;
    }
    w->draining = true;
    close_listeners(w);
    end_all_before_their_broker(w);
    if (w->unfreed_count == 0) {
        close_loop_handles(w);
        return;
    }
    w->drain_started_ms = worker_now(w);
    w->drain_ms = duration_ms == CONFIG_OFF ? 0 : duration_ms;
    w->drain_total = w->session_count;
    uv_timer_start(&w->drain, on_drain_tick, 0, DRAIN_TICK_MS);
}

static void end_at_once(struct worker *w) {
    begin_drain(w, 0);
    while (!link_is_empty(&w->sessions)) {
        session_end(container_of(w->sessions.next, struct session, link), REASON_DRAINED, NULL);
    }
    for (struct link *l = w->over.next; l != &w->over; l = l->next) {
        session_abort(container_of(l, struct session, link));
    }
}

/* --- wishes from other threads --- */

static void take_runtime(struct worker *w, struct runtime *next) {
    runtime_unref(w->runtime);
    w->runtime = next;
    for (struct link *l = w->sessions.next, *after; l != &w->sessions; l = after) {
        after = l->next;
        session_check_revoked(container_of(l, struct session, link), next);
    }
    w->events.adopted(w->events.arg);
}

static void on_wake(uv_async_t *async) {
    struct worker *w = async->data;
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
        end_at_once(w);
    } else if (drain) {
        begin_drain(w, drain_ms);
    }
}

static void wake(struct worker *w) {
    if (!w->deaf) {
        uv_async_send(&w->wake);
    }
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

/* --- the thread --- */

static void run(void *arg) {
    struct worker *w = arg;
    uv_run(&w->loop, UV_RUN_DEFAULT);
    w->events.stopped(w->events.arg);
}

static int init_handles(struct worker *w) {
    int rc = uv_async_init(&w->loop, &w->wake, on_wake);
    if (rc != 0) {
        return rc;
    }
    uv_timer_init(&w->loop, &w->timer); /* these four cannot fail */
    uv_timer_init(&w->loop, &w->retry);
    uv_timer_init(&w->loop, &w->drain);
    uv_check_init(&w->loop, &w->after_poll);
    uv_idle_init(&w->loop, &w->no_sleep);
    w->wake.data = w->timer.data = w->retry.data = w->drain.data = w->after_poll.data = w;
    uv_check_start(&w->after_poll, on_after_poll);
    return 0;
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

int worker_init(struct worker *w, unsigned index, struct shared *shared, struct runtime *runtime,
                const int *fds, const size_t *listener_of, size_t fd_count,
                struct worker_events events) {
    *w = (struct worker){.index = index, .shared = shared, .events = events};
    w->timer_at_ms = UINT64_MAX;
    struct link *lists[] = {&w->silent, &w->sessions, &w->over, &w->begun, &w->fresh};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        link_init(lists[i]);
    }
    int rc = uv_mutex_init(&w->mutex);
    if (rc != 0) {
        return rc;
    }
    rc = allocate(w, fd_count);
    if (rc == 0) {
        rc = uv_loop_init(&w->loop);
    }
    if (rc != 0) {
        free_parts(w);
        return rc;
    }
    w->loop.data = w;
    w->runtime = runtime_ref(runtime);
    dialer_init(&w->dialer, &w->loop);
    rc = init_handles(w);
    if (rc == 0) {
        rc = open_listeners(w, fds, listener_of, fd_count);
        if (rc != 0) {
            close_loop_handles(w);
        }
    }
    if (rc != 0) {
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
