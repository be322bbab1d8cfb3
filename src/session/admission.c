#include "session/admission.h"

#include "session/closing.h"
#include "session/state.h"

#include <assert.h>

/* In a burst everybody is silent for a moment: only a client that has been so for longer makes
 * room. */
enum { SILENT_GRACE_MS = 1000 };

static bool is_in_any(const struct address *addr, const struct config_networks *networks) {
    for (size_t i = 0; i < networks->count; i++) {
        if (address_is_in(addr, &networks->all[i])) {
            return true;
        }
    }
    return false;
}

bool admission_is_balancer(const struct session *s) {
    return is_in_any(&s->client_addr, &session_config(s)->accept_proxy);
}

static bool is_denied(const struct session *s, const struct config_listener *config) {
    return is_in_any(&s->client_addr, &config->deny) ||
           (config->allow.count > 0 && !is_in_any(&s->client_addr, &config->allow));
}

/* Costs nothing where no limit for an address is configured. */
static enum reason count_address(struct session *s, const struct config_listener *config) {
    if (config->max_connections_per_address == 0 &&
        config->new_connections_per_address.count == 0) {
        return REASON_NONE;
    }
    enum reason reason =
        limits_address_enters(s->pool->limits, &s->client_addr, pool_now_ms(s->pool), config);
    s->listed = reason == REASON_NONE;
    return reason;
}

/* A broker that has gone away a moment ago may be restarting: its clients wait for it after their
 * handshake, as long as they would wait for its answer. */
static bool is_without_backend(const struct session *s, const struct runtime_listener *l) {
    uint64_t since_ms = backends_down_since(l->backends, l->config->backend_count);
    return since_ms != UINT64_MAX &&
           pool_now_ms(s->pool) >= since_ms + l->config->connect_timeout_ms;
}

enum verdict admission_check(struct session *s) {
    const struct runtime_listener *l = &s->pool->runtime->listeners[s->listener];
    const struct config_listener *config = l->config;
    if (is_denied(s, config)) {
        return session_end(s, REASON_DENIED, NULL);
    }
    if (limits_connections_exceeded(s->pool->limits, s->listener, config->max_connections)) {
        return session_end(s, REASON_LIMIT_CONNECTIONS, NULL);
    }
    enum reason reason = count_address(s, config);
    if (reason != REASON_NONE) {
        return session_end(s, reason, NULL);
    }
    if (is_without_backend(s, l)) {
        prober_watch(&s->pool->prober, &l->target);
        return session_end(s, REASON_NO_BACKEND, NULL);
    }
    return SESSION_GOES_ON;
}

/* The oldest silent client, unless it has only just come. */
static bool evict_silent(struct pool *pool) {
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

/* --- handshakes ---
 *
 * max_handshakes bounds the handshakes that wait for a step of ours. One that waits for its client
 * costs memory but no time, and a client that never answers could hold its place until
 * handshake_timeout: so these are in a list of their own.
 *
 * When either is full, somebody has to go. That is a session of the address that has the most
 * handshakes under way, so that one address, or a few, cannot keep the others out; and where all
 * have the same, the one that has waited longest for its client, or the newcomer. */

/* How many entries of a list are looked at, evenly spread over all of it: an address that has a
 * large part of it is among them, wherever it stands. */
enum { LOOKED_AT = 64 };

/* Of a list that has about `count` entries, the oldest first, the one of that listener whose
 * address has the most handshakes, and how many that are; NULL if there is none. Not `except`. */
static struct session *find_heaviest(struct list *list, size_t count, size_t listener,
                                     const struct session *except, size_t *handshakes) {
    struct session *heaviest = NULL;
    size_t step = count / LOOKED_AT + 1, at = 0;
    *handshakes = 0;
    for (struct list *l = list->next; l != list; l = l->next, at++) {
        struct session *s = session_of(container_of(l, struct pool_member, queue));
        if (at % step != 0 || (except != NULL && s == except) || s->listener != listener) {
            continue;
        }
        size_t of_address = limits_address_handshakes(s->pool->limits, &s->client_addr);
        if (heaviest == NULL || of_address > *handshakes) {
            heaviest = s;
            *handshakes = of_address;
        }
    }
    return heaviest;
}

void admission_queue_handshake(struct session *s) {
    if (s->counted) {
        return;
    }
    closing_leave_handshakes(s);
    s->counted = true;
    limits_handshake_waits(s->pool->limits, s->listener);
    pool_queue_handshake(s->pool, &s->member, s->heavy, s->engine != NULL);
}

/* Whether one whose address has more handshakes than the address of `s` has made room. */
static bool make_room_in_queue(struct session *s) {
    struct pool *pool = s->pool;
    size_t own = limits_address_handshakes(pool->limits, &s->client_addr), light, heavy;
    size_t count = session_config(s)->max_handshakes;
    struct session *a = find_heaviest(&pool->light.fresh, count, s->listener, s, &light);
    struct session *b = find_heaviest(&pool->heavy.fresh, count, s->listener, s, &heavy);
    struct session *heaviest = light >= heavy ? a : b;
    if (heaviest == NULL || (light >= heavy ? light : heavy) <= own) {
        return false;
    }
    session_end_now(heaviest, REASON_LIMIT_HANDSHAKES, "its address has the most");
    return true;
}

enum verdict admission_begin_handshake(struct session *s) {
    struct limits *limits = s->pool->limits;
    limits_address_handshake_begins(limits, &s->client_addr);
    s->shaking = true;
    s->counted = true;
    limits_handshake_waits(limits, s->listener);
    if (limits_handshakes_exceeded(limits, s->listener, session_config(s)->max_handshakes) &&
        !make_room_in_queue(s)) {
        return session_end(s, REASON_LIMIT_HANDSHAKES, NULL);
    }
    pool_queue_handshake(s->pool, &s->member, s->heavy, false);
    return SESSION_GOES_ON;
}

void admission_await_client(struct session *s) {
    struct awaited_list *awaited = &s->pool->awaited[s->listener];
    closing_leave_handshakes(s);
    s->awaited = true;
    awaited->count++;
    list_append(&awaited->oldest_first, &s->member.queue);
    if (awaited->count > limits_max_awaited(s->pool->limits, session_config(s)->max_handshakes)) {
        size_t handshakes;
        struct session *heaviest =
            find_heaviest(&awaited->oldest_first, awaited->count, s->listener, s, &handshakes);
        session_end_now(heaviest, REASON_LIMIT_HANDSHAKES,
                        "too many handshakes wait for their clients");
    }
}

/* --- room --- */

/* Handshakes that have waited for their clients for longer than a moment, of the address that has
 * the most of them. */
static bool evict_awaited(struct pool *pool) {
    struct session *heaviest = NULL;
    size_t most = 0, handshakes;
    for (size_t i = 0; i < pool->runtime->config->listener_count; i++) {
        struct awaited_list *awaited = &pool->awaited[i];
        struct session *s =
            find_heaviest(&awaited->oldest_first, awaited->count, i, NULL, &handshakes);
        if (s != NULL && handshakes > most &&
            pool_now_ms(pool) - s->accepted_ms >= SILENT_GRACE_MS) {
            heaviest = s;
            most = handshakes;
        }
    }
    if (heaviest == NULL) {
        return false;
    }
    session_end_now(heaviest, REASON_LIMIT_HANDSHAKES, "made room for another client");
    return true;
}

bool admission_evict(struct pool *pool) {
    return evict_silent(pool) || evict_awaited(pool);
}

/* Those that could go may all be with other pools: these are asked too, and the listener tries
 * again soon. */
bool admission_make_room(struct pool *pool) {
    if (limits_have_room(pool->limits) || admission_evict(pool)) {
        return true;
    }
    pool->hooks.ask_for_room(pool->hooks.arg);
    return false;
}

/* --- reload --- */

static void check_revoked(struct session *s, const struct runtime *next) {
    const struct runtime_listener *l = &next->listeners[s->listener];
    bool ends = l->config->revoked_sessions == REVOKED_END;
    if (ends && s->established && engine_is_revoked(s->engine, l->tls)) {
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
