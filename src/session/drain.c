/* A worker's end: no new clients, the connected let go over some time, then the loop closed. */
#include "session/listener.h"
#include "session/session.h"
#include "session/worker.h"

enum { TICK_MS = 50 };

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

void drain_close_loop(struct worker *w) {
    if (w->closing) {
        return;
    }
    w->closing = true;
    log_limit_report(&w->log_limit, worker_now(w), true);
    close_listeners(w);
    prober_close(&w->prober);
    dialer_close(&w->dialer);
    close_handle((uv_handle_t *)&w->retry);
    close_handle((uv_handle_t *)&w->drain);
    if (w->alive.loop != NULL) { /* else the worker did not come that far */
        close_handle((uv_handle_t *)&w->alive);
    }
}

static void end_first(struct list *list) {
    session_end(container_of(list->next, struct session, link), REASON_DRAINED, NULL);
}

static void end_all_before_their_broker(struct worker *w) {
    while (!list_is_empty(&w->silent)) {
        end_first(&w->silent);
    }
    for (struct list *l = w->sessions.next, *next; l != &w->sessions; l = next) {
        next = l->next;
        struct session *s = container_of(l, struct session, link);
        if (s->state != SESSION_STREAMING) {
            session_end(s, REASON_DRAINED, NULL);
        }
    }
}

static void on_tick(uv_timer_t *timer) {
    struct worker *w = timer->data;
    uint64_t passed = worker_now(w) - w->drain_started_ms;
    size_t may_stay =
        passed >= w->drain_ms
            ? 0
            : (size_t)((double)w->drain_total * (1 - (double)passed / (double)w->drain_ms));
    while (w->session_count > may_stay && !list_is_empty(&w->sessions)) {
        end_first(&w->sessions);
    }
    if (w->session_count == 0) {
        uv_timer_stop(timer);
    }
}

void drain_begin(struct worker *w, uint64_t duration_ms) {
    if (w->draining) {
        return;
    }
    w->draining = true;
    close_listeners(w);
    end_all_before_their_broker(w);
    w->drain_started_ms = worker_now(w);
    w->drain_ms = duration_ms == CONFIG_OFF ? 0 : duration_ms;
    w->drain_total = w->session_count;
    if (w->session_count > 0) {
        uv_timer_start(&w->drain, on_tick, 0, TICK_MS);
    }
}

void drain_at_once(struct worker *w) {
    drain_begin(w, 0);
    while (!list_is_empty(&w->sessions)) {
        end_first(&w->sessions);
    }
    for (struct list *l = w->over.next, *next; l != &w->over; l = next) {
        next = l->next;
        session_abort(container_of(l, struct session, link));
    }
}
