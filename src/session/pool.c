#include "session/pool.h"

#include "core/log.h"
#include "core/wipe.h"
#include "tls/engine_stack.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { RETRY_MS = 100, REPORT_ENDS_MS = 1000 };

static void init_lists(struct pool *pool) {
    struct list *lists[] = {
        &pool->live,          &pool->lingering,   &pool->closed,      &pool->established_ready,
        &pool->pending_ready, &pool->light.begun, &pool->light.fresh, &pool->heavy.begun,
        &pool->heavy.fresh};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        list_init(lists[i]);
    }
}

bool pool_init(struct pool *pool, struct loop *loop, struct limits *limits, struct runtime *runtime,
               const struct pool_hooks *hooks) {
    size_t waits = runtime->config->listener_count * WAIT_KINDS;
    *pool = (struct pool){
        .loop = loop,
        .poller = loop_poller(loop),
        .limits = limits,
        .hooks = *hooks,
        .due_ms = UINT64_MAX,
        .retry_ms = UINT64_MAX,
        .ends_due_ms = UINT64_MAX,
        .drain_tick_ms = UINT64_MAX,
        .metrics = metrics_new(runtime->config->listener_count),
        .waits = calloc(waits, sizeof *pool->waits),
        .cipher = malloc(POOL_READ_SIZE),
        .plain = malloc(POOL_PLAIN_SIZE),
    };
    if (pool->metrics == NULL || pool->waits == NULL || pool->cipher == NULL ||
        pool->plain == NULL || !log_limit_init(&pool->log_limit)) {
        metrics_free(pool->metrics);
        free(pool->waits);
        free(pool->cipher);
        free(pool->plain);
        return false;
    }
    init_lists(pool);
    for (size_t i = 0; i < waits; i++) {
        list_init(&pool->waits[i].oldest_first);
    }
    pool->runtime = runtime_ref(runtime);
    dialer_init(&pool->dialer, loop_uv(loop), pool->poller);
    prober_init(&pool->prober, &pool->dialer);
    return true;
}

void pool_close(struct pool *pool) {
    (void)pool_report_suppressed(pool, true);
    prober_close(&pool->prober);
    dialer_close(&pool->dialer);
}

void pool_free(struct pool *pool) {
    assert(pool->unfreed_count == 0);
    runtime_unref(pool->runtime);
    deadlines_free(&pool->progress);
    deadlines_free(&pool->silence);
    engine_stack_free(pool->stack);
    buf_free(&pool->sealed);
    metrics_free(pool->metrics);
    free(pool->waits);
    free(pool->cipher);
    free(pool->plain);
}

uint64_t pool_now_ms(const struct pool *pool) {
    return loop_now_ms(pool->loop);
}

struct metrics *pool_metrics(const struct pool *pool) {
    return pool->metrics;
}

/* --- deadlines --- */

bool pool_set_deadline(struct pool *pool, struct deadlines *all, struct deadline *deadline,
                       uint64_t duration_ms) {
    if (!deadline_set(all, deadline, pool_now_ms(pool), duration_ms)) {
        return false;
    }
    if (deadline_is_set(deadline) && deadline->at_ms < pool->due_ms) {
        pool->due_ms = deadline->at_ms;
    }
    return true;
}

uint64_t pool_next_deadline_ms(void *arg) {
    const struct pool *pool = arg;
    const uint64_t all[] = {pool->due_ms, pool->retry_ms, pool->drain_tick_ms,
                            dialer_next_ms(&pool->dialer), prober_next_ms(&pool->prober)};
    uint64_t next_ms = UINT64_MAX;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        next_ms = all[i] < next_ms ? all[i] : next_ms;
    }
    return next_ms;
}

void pool_retry(struct pool *pool) {
    if (pool->retry_ms == UINT64_MAX) {
        pool->retry_ms = pool_now_ms(pool) + RETRY_MS;
    }
}

/* --- lines --- */

bool pool_may_log(struct pool *pool, enum reason reason, const struct address *client,
                  uint64_t *suppressed) {
    if (log_limit_allows(&pool->log_limit, reason, client, pool_now_ms(pool), suppressed)) {
        return true;
    }
    counter_add(&pool->metrics->suppressed, 1);
    pool_retry(pool);
    return false;
}

bool pool_may_log_end(struct pool *pool, size_t listener, uint64_t *suppressed) {
    uint64_t now_ms = pool_now_ms(pool);
    struct config_rate rate = pool->runtime->config->listeners[listener].session_log;
    if (limits_end_may_be_logged(pool->limits, listener, now_ms, rate, suppressed)) {
        return true;
    }
    counter_add(&pool->metrics->suppressed, 1);
    if (pool->ends_due_ms == UINT64_MAX) {
        pool->ends_due_ms = now_ms + REPORT_ENDS_MS;
    }
    pool_retry(pool);
    return false;
}

/* Of all pools: the first one to ask reports them. */
static void report_ends(struct pool *pool) {
    const struct config *config = pool->runtime->config;
    pool->ends_due_ms = UINT64_MAX;
    for (size_t i = 0; i < config->listener_count; i++) {
        uint64_t suppressed = limits_take_suppressed_ends(pool->limits, i);
        struct log_line line;
        if (suppressed > 0) {
            log_begin(&line, LOG_LEVEL_INFO, "lines suppressed");
            log_str(&line, "listener", config->listeners[i].name);
            log_num(&line, "suppressed", suppressed);
            log_end(&line);
        }
    }
}

bool pool_report_suppressed(struct pool *pool, bool all) {
    uint64_t now_ms = pool_now_ms(pool);
    if (pool->ends_due_ms != UINT64_MAX && (all || now_ms >= pool->ends_due_ms)) {
        report_ends(pool);
    }
    return log_limit_report(&pool->log_limit, now_ms, all) || pool->ends_due_ms != UINT64_MAX;
}

/* --- lists --- */

/* A walk that stands before that member of `live` stands before the next one. */
static void pass_by(struct pool *pool, const struct pool_member *m) {
    for (size_t i = 0; i < POOL_WALKS; i++) {
        if (pool->walks[i].next == &m->link) {
            pool->walks[i].next = m->link.next;
        }
    }
}

static void move(struct pool_member *m, struct list *to) {
    list_remove(&m->link);
    list_append(to, &m->link);
}

void pool_add(struct pool *pool, struct pool_member *m) {
    list_init(&m->ready);
    list_init(&m->queue);
    list_append(&pool->live, &m->link);
    pool->session_count++;
    pool->unfreed_count++;
}

void pool_rotate(struct pool *pool, struct pool_member *m) {
    pass_by(pool, m);
    move(m, &pool->live);
}

void pool_linger(struct pool *pool, struct pool_member *m) {
    deadline_clear(&m->progress);
    deadline_clear(&m->silence);
    pass_by(pool, m);
    move(m, &pool->lingering);
    pool->session_count--;
}

void pool_defer_free(struct pool *pool, struct pool_member *m) {
    deadline_clear(&m->silence);
    list_remove(&m->ready);
    list_remove(&m->queue);
    move(m, &pool->closed);
}

void pool_remove(struct pool *pool, struct pool_member *m) {
    list_remove(&m->link);
    pool->unfreed_count--;
}

void pool_wipe_scratch(struct pool *pool) {
    if (pool->scratch_stale) {
        explicit_bzero(pool->cipher, pool->cipher_used);
        explicit_bzero(pool->plain, pool->plain_used);
        wipe_frames(); /* decryption leaves a block of the plaintext there, by some compilers */
        wipe_registers();
        pool->cipher_used = pool->plain_used = 0;
        pool->scratch_stale = false;
    }
}

void pool_serve_later(struct pool *pool, struct pool_member *m, bool established) {
    if (list_is_empty(&m->ready)) {
        list_append(established ? &pool->established_ready : &pool->pending_ready, &m->ready);
    }
}

void pool_queue_handshake(struct pool *pool, struct pool_member *m, bool heavy, bool begun) {
    struct handshake_queue *queue = heavy ? &pool->heavy : &pool->light;
    if (list_is_empty(&m->queue)) {
        list_append(begun ? &queue->begun : &queue->fresh, &m->queue);
    }
}

struct pool_member *pool_first_handshake(const struct handshake_queue *queue) {
    const struct list *list = !list_is_empty(&queue->begun) ? &queue->begun : &queue->fresh;
    return container_of(list->next, struct pool_member, queue);
}

void pool_resume_handshake(struct pool *pool, struct pool_member *m) {
    list_append(pool->heavy.begun.next, &m->queue); /* before the first */
}

static bool on_should_pause(void *arg) {
    const struct pool *pool = arg;
    return loop_now_ns() >= pool->until_ns;
}

struct engine_stack *pool_stack(struct pool *pool) {
    if (pool->stack == NULL) {
        pool->stack = engine_stack_new(on_should_pause, pool);
    }
    return pool->stack;
}
