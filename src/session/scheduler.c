#include "session/scheduler.h"

#include "session/admission.h"
#include "session/drain.h"
#include "session/pool.h"
#include "session/secrets.h"
#include "session/session.h"
#include "tls/engine_stack.h"

/* After this much time established sessions are looked at again: a message that comes meanwhile
 * waits half of it on average, on its way in and on the answer's way back. With much to do for
 * established sessions it is a third of what they have had, so that they never keep pending clients
 * out. */
static const uint64_t BUDGET_NS = 20 * 1000;
enum { ESTABLISHED_TO_PENDING = 3 };

/* Accepting is cheap beside a handshake, and has to be ahead of it: so it is max_handshakes that
 * refuses clients, and not the kernel's queue that loses them. */
enum { ACCEPTS_A_PIECE = 8 };

/* --- established sessions --- */

/* Those that have more to say than one turn allows. One that does not come to an end now waits for
 * the next turn. */
static void serve_established(struct pool *pool) {
    struct list now;
    if (list_is_empty(&pool->established_ready)) {
        return;
    }
    list_init(&now);
    list_append(&pool->established_ready, &now); /* becomes the head of what is there */
    list_remove(&pool->established_ready);
    while (!list_is_empty(&now)) {
        struct list *first = now.next;
        list_remove(first);
        session_serve(container_of(first, struct pool_member, ready));
    }
}

/* --- handshakes --- */

static bool is_empty(const struct handshake_queue *queue) {
    return list_is_empty(&queue->begun) && list_is_empty(&queue->fresh);
}

static struct pool_member *take(struct handshake_queue *queue) {
    struct pool_member *first = pool_first_handshake(queue);
    list_remove(&first->queue);
    return first;
}

static bool step_light(struct pool *pool) {
    if (is_empty(&pool->light)) {
        secrets_end_deferral(pool);
        return false;
    }
    if (secrets_defer_step(pool)) {
        return false;
    }
    secrets_compute(pool);
    session_step(take(&pool->light));
    return true;
}

/* One step or a piece of one; or of the step that a session left which has ended since. */
static bool step_heavy(struct pool *pool) {
    if (!is_empty(&pool->heavy)) {
        session_step(take(&pool->heavy));
        return true;
    }
    if (engine_stack_has_work(pool->stack)) {
        engine_stack_work(pool->stack);
        return true;
    }
    return false;
}

/* --- pending clients --- */

static bool serve_pending(struct pool *pool) {
    if (list_is_empty(&pool->pending_ready)) {
        return false;
    }
    struct list *first = pool->pending_ready.next;
    list_remove(first);
    session_serve(container_of(first, struct pool_member, ready));
    return true;
}

static bool accept_some(struct pool *pool) {
    unsigned accepted = 0;
    while (accepted < ACCEPTS_A_PIECE && pool->hooks.accept(pool->hooks.arg)) {
        accepted++;
    }
    return accepted > 0;
}

/* Each does one piece of its work, if there is any that should not wait. */
static bool (*const kinds[])(struct pool *pool) = {serve_pending, step_light, accept_some,
                                                   step_heavy};
enum { KINDS = sizeof kinds / sizeof *kinds };

bool scheduler_has_handshakes(const struct pool *pool) {
    return !is_empty(&pool->light) || !is_empty(&pool->heavy) || engine_stack_has_work(pool->stack);
}

static bool has_pending_work(const struct pool *pool) {
    return !list_is_empty(&pool->pending_ready) || scheduler_has_handshakes(pool) ||
           pool->hooks.can_accept(pool->hooks.arg);
}

static void work_for_pending(struct pool *pool, uint64_t events_ns) {
    uint64_t now_ns = loop_now_ns(), share_ns = (now_ns - events_ns) / ESTABLISHED_TO_PENDING;
    pool->until_ns = now_ns + (share_ns > BUDGET_NS ? share_ns : BUDGET_NS);
    for (unsigned idle = 0; idle < KINDS;) {
        bool worked = kinds[pool->next_work](pool);
        pool->next_work = (pool->next_work + 1) % KINDS;
        idle = worked ? 0 : idle + 1;
        if (worked && loop_now_ns() >= pool->until_ns) {
            return;
        }
    }
}

/* --- the turn --- */

bool scheduler_has_work(void *arg) {
    struct pool *pool = arg;
    return !list_is_empty(&pool->established_ready) || !list_is_empty(&pool->closed) ||
           has_pending_work(pool) || pool->unchecked > 0 || pool->scratch_stale ||
           drain_is_done(pool);
}

static void free_closed(struct pool *pool) {
    while (!list_is_empty(&pool->closed)) {
        session_free(container_of(pool->closed.next, struct pool_member, link));
    }
}

bool scheduler_on_turn(void *arg, uint64_t events_ns) {
    struct pool *pool = arg;
    serve_established(pool);
    bool pending = has_pending_work(pool);
    if (pending) {
        work_for_pending(pool, events_ns);
    }
    if (pool->unchecked > 0) {
        admission_check_revoked(pool);
    }
    free_closed(pool);
    pool_wipe_scratch(pool);
    histogram_observe(&pool->metrics->turn, loop_now_ns() - events_ns);
    if (drain_is_done(pool)) {
        pool->hooks.drained(pool->hooks.arg);
    }
    return pending && has_pending_work(pool);
}

/* --- deadlines --- */

/* What starves again, or has lines to report yet, asks for this again. */
static void retry(struct pool *pool) {
    pool->retry_ms = UINT64_MAX;
    pool->hooks.accept_again(pool->hooks.arg);
    if (pool_report_suppressed(pool, false)) {
        pool_retry(pool);
    }
}

static void serve_due(struct pool *pool, uint64_t now_ms) {
    struct deadline *d;
    while ((d = deadlines_take_due(&pool->progress, now_ms)) != NULL) {
        session_on_progress_due(container_of(d, struct pool_member, progress));
    }
    while ((d = deadlines_take_due(&pool->silence, now_ms)) != NULL) {
        session_on_silence_due(container_of(d, struct pool_member, silence));
    }
    uint64_t progress = deadlines_next(&pool->progress), silence = deadlines_next(&pool->silence);
    pool->due_ms = progress < silence ? progress : silence;
}

void scheduler_on_deadline(void *arg) {
    struct pool *pool = arg;
    uint64_t now_ms = pool_now_ms(pool);
    if (now_ms >= pool->due_ms) {
        serve_due(pool, now_ms);
    }
    if (now_ms >= pool->retry_ms) {
        retry(pool);
    }
    if (now_ms >= pool->drain_tick_ms) {
        drain_tick(pool);
    }
    dialer_on_time(&pool->dialer);
    prober_on_time(&pool->prober);
}
