#include "session/admission.h"

#include "session/closing.h"
#include "session/state.h"

#include <assert.h>

/* In a burst everybody is silent for a moment: only a client that has been so for longer makes
 * room. */
enum { SILENT_GRACE_MS = 1000 };

bool admission_is_balancer(const struct session *s) {
    const struct config_listener *config = session_config(s);
    for (size_t i = 0; i < config->accept_proxy_count; i++) {
        if (address_is_in(&s->client_addr, &config->accept_proxy[i])) {
            return true;
        }
    }
    return false;
}

enum verdict admission_check(struct session *s) {
    const struct runtime_listener *l = &s->pool->runtime->listeners[s->listener];
    if (limits_connections_exceeded(s->pool->limits, s->listener, l->config->max_connections)) {
        return session_end(s, REASON_LIMIT_CONNECTIONS, NULL);
    }
    if (backends_all_down(l->backends, l->config->backend_count)) {
        prober_watch(&s->pool->prober, l->backends, l->config->backend_count);
        return session_end(s, REASON_NO_BACKEND, NULL);
    }
    return SESSION_GOES_ON;
}

/* --- room --- */

bool admission_evict_silent(struct pool *pool) {
    if (list_is_empty(&pool->silent)) {
        return false;
    }
    struct session *oldest = session_of(container_of(pool->silent.next, struct pool_member, link));
    if (pool_now_ms(pool) - oldest->accepted_ms < SILENT_GRACE_MS) {
        return false;
    }
    session_end_now(oldest, REASON_FIRST_BYTE_TIMEOUT, "made room for another client");
    return true;
}

/* The silent ones may all be with other pools: these are asked too, and the listener tries again
 * soon. */
bool admission_make_room(struct pool *pool) {
    if (limits_have_room(pool->limits) || admission_evict_silent(pool)) {
        return true;
    }
    pool->hooks.ask_for_room(pool->hooks.arg);
    return false;
}

/* --- handshakes ---
 *
 * max_handshakes bounds the handshakes that wait for a step of ours. One that waits for its client
 * costs memory but no time, and a client that never answers could hold its place until
 * handshake_timeout: so these are in a list of their own, whose oldest entry makes room. */

enum verdict admission_queue_handshake(struct session *s) {
    if (s->counted) {
        return SESSION_GOES_ON;
    }
    bool fresh = !s->awaited;
    closing_leave_handshakes(s);
    s->counted = true;
    bool within =
        limits_handshake_waits(s->pool->limits, s->listener, session_config(s)->max_handshakes);
    if (fresh && !within) {
        return session_end(s, REASON_LIMIT_HANDSHAKES, NULL);
    }
    pool_queue_handshake(s->pool, &s->member, s->heavy, s->engine != NULL);
    return SESSION_GOES_ON;
}

void admission_await_client(struct session *s) {
    struct awaited_list *awaited = &s->pool->awaited[s->listener];
    closing_leave_handshakes(s);
    s->awaited = true;
    awaited->count++;
    list_append(&awaited->oldest_first, &s->member.queue);
    if (awaited->count > limits_max_awaited(s->pool->limits, session_config(s)->max_handshakes)) {
        struct list *first = awaited->oldest_first.next;
        struct session *oldest = session_of(container_of(first, struct pool_member, queue));
        assert(oldest != s);
        session_end_now(oldest, REASON_LIMIT_HANDSHAKES, "waited longest for its client");
    }
}

/* --- reload --- */

bool admission_is_revoked(const struct session *s, const struct runtime *by) {
    const struct cert_id *id = engine_peer_id(s->engine);
    return id != NULL && tls_context_revokes(by->listeners[s->listener].tls, id);
}

static void check_revoked(struct session *s, const struct runtime *next) {
    bool ends = next->listeners[s->listener].config->revoked_sessions == REVOKED_END;
    if (ends && s->established && admission_is_revoked(s, next)) {
        session_end_now(s, REASON_REVOKED, NULL);
    }
}

void admission_adopt(struct pool *pool, struct runtime *next) {
    runtime_unref(pool->runtime);
    pool->runtime = next;
    for (struct list *l = pool->live.next, *after; l != &pool->live; l = after) {
        after = l->next;
        check_revoked(session_of(container_of(l, struct pool_member, link)), next);
    }
}
