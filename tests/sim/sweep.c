#include "sweep.h"

#include "session/drain.h"
#include "session/state.h"
#include "trace.h"
#include "world.h"

#include <stdio.h>

enum { QUEUE_MAX = 256 * 1024, FLIGHT_MAX = 65536, CONNECT_MAX = 65536 };

/* What the sessions add up to. */
struct sums {
    size_t waits[SITE_LISTENERS][WAIT_KINDS], newcomers[SITE_LISTENERS];
    size_t counted[SITE_LISTENERS], open[SITE_LISTENERS];
    size_t checked[SITE_LISTENERS]; /* against max_connections: their client is known */
    size_t phases[SITE_LISTENERS][PHASE_COUNT];
    size_t descriptors, queued, ready;
};

static unsigned id_of(const struct session *s) {
    const struct sim_socket *sock = sim_socket_of(s->client.handle.fd);
    return sock != NULL ? ((const struct client *)sock->peer)->id : UINT32_MAX;
}

static void show_conn(const char *name, const struct conn *conn) {
    const struct sim_socket *sock = sim_socket_of(conn->handle.fd);
    printf("  %s: fd %d waits %zu%s%s%s%s%s%s%s%s\n", name, conn->handle.fd, conn_waiting(conn),
           conn->readable ? " readable" : "", conn->reading ? " reading" : "",
           conn->ended ? " ended" : "", conn->hung_up ? " hung_up" : "",
           conn->at_end ? " at_end" : "", conn->failed ? " failed" : "",
           conn->shut_wanted ? " shut_wanted" : "", conn->shut ? " shut" : "");
    if (sock != NULL) {
        printf("    in %zu of %zu%s, out %zu of %zu%s%s%s, error %d, events %x\n", sock->in.len,
               sock->in.capacity, sock->in_fin ? " FIN" : "", sock->out.len, sock->out.capacity,
               sock->out_fin ? " FIN" : "", sock->reset ? " reset" : "", sock->gone ? " gone" : "",
               sock->error, sim_socket_events(sock));
    }
}

static _Noreturn void fail(const struct session *s, const char *condition) {
    printf("client %u in phase %d, waits %d:%s%s%s%s%s%s\n", id_of(s), s->phase, s->wait,
           s->in_steps ? " counted" : "", s->in_newcomers ? " newcomer" : "",
           s->established ? " established" : "", s->answer_due ? " answer_due" : "",
           s->client_eof ? " client_eof" : "", s->broker_first ? " broker_first" : "");
    show_conn("client", &s->client);
    show_conn("broker", &s->broker);
    trace_fail("%s", condition);
}

#define HOLDS(s, condition)                                                                        \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fail(s, #condition);                                                                   \
        }                                                                                          \
    } while (0)

/* --- one session --- */

static void check_conn(const struct session *s, const struct conn *conn, struct sums *sums) {
    const struct sim_socket *sock = sim_socket_of(conn->handle.fd);
    if (!conn_is_open(conn)) {
        HOLDS(s, conn->queue == NULL && !conn->reading && !conn->readable);
        return;
    }
    sums->descriptors++;
    HOLDS(s, sock != NULL && !sock->connecting);
    HOLDS(s, sock->handle == &conn->handle);
    HOLDS(s, (conn->handle.watched & (POLLER_READABLE | POLLER_HANGUP)) != 0);
    HOLDS(s, conn->queue == NULL || (conn->handle.watched & POLLER_WRITABLE) != 0);
    HOLDS(s, !conn->shut || conn->ended || sock->out_fin || sock->reset);
    HOLDS(s, conn->queue == NULL || conn_waiting(conn) > 0);
}

/* Each list has the same duration, so that it is sorted; the head is nobody's. */
static void check_deadline(const struct session *s, const struct deadline *d) {
    const struct pool *pool = s->pool;
    if (deadline_is_set(d)) {
        HOLDS(s, d->next->list != d->list || d->next->at_ms >= d->at_ms);
        HOLDS(s, d->at_ms > loop_now_ms(world.loop));
        HOLDS(s, d->at_ms >= pool->due_ms);
    }
}

static void check_bounds(const struct session *s) {
    const struct pending *p = s->pending;
    size_t sealed = POOL_PLAIN_SIZE * 2;
    HOLDS(s, conn_waiting(&s->client) <= QUEUE_MAX + sealed);
    HOLDS(s, conn_waiting(&s->broker) <= FLIGHT_MAX + 2 * POOL_PLAIN_SIZE + CONNECT_MAX);
    if (p != NULL) {
        HOLDS(s, p->cipher.len < FLIGHT_MAX + POOL_READ_SIZE);
        HOLDS(s, p->plain.len < FLIGHT_MAX + 2 * POOL_PLAIN_SIZE + CONNECT_MAX);
    }
}

static bool is_paused(const struct session *s) {
    return s->in_steps && !list_is_empty(&s->member.queue);
}

static void check_handshake(const struct session *s, struct sums *sums) {
    bool awaited = s->wait == WAIT_FLIGHT;
    HOLDS(s, !(s->in_steps && s->wait != WAIT_NONE));
    HOLDS(s, (s->in_steps || awaited) == (s->phase == PHASE_HANDSHAKE));
    HOLDS(s, (s->in_steps || s->wait != WAIT_NONE) == !list_is_empty(&s->member.queue));
    HOLDS(s, s->phase != PHASE_HANDSHAKE || awaited || is_paused(s));
    sums->counted[s->listener] += s->in_steps;
    sums->queued += s->in_steps;
}

/* A client that has sent nothing for the broker can make room, unless it waits for us. */
static void check_newcomer(const struct session *s, struct sums *sums) {
    bool dials_first = session_config(s)->dial == DIAL_AFTER_HANDSHAKE;
    bool early = s->phase <= PHASE_CONNECT_PACKET;
    HOLDS(s, s->in_newcomers || !early);
    HOLDS(s, !s->in_newcomers || early || (dials_first && s->phase != PHASE_CLOSING));
    HOLDS(s, !s->in_newcomers || s->wait != WAIT_NONE || s->in_steps || s->phase == PHASE_DIALLING);
    HOLDS(s, (s->wait == WAIT_BYTE) == (s->silent && s->phase == PHASE_HELLO));
    HOLDS(s, s->phase != PHASE_DIALLING || dials_first || s->pending->plain.len > 0);
    if (s->wait != WAIT_NONE) {
        sums->waits[s->listener][s->wait]++;
    }
    sums->newcomers[s->listener] += s->in_newcomers;
}

/* A revoked certificate lets nobody in, and nobody stay whom the reload was to end. */
static void check_revoked(const struct session *s) {
    const struct sim_socket *sock = sim_socket_of(s->client.handle.fd);
    const struct client *c = sock->peer;
    if (s->established && world_lists(c)) {
        HOLDS(s, c->kept && world.variant == SITE_KEEPING);
    }
}

/* Whatever it waits for, the wait has an end. */
static void check_waits(const struct session *s) {
    const struct config_listener *config = session_config(s);
    bool progress = deadline_is_set(&s->member.progress);
    bool silence = deadline_is_set(&s->member.silence);
    bool queued = s->client.queue != NULL || s->broker.queue != NULL;
    switch ((enum phase_id)s->phase) {
    case PHASE_HELLO:
    case PHASE_HANDSHAKE:
    case PHASE_CONNECT_PACKET:
    case PHASE_DIALLING:
        HOLDS(s, progress);
        break;
    case PHASE_FIRST_BYTE:
        HOLDS(s, !progress);
        HOLDS(s, silence || config->first_data_timeout_ms == CONFIG_OFF);
        break;
    case PHASE_RELAYING:
        HOLDS(s, progress || !(s->answer_due || queued));
        HOLDS(s, silence || config->idle_timeout_ms == CONFIG_OFF);
        HOLDS(s, silence || !s->in_newcomers);
        HOLDS(s, silence || !(s->client.ended || s->broker.ended));
        break;
    case PHASE_CLOSING:
    case PHASE_COUNT:
        HOLDS(s, silence);
        break;
    }
}

static void check_session(const struct session *s, struct sums *sums) {
    session_check_ends(s);
    check_conn(s, &s->client, sums);
    check_conn(s, &s->broker, sums);
    check_deadline(s, &s->member.progress);
    check_deadline(s, &s->member.silence);
    check_bounds(s);
    check_handshake(s, sums);
    check_newcomer(s, sums);
    check_waits(s);
    if (s->phase != PHASE_CLOSING) {
        check_revoked(s);
    }
    HOLDS(s, s->established || s->phase <= PHASE_HANDSHAKE || s->phase == PHASE_CLOSING);
    HOLDS(s, s->phase != PHASE_RELAYING || s->pending == NULL);
    HOLDS(s, s->phase == PHASE_CLOSING || conn_is_open(&s->client));
    if (s->pending != NULL && s->pending->dial.state == DIAL_CONNECTING) {
        HOLDS(s, s->pending->dial.handle.fd >= 0);
        sums->descriptors++;
    }
    sums->ready += !list_is_empty(&s->member.ready);
    sums->phases[s->listener][s->phase]++;
    sums->open[s->listener] += s->phase != PHASE_CLOSING;
    sums->checked[s->listener] += s->phase != PHASE_CLOSING && !s->header_due;
}

/* --- the lists --- */

static size_t check_list(const struct list *head, struct sums *sums, bool closing) {
    size_t count = 0;
    for (const struct list *l = head->next; l != head; l = l->next) {
        const struct session *s = session_of(container_of(l, struct pool_member, link));
        NEED(l->next->prev == l && l->prev->next == l, "a list is torn");
        HOLDS(s, (s->phase == PHASE_CLOSING) == closing);
        check_session(s, sums);
        count++;
    }
    return count;
}

static size_t length(const struct list *head) {
    size_t count = 0;
    for (const struct list *l = head->next; l != head; l = l->next) {
        count++;
    }
    return count;
}

static void check_counters(const struct pool *pool, const struct sums *sums) {
    for (size_t i = 0; i < SITE_LISTENERS; i++) {
        for (size_t kind = 0; kind < WAIT_KINDS; kind++) {
            const struct wait_list *waits = &pool->waits[i * WAIT_KINDS + kind];
            NEED(sums->waits[i][kind] == waits->count, "listener %zu: waits %zu", i, kind);
            NEED(waits->count == length(&waits->oldest_first), "listener %zu: list %zu", i, kind);
        }
        NEED(sums->newcomers[i] == limits_newcomers(world.limits, i), "listener %zu: %zu newcomers",
             i, limits_newcomers(world.limits, i));
        NEED(sums->counted[i] == limits_handshakes(world.limits, i), "listener %zu: %zu handshakes",
             i, limits_handshakes(world.limits, i));
        NEED(sums->open[i] == limits_connections(world.limits, i), "listener %zu: %zu connections",
             i, limits_connections(world.limits, i));
        for (size_t phase = 0; phase < PHASE_COUNT; phase++) {
            uint64_t counted = counter_get(&pool->metrics->listeners[i].phases[phase]);
            NEED(sums->phases[i][phase] == counted, "listener %zu: %zu in phase %zu", i,
                 (size_t)counted, phase);
        }
        size_t most = world.runtime->listeners[i].config->max_connections;
        NEED(most == 0 || sums->checked[i] <= most, "listener %zu: over max_connections", i);
    }
    NEED(sums->queued == length(&pool->light.begun) + length(&pool->light.fresh) +
                             length(&pool->heavy.begun) + length(&pool->heavy.fresh),
         "%zu handshakes are queued", sums->queued);
    NEED(sums->ready == length(&pool->established_ready) + length(&pool->pending_ready),
         "%zu sessions are to be served", sums->ready);
    NEED(sums->descriptors == sim_open_descriptors(), "%zu descriptors, and %zu are open",
         sums->descriptors, sim_open_descriptors());
    NEED(limits_sessions(world.limits) == pool->unfreed_count, "sessions");
    NEED(pool->unfreed_count <= WORLD_MAX_SESSIONS, "%zu sessions", pool->unfreed_count);
}

void sweep_always(void) {
    const struct pool *pool = &world.pool;
    struct sums sums = {0};
    size_t live = check_list(&pool->live, &sums, false);
    size_t lingering = check_list(&pool->lingering, &sums, true);
    NEED(list_is_empty(&pool->closed), "a closed session is left after the turn");
    NEED(pool->session_count == live, "%zu sessions", pool->session_count);
    NEED(pool->unfreed_count == live + lingering, "%zu unfreed", pool->unfreed_count);
    NEED(world.accepted - world.ended == pool->session_count, "closing lines");
    NEED(pool->sealed.len == 0, "something sealed is left");
    uint64_t now_ms = loop_now_ms(world.loop);
    NEED(pool->due_ms > now_ms && pool->retry_ms > now_ms, "a deadline is past");
    NEED(pool->drain_tick_ms >= now_ms, "the next step of the drain is past");
    check_counters(pool, &sums);
}

/* --- at rest --- */

/* Nobody waits for bytes that are there, or with bytes that could leave. */
static void check_conn_at_rest(const struct session *s, const struct conn *conn) {
    if (!conn_is_open(conn)) {
        return;
    }
    unsigned events = sim_socket_events(sim_socket_of(conn->handle.fd));
    HOLDS(s, !conn->reading || (events & (POLLER_READABLE | POLLER_ERROR)) == 0);
    HOLDS(s, conn->queue == NULL || (events & POLLER_WRITABLE) == 0);
}

static void check_relay_at_rest(const struct session *s) {
    HOLDS(s, s->client.reading || s->broker.queue != NULL || s->client.ended);
    HOLDS(s, !s->client.reading || (s->broker.queue == NULL && !s->client_eof));
    HOLDS(s, s->broker.reading || s->client.queue != NULL || s->broker.ended);
    HOLDS(s, !s->broker.reading || !s->broker.ended);
    HOLDS(s, !s->client.ended || s->broker.shut_wanted);
    HOLDS(s, !s->broker.ended || s->client.shut_wanted);
}

/* Nobody waits for us. */
static void check_at_rest(const struct session *s) {
    check_conn_at_rest(s, &s->client);
    check_conn_at_rest(s, &s->broker);
    switch ((enum phase_id)s->phase) {
    case PHASE_HELLO:
    case PHASE_FIRST_BYTE:
    case PHASE_CONNECT_PACKET:
        HOLDS(s, s->client.reading);
        break;
    case PHASE_HANDSHAKE:
        HOLDS(s, s->wait == WAIT_FLIGHT && s->client.reading && s->pending->cipher.len == 0);
        break;
    case PHASE_DIALLING:
        HOLDS(s, dial_is_under_way(&s->pending->dial));
        HOLDS(s, s->client.reading || s->client_eof || s->client.ended ||
                     s->pending->cipher.len >= POOL_READ_SIZE);
        break;
    case PHASE_RELAYING:
        check_relay_at_rest(s);
        break;
    case PHASE_CLOSING:
    case PHASE_COUNT:
        HOLDS(s, !conn_is_open(&s->client) || s->client.reading || s->client.ended);
        HOLDS(s, conn_is_open(&s->client) || conn_is_open(&s->broker));
        break;
    }
}

static void check_all_at_rest(const struct list *head) {
    for (const struct list *l = head->next; l != head; l = l->next) {
        check_at_rest(session_of(container_of(l, struct pool_member, link)));
    }
}

/* Only dials that are under way hold a place at a broker. */
static void check_dials(void) {
    size_t counted = 0, queued = 0, under_way = 0, waiting = 0;
    for (const struct list *l = world.pool.live.next; l != &world.pool.live; l = l->next) {
        const struct session *s = session_of(container_of(l, struct pool_member, link));
        counted += s->pending != NULL && s->pending->dial.counted;
        queued += s->pending != NULL && s->pending->dial.state == DIAL_QUEUED;
    }
    for (size_t i = 0; i < SITE_LISTENERS; i++) {
        const struct runtime_listener *l = &world.runtime->listeners[i];
        for (size_t j = 0; j < l->config->backend_count; j++) {
            size_t one, others;
            dial_limit_counts(backend_limit(l->backends[j]), &one, &others);
            under_way += one;
            waiting += others;
        }
    }
    NEED(counted == under_way, "%zu dials, and %zu are counted", counted, under_way);
    NEED(queued == waiting, "%zu dials are queued, and %zu counted", queued, waiting);
}

void sweep_at_rest(void) {
    const struct pool *pool = &world.pool;
    check_all_at_rest(&pool->live);
    check_all_at_rest(&pool->lingering);
    check_dials();
    NEED(world.queued == 0 || world.starved || pool->draining, "%zu clients are not accepted",
         world.queued);
    NEED(!world.starved || pool->retry_ms != UINT64_MAX, "nobody will accept again");
    NEED(!pool->draining || pool->session_count == 0 || pool->drain_tick_ms != UINT64_MAX,
         "nobody drains");
}
