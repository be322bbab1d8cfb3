#include "session/drain.h"

#include "session/closing.h"
#include "session/state.h"
#include "tls/engine_stack.h"

enum { TICK_MS = 50 };

static struct session *first_of(struct list *list) {
    return session_of(container_of(list->next, struct pool_member, link));
}

static void end_all_without_broker(struct pool *pool) {
    for (struct list *l = pool->live.next, *next; l != &pool->live; l = next) {
        next = l->next;
        struct session *s = session_of(container_of(l, struct pool_member, link));
        if (s->phase != PHASE_RELAYING) {
            session_end_now(s, REASON_DRAINED, NULL);
        }
    }
}

/* How many sessions may stay for now: fewer in proportion to the time that has passed. */
static size_t may_stay(const struct pool *pool) {
    uint64_t passed_ms = pool_now_ms(pool) - pool->drain_started_ms;
    if (passed_ms >= pool->drain_ms) {
        return 0;
    }
    return (size_t)((double)pool->drain_total * (1 - (double)passed_ms / (double)pool->drain_ms));
}

static void start_clock(struct pool *pool) {
    pool->drain_waits = false;
    end_all_without_broker(pool);
    pool->drain_total = pool->session_count;
}

void drain_tick(struct pool *pool) {
    if (pool->drain_waits) {
        start_clock(pool);
    }
    size_t stay = may_stay(pool);
    while (pool->session_count > stay && !list_is_empty(&pool->live)) {
        session_end_now(first_of(&pool->live), REASON_DRAINED, NULL);
    }
    pool->drain_tick_ms = pool->session_count > 0 ? pool_now_ms(pool) + TICK_MS : UINT64_MAX;
}

void drain_begin_after(struct pool *pool, uint64_t grace_ms, uint64_t duration_ms) {
    if (pool->draining) {
        return;
    }
    pool->draining = true;
    pool->drain_waits = true;
    pool->drain_started_ms = pool_now_ms(pool) + grace_ms;
    pool->drain_ms = duration_ms == CONFIG_OFF ? 0 : duration_ms;
    if (grace_ms == 0) {
        start_clock(pool);
    }
    if (pool->session_count > 0) {
        pool->drain_tick_ms = pool->drain_started_ms;
    }
}

void drain_begin(struct pool *pool, uint64_t duration_ms) {
    drain_begin_after(pool, 0, duration_ms);
}

void drain_now(struct pool *pool) {
    drain_begin(pool, 0);
    while (!list_is_empty(&pool->live)) {
        session_end_now(first_of(&pool->live), REASON_DRAINED, NULL);
    }
    for (struct list *l = pool->lingering.next, *next; l != &pool->lingering; l = next) {
        next = l->next;
        closing_abort(session_of(container_of(l, struct pool_member, link)));
    }
}

bool drain_is_done(const struct pool *pool) {
    return pool->draining && pool->unfreed_count == 0 && !engine_stack_has_work(pool->stack);
}
