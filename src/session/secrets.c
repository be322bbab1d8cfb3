#include "session/secrets.h"

#include "session/state.h"
#include "tls/agreement.h"

/* How often steps are deferred for one batch, and how many sessions of both queues are looked at.
 */
enum { DEFERRED_MAX = 16, LOOKED_AT_MAX = 4 * AGREEMENTS_MAX };

/* Steps that are due together. */
struct batch {
    struct agreement_step steps[AGREEMENTS_MAX];
    struct session *sessions[AGREEMENTS_MAX];
    size_t count;
    unsigned looked_at;
};

static struct agreement_step describe_step(const struct session *s) {
    const struct pending *p = s->pending;
    return (struct agreement_step){
        .engine = s->engine,
        .ctx = session_listener(s)->tls,
        .hello = &p->hello,
        .in = p->cipher.data,
        .len = p->cipher.len,
    };
}

static bool needs_secret(const struct session *s, const struct agreement_step *step) {
    return !s->pending->secret_ready && agreement_is_due(step);
}

static void collect(struct batch *batch, struct list *queue) {
    for (struct list *at = queue->next; at != queue; at = at->next) {
        if (batch->count == AGREEMENTS_MAX || batch->looked_at == LOOKED_AT_MAX) {
            return;
        }
        batch->looked_at++;
        struct session *s = session_of(container_of(at, struct pool_member, queue));
        batch->steps[batch->count] = describe_step(s);
        if (needs_secret(s, &batch->steps[batch->count])) {
            batch->sessions[batch->count++] = s;
        }
    }
}

static bool first_needs_secret(struct pool *pool) {
    const struct session *first = session_of(pool_first_handshake(&pool->light));
    struct agreement_step step = describe_step(first);
    return needs_secret(first, &step);
}

static void collect_all(struct batch *batch, struct pool *pool) {
    batch->count = batch->looked_at = 0;
    collect(batch, &pool->light.begun);
    collect(batch, &pool->light.fresh);
}

bool secrets_defer_step(struct pool *pool) {
    struct batch batch;
    if (list_is_empty(&pool->pending_ready) || pool->deferred == DEFERRED_MAX ||
        !first_needs_secret(pool)) {
        return false;
    }
    collect_all(&batch, pool);
    if (batch.count == AGREEMENTS_MAX) {
        return false;
    }
    pool->deferred++;
    return true;
}

void secrets_compute(struct pool *pool) {
    struct batch batch;
    if (!first_needs_secret(pool)) {
        return;
    }
    collect_all(&batch, pool);
    if (batch.count < AGREEMENTS_WORTHWHILE) {
        return;
    }
    agreements_compute(batch.steps, batch.count);
    for (size_t i = 0; i < batch.count; i++) {
        batch.sessions[i]->pending->secret_ready = true;
    }
    secrets_end_deferral(pool);
}

void secrets_end_deferral(struct pool *pool) {
    pool->deferred = 0;
}
