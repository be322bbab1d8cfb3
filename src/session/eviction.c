#include "session/eviction.h"

#include "session/closing.h"
#include "session/state.h"

enum { GRACE_MS = 1000, LOOKED_AT = 64, FOLLOWED = 1024, FEW = 16 };

static struct session *session_at(struct list *l) {
    return session_of(container_of(l, struct pool_member, queue));
}

/* --- choosing --- */

static uint64_t waited_ms(const struct session *s) {
    return pool_now_ms(s->pool) - s->accepted_ms - s->wait_began_ms;
}

static size_t handshakes_of_address(const struct session *s) {
    return limits_address_handshakes(s->pool->limits, &s->client_addr);
}

size_t eviction_load(const struct session *s) {
    size_t handshakes = handshakes_of_address(s);
    return handshakes > session_config(s)->max_handshakes / FEW ? handshakes : 0;
}

typedef size_t load_fn(const struct session *s);

/* As eviction_find_busiest, of those that have waited for `grace_ms`. */
static struct session *find_busiest(struct list *list, size_t count, size_t listener,
                                    const struct session *except, uint64_t grace_ms,
                                    load_fn *load_of, size_t *load) {
    struct session *busiest = NULL;
    size_t step = (count < FOLLOWED ? count : FOLLOWED) / LOOKED_AT + 1, at = 0;
    *load = 0;
    for (struct list *l = list->next; l != list && at < FOLLOWED; l = l->next, at++) {
        struct session *s = session_at(l);
        if (at % step != 0 || (except != NULL && s == except) || s->listener != listener ||
            (grace_ms > 0 && waited_ms(s) < grace_ms)) {
            continue;
        }
        size_t its_load = load_of(s);
        if (busiest == NULL || its_load > *load) {
            busiest = s;
            *load = its_load;
        }
    }
    return busiest;
}

struct session *eviction_find_busiest(struct list *list, size_t count, size_t listener,
                                      const struct session *except, size_t *load) {
    return find_busiest(list, count, listener, except, 0, eviction_load, load);
}

/* The one that would go first of those that wait for the same, and its rank among the first of all
 * listeners; NULL if it has only just begun to wait. */
static struct session *find_first(struct pool *pool, size_t listener, enum wait_kind kind,
                                  size_t *rank) {
    struct wait_list *list = &pool->waits[listener * WAIT_KINDS + (size_t)kind];
    if (kind == WAIT_FLIGHT || kind == WAIT_DATA) {
        return find_busiest(&list->oldest_first, list->count, listener, NULL, GRACE_MS,
                            handshakes_of_address, rank);
    }
    if (list->count == 0) {
        return NULL;
    }
    struct session *first = session_at(list->oldest_first.next);
    *rank = (size_t)waited_ms(first);
    return *rank >= GRACE_MS ? first : NULL;
}

/* --- ending --- */

static enum reason reason_for(const struct session *s) {
    switch ((enum wait_kind)s->wait) {
    case WAIT_BYTE:
        return REASON_FIRST_BYTE_TIMEOUT;
    case WAIT_FLIGHT:
        return REASON_LIMIT_HANDSHAKES;
    case WAIT_DATA:
        return session_config(s)->mqtt == MQTT_OFF ? REASON_FIRST_DATA_TIMEOUT
                                                   : REASON_CONNECT_PACKET_TIMEOUT;
    case WAIT_HELLO:
    case WAIT_NONE:
    case WAIT_KINDS:
        break;
    }
    return REASON_LIMIT_CONNECTIONS;
}

/* The descriptors are wanted now: nobody is given time to read our last words. */
static void evict(struct session *s) {
    session_end_now(s, reason_for(s), "made room for another client");
    closing_abort(s);
}

static bool evict_from(struct pool *pool, size_t first_listener, size_t end_listener) {
    for (enum wait_kind kind = WAIT_BYTE; kind < WAIT_KINDS; kind++) {
        struct session *chosen = NULL;
        size_t most = 0, rank = 0;
        for (size_t i = first_listener; i < end_listener; i++) {
            struct session *s = find_first(pool, i, kind, &rank);
            if (s != NULL && (chosen == NULL || rank > most)) {
                chosen = s;
                most = rank;
            }
        }
        if (chosen != NULL) {
            evict(chosen);
            return true;
        }
    }
    return false;
}

/* The oldest of those that have ended and wait for their clients to close. */
static bool abort_lingering(struct pool *pool) {
    size_t looked_at = 0;
    for (struct list *l = pool->lingering.next; l != &pool->lingering; l = l->next) {
        struct session *s = session_of(container_of(l, struct pool_member, link));
        if (++looked_at > LOOKED_AT) {
            break;
        }
        if (!conn_is_open(&s->broker)) {
            closing_abort(s);
            return true;
        }
    }
    return false;
}

bool eviction_from_pool(struct pool *pool) {
    return abort_lingering(pool) || evict_from(pool, 0, pool->runtime->config->listener_count);
}

bool eviction_from_listener(struct pool *pool, size_t listener) {
    return evict_from(pool, listener, listener + 1);
}

/* --- of one address --- */

static bool evict_of_list(struct wait_list *list, const struct session *newcomer) {
    struct address key = address_client_key(&newcomer->client_addr);
    size_t looked_at = 0;
    for (struct list *l = list->oldest_first.next; l != &list->oldest_first; l = l->next) {
        struct session *s = session_at(l);
        struct address other = address_client_key(&s->client_addr);
        if (++looked_at > LOOKED_AT || waited_ms(s) < GRACE_MS) {
            break;
        }
        if (s != newcomer && s->in_connections && address_is_equal(&key, &other)) {
            evict(s);
            return true;
        }
    }
    return false;
}

bool eviction_of_address(const struct session *s) {
    struct pool *pool = s->pool;
    size_t listeners = pool->runtime->config->listener_count;
    for (size_t kind = WAIT_BYTE; kind < WAIT_KINDS; kind++) {
        for (size_t i = 0; i < listeners; i++) {
            if (evict_of_list(&pool->waits[i * WAIT_KINDS + kind], s)) {
                return true;
            }
        }
    }
    return false;
}
