#include "session/admission.h"

#include "session/closing.h"
#include "session/eviction.h"
#include "session/state.h"

#include <assert.h>

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
    struct limits *limits = s->pool->limits;
    uint64_t now_ms = pool_now_ms(s->pool);
    enum reason reason = limits_address_enters(limits, &s->client_addr, now_ms, config);
    if (reason == REASON_LIMIT_ADDRESS && eviction_of_address(s)) {
        reason = limits_address_enters(limits, &s->client_addr, now_ms, config);
    }
    s->in_connections = reason == REASON_NONE;
    return reason;
}

/* A broker that has gone away a moment ago may be restarting: its clients wait for it after their
 * handshake, as long as they would wait for its answer. */
static bool is_without_backend(const struct session *s, const struct runtime_listener *l) {
    uint64_t since_ms = backends_down_since(l->backends, l->config->backend_count);
    return since_ms != UINT64_MAX &&
           pool_now_ms(s->pool) >= since_ms + l->config->connect_timeout_ms;
}

/* Whichever route its client would get. */
static bool is_without_any_backend(const struct session *s, const struct runtime_listener *l) {
    if (!is_without_backend(s, l)) {
        return false;
    }
    for (size_t i = 0; i < l->config->route_count; i++) {
        if (!is_without_backend(s, &l->routes[i])) {
            return false;
        }
    }
    return true;
}

static void watch_all(struct pool *pool, const struct runtime_listener *l) {
    prober_watch(&pool->prober, &l->target);
    for (size_t i = 0; i < l->config->route_count; i++) {
        prober_watch(&pool->prober, &l->routes[i].target);
    }
}

bool admission_has_backend(struct session *s) {
    const struct runtime_listener *l = session_listener(s);
    bool has_routes = s->runtime->listeners[s->listener].config->route_count > 0;
    if (!has_routes || !is_without_backend(s, l)) {
        return true;
    }
    prober_watch(&s->pool->prober, &l->target);
    return false;
}

enum verdict admission_check(struct session *s) {
    const struct runtime_listener *l = &s->pool->runtime->listeners[s->listener];
    const struct config_listener *config = l->config;
    if (is_denied(s, config)) {
        return session_end(s, REASON_DENIED, NULL);
    }
    if (limits_connections_exceeded(s->pool->limits, s->listener, config->max_connections) &&
        !eviction_from_listener(s->pool, s->listener)) {
        return session_end(s, REASON_LIMIT_CONNECTIONS, NULL);
    }
    enum reason reason = count_address(s, config);
    if (reason != REASON_NONE) {
        return session_end(s, reason, NULL);
    }
    if (is_without_any_backend(s, l)) {
        watch_all(s->pool, l);
        return session_end(s, REASON_NO_BACKEND, NULL);
    }
    return SESSION_GOES_ON;
}

/* --- handshakes ---
 *
 * max_handshakes bounds the handshakes that wait for a step of ours. One that waits for its client
 * costs memory but no time, and a client that never answers could hold its place until
 * handshake_timeout: so these are in a list of their own.
 *
 * When either is full, somebody has to go. That is a session of the address that has the most
 * handshakes under way, so that one address, or a few, cannot keep the others out; and where all
 * have the same, the one that has waited longest for its client, or the newcomer.
 *
 * Where very many addresses have a few handshakes each, that would refuse the client that comes
 * last, also one of an address with five devices. There newcomers are accepted beyond the limit,
 * and then no more until the number is below it again: they wait in the kernel's queue, and nobody
 * is refused as long as that is short enough. */

enum { MOST = 2 }; /* times max_handshakes */

void admission_queue_handshake(struct session *s) {
    if (s->in_steps) {
        return;
    }
    closing_leave_handshakes(s);
    s->in_steps = true;
    s->pending->queued_ns = loop_now_ns();
    limits_handshake_waits(s->pool->limits, s->listener);
    pool_queue_handshake(s->pool, &s->member, s->heavy, s->engine != NULL);
}

/* Whether one of a busier address than that of `s` has made room. */
static bool make_room_in_queue(struct session *s) {
    struct pool *pool = s->pool;
    size_t own = eviction_load(s), of_light, of_heavy;
    size_t count = session_config(s)->max_handshakes;
    struct session *a = eviction_find_busiest(&pool->light.fresh, count, s->listener, s, &of_light);
    struct session *b = eviction_find_busiest(&pool->heavy.fresh, count, s->listener, s, &of_heavy);
    struct session *busiest = of_light >= of_heavy ? a : b;
    if (busiest == NULL || (of_light >= of_heavy ? of_light : of_heavy) <= own) {
        return false;
    }
    session_end_now(busiest, REASON_LIMIT_HANDSHAKES, "its address has the most");
    return true;
}

static bool may_exceed(const struct session *s) {
    size_t most = MOST * session_config(s)->max_handshakes;
    return eviction_load(s) == 0 && !limits_handshakes_exceeded(s->pool->limits, s->listener, most);
}

bool admission_is_crowded(const struct pool *pool, size_t listener) {
    return limits_handshakes_exceeded(pool->limits, listener,
                                      pool->runtime->listeners[listener].config->max_handshakes);
}

enum verdict admission_begin_handshake(struct session *s) {
    struct limits *limits = s->pool->limits;
    limits_address_handshake_begins(limits, &s->client_addr);
    s->in_handshakes = true;
    s->in_steps = true;
    limits_handshake_waits(limits, s->listener);
    if (admission_is_crowded(s->pool, s->listener) && !make_room_in_queue(s) && !may_exceed(s)) {
        return session_end(s, REASON_LIMIT_HANDSHAKES, NULL);
    }
    s->pending->queued_ns = loop_now_ns();
    pool_queue_handshake(s->pool, &s->member, s->heavy, false);
    return SESSION_GOES_ON;
}

void admission_await_client(struct session *s, bool answered) {
    struct wait_list *waiting = &s->pool->waits[s->listener * WAIT_KINDS + WAIT_FLIGHT];
    uint32_t began_ms = s->wait_began_ms;
    size_t load;
    closing_leave_handshakes(s);
    session_await(s, WAIT_FLIGHT);
    if (!answered) {
        s->wait_began_ms = began_ms;
        list_remove(&s->member.queue);
        list_prepend(&waiting->oldest_first, &s->member.queue);
    }
    if (waiting->count > limits_max_awaited(s->pool->limits, session_config(s)->max_handshakes)) {
        struct session *busiest =
            eviction_find_busiest(&waiting->oldest_first, waiting->count, s->listener, s, &load);
        session_end_now(busiest, REASON_LIMIT_HANDSHAKES,
                        "too many handshakes wait for their clients");
    }
}

/* --- room --- */

static bool has_place(const struct pool *pool, size_t listener) {
    size_t most = pool->runtime->listeners[listener].config->max_connections;
    return limits_have_place(pool->limits, listener, most);
}

bool admission_has_room(const struct pool *pool, size_t listener) {
    return limits_have_room(pool->limits) && has_place(pool, listener);
}

static void ask_for_room(struct pool *pool, size_t listener) {
    if (limits_may_ask_for_room(pool->limits, pool_now_ms(pool))) {
        pool->hooks.ask_for_room(pool->hooks.arg, listener);
    }
}

enum admission_room admission_make_room(struct pool *pool, size_t listener) {
    if (!limits_have_room(pool->limits) && !eviction_from_pool(pool)) {
        ask_for_room(pool, ADMISSION_ANY_LISTENER);
        return ADMISSION_NO_DESCRIPTORS;
    }
    if (has_place(pool, listener) || eviction_from_listener(pool, listener)) {
        return ADMISSION_ROOM;
    }
    if (limits_newcomers(pool->limits, listener) == 0) {
        return ADMISSION_ROOM; /* to be refused: nobody is going to make room */
    }
    ask_for_room(pool, listener);
    return ADMISSION_NO_PLACE;
}

bool admission_make_room_for_others(struct pool *pool, size_t listener) {
    if (listener == ADMISSION_ANY_LISTENER) {
        return limits_have_room(pool->limits) || eviction_from_pool(pool);
    }
    return has_place(pool, listener) || eviction_from_listener(pool, listener);
}

/* --- reload --- */

/* Of a pool with many sessions, in one turn: each is looked up in a list, which takes a microsecond
 * at most. */
enum { CHECKED_A_TURN = 256 };

/* By the lists of its route, as they are now; where that is gone, by those of the listener, which
 * is where it would come now. */
static void check_revoked(struct session *s, const struct runtime *next) {
    const struct runtime_listener *l = runtime_namesake(next, s->listener, session_config(s));
    bool ends = l->config->revoked_sessions == REVOKED_END;
    if (ends && s->established && engine_is_revoked(s->engine, l->tls)) {
        session_end_now(s, REASON_REVOKED, NULL);
    }
}

static bool ends_sessions(const struct runtime *rt) {
    for (size_t i = 0; i < rt->config->listener_count; i++) {
        const struct config_listener *l = &rt->config->listeners[i];
        bool ends = l->revoked_sessions == REVOKED_END;
        for (size_t k = 0; k < l->route_count && !ends; k++) {
            ends = l->routes[k].revoked_sessions == REVOKED_END;
        }
        if (ends) {
            return true;
        }
    }
    return false;
}

void admission_adopt(struct pool *pool, struct runtime *next) {
    runtime_unref(pool->runtime);
    pool->runtime = next;
    pool->unchecked = ends_sessions(next) ? pool->session_count : 0;
    admission_check_revoked(pool);
}

/* The list turns round once. What ends meanwhile is counted too much: then a session or two are
 * checked twice, and none is left out, as new ones come last. */
void admission_check_revoked(struct pool *pool) {
    for (unsigned n = 0; n < CHECKED_A_TURN && pool->unchecked > 0; n++) {
        if (list_is_empty(&pool->live)) {
            pool->unchecked = 0;
            return;
        }
        struct pool_member *m = container_of(pool->live.next, struct pool_member, link);
        pool->unchecked--;
        pool_rotate(pool, m);
        check_revoked(session_of(m), pool->runtime);
    }
}
