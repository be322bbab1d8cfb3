#include "session/state.h"

#include <assert.h>
#include <stdlib.h>

void session_take_runtime(struct session *s, struct runtime *runtime) {
    runtime_unref(s->runtime);
    s->runtime = runtime_ref(runtime);
    s->route = (uint16_t)runtime_route(runtime, s->listener, &s->pending->hello);
}

const struct runtime_listener *session_listener(const struct session *s) {
    const struct runtime *rt = s->runtime != NULL ? s->runtime : s->pool->runtime;
    return runtime_at(rt, s->listener, s->route);
}

const struct config_listener *session_config(const struct session *s) {
    return session_listener(s)->config;
}

struct metrics_listener *session_metrics(const struct session *s) {
    return &s->pool->metrics->listeners[s->listener];
}

void session_set_phase(struct session *s, enum phase_id phase) {
    struct metrics_listener *m = session_metrics(s);
    counter_subtract(&m->phases[s->phase], 1);
    counter_add(&m->phases[phase], 1);
    s->phase = (uint8_t)phase;
}

void session_read(struct session *s, struct conn *from) {
    bool eof = from->ended || (from == &s->client && s->client_eof);
    if (from->reading || eof || !conn_is_open(from)) {
        return;
    }
    from->reading = true;
    if (from->readable) {
        pool_serve_later(s->pool, &s->member, s->phase == PHASE_RELAYING);
    }
}

void session_stop_reading(struct conn *from) {
    from->reading = false;
}

void session_free_pending(struct session *s) {
    if (s->pending != NULL) {
        buf_wipe(&s->pending->cipher); /* records are decrypted where they are */
        buf_wipe(&s->pending->plain);
        free(s->pending);
        s->pending = NULL;
    }
}

void session_await(struct session *s, enum wait_kind kind) {
    struct wait_list *list = &s->pool->waits[s->listener * WAIT_KINDS + (size_t)kind];
    session_stop_waiting(s);
    s->wait = (uint8_t)kind;
    s->wait_began_ms = (uint32_t)(pool_now_ms(s->pool) - s->accepted_ms);
    list->count++;
    list_append(&list->oldest_first, &s->member.queue);
}

void session_stop_waiting(struct session *s) {
    if (s->wait != WAIT_NONE) {
        s->pool->waits[s->listener * WAIT_KINDS + s->wait].count--;
        s->wait = WAIT_NONE;
        list_remove(&s->member.queue);
    }
}

void session_check_ends(const struct session *s) {
    bool closing = session_is_closing(s);
    assert(!s->broker_first || s->broker.ended);
    assert(!s->client.shut || s->client.shut_wanted);
    assert(!s->broker.shut || s->broker.shut_wanted);
    /* Once both have ended in order there is nothing left to relay. */
    assert(closing || !(s->client.ended && s->broker.ended));
    /* A client that has ended at the TCP level without close_notify is only kept until what it sent
     * before is decrypted. */
    assert(closing || s->phase != PHASE_RELAYING || !s->client_eof || s->client.ended);
    bool dialled = s->pending != NULL && s->pending->dial_done;
    assert(closing || dialled || s->phase == PHASE_RELAYING || !conn_is_open(&s->broker));
    assert(!s->established || (s->engine != NULL && !s->in_steps));
    assert(s->in_newcomers || (s->wait == WAIT_NONE && !s->in_handshakes));
    assert(!s->in_newcomers || s->up == 0 || s->phase == PHASE_DIALLING);
    assert(s->silent || s->pending != NULL || s->phase >= PHASE_RELAYING);
}
