#include "session/closing.h"

#include "session/closing_line.h"
#include "session/state.h"

#include <assert.h>

/* How long a client may take to read our last words and close. */
enum { LINGER_MS = 2000 };

void closing_leave_handshakes(struct session *s) {
    session_stop_waiting(s);
    list_remove(&s->member.queue);
    if (s->in_steps) {
        s->in_steps = false;
        limits_handshake_leaves(s->pool->limits, s->listener);
    }
}

void closing_end_newcomer(struct session *s) {
    session_stop_waiting(s);
    if (s->in_newcomers) {
        s->in_newcomers = false;
        limits_newcomer_leaves(s->pool->limits, s->listener);
    }
    if (s->in_handshakes) {
        s->in_handshakes = false;
        limits_address_handshake_ends(s->pool->limits, &s->client_addr);
    }
}

static void close_broker(struct session *s) {
    if (s->pending != NULL) {
        dial_cancel(&s->pending->dial);
    }
    conn_close(&s->broker);
}

static void free_if_closed(struct session *s) {
    if (!conn_is_open(&s->client) && !conn_is_open(&s->broker)) {
        pool_defer_free(s->pool, &s->member);
    }
}

void closing_abort(struct session *s) {
    assert(session_is_closing(s));
    close_broker(s);
    conn_close(&s->client);
    free_if_closed(s);
}

void closing_finish_if_sent(struct session *s) {
    assert(session_is_closing(s));
    if (s->client.ended && s->client.queue == NULL) {
        conn_close(&s->client);
    }
    if (s->broker.ended && s->broker.queue == NULL) {
        close_broker(s);
    }
    free_if_closed(s);
}

/* --- the end --- */

/* Whether the client may still be reading, so that it should get the reason. */
static bool client_may_read(const struct session *s, enum reason reason) {
    if (s->client_eof || reason == REASON_CLIENT_RESET || reason == REASON_WRITE_TIMEOUT) {
        return false;
    }
    return s->established || s->pool->sealed.len > 0;
}

/* Whether close_notify is due. A reset broker's stream is cut short: the client must not take that
 * for a proper end. */
static bool needs_close_notify(const struct session *s, enum reason reason) {
    return s->established && !s->client.shut_wanted && reason != REASON_BROKER_RESET &&
           reason != REASON_TLS_ERROR;
}

static void end_client_stream(struct session *s, enum reason reason) {
    struct buf *out = &s->pool->sealed;
    if (needs_close_notify(s, reason)) {
        engine_close(s->engine, out);
    }
    if (!s->client.shut_wanted && out->len > 0 &&
        conn_send(&s->client, s->pool->poller, out->data, out->len) != 0) {
        s->client.ended = true; /* there is no client to receive it */
    }
    conn_shut(&s->client);
}

/* What the client can still receive, and the broker still take, and nothing else. */
static void finish_sending(struct session *s, enum reason reason) {
    if (client_may_read(s, reason)) {
        end_client_stream(s, reason);
    } else {
        s->client.ended = true;
    }
    s->pool->sealed.len = 0;
    if (conn_is_open(&s->broker) && reason != REASON_BROKER_RESET) {
        conn_shut(&s->broker);
    } else {
        close_broker(s);
    }
}

static void count_end(struct session *s, enum reason reason) {
    struct metrics_listener *m = session_metrics(s);
    if (s->established) {
        counter_add(&m->ended[reason], 1);
    } else if (closing_line_is_silent(s, reason)) {
        counter_add(&m->silent, 1);
    } else {
        counter_add(&m->failed[reason], 1);
    }
}

enum verdict session_end(struct session *s, enum reason reason, const char *detail) {
    struct pool *pool = s->pool;
    assert(!session_is_closing(s));
    /* However the session ends then: else the client could choose by how it leaves. */
    enum reason cause = s->answer.refusal != 0 ? REASON_BROKER_REFUSED : reason;
    count_end(s, cause);
    closing_line_write(s, cause, detail);
    closing_leave_handshakes(s);
    closing_end_newcomer(s);
    bool nothing_to_send = !client_may_read(s, reason) && s->broker.queue == NULL;
    session_set_phase(s, PHASE_CLOSING);
    pool->scratch_stale = pool->scratch_stale || s->established;
    if (!s->established) { /* a paused one keeps others from the second stack */
        engine_free(s->engine);
        s->engine = NULL;
    }
    pool_linger(pool, &s->member);
    limits_session_ends(pool->limits, s->listener);
    if (s->in_connections) {
        s->in_connections = false;
        limits_address_leaves(pool->limits, &s->client_addr);
    }
    if (nothing_to_send) {
        pool->sealed.len = 0;
        closing_abort(s);
        return SESSION_ENDED;
    }
    finish_sending(s, reason);
    if (!pool_set_deadline(pool, &pool->silence, &s->member.silence, LINGER_MS)) {
        closing_abort(s);
        return SESSION_ENDED;
    }
    session_read(s, &s->client);
    session_read(s, &s->broker);
    closing_finish_if_sent(s);
    return SESSION_ENDED;
}

void session_end_now(struct session *s, enum reason reason, const char *detail) {
    if (!session_is_closing(s)) {
        enum verdict verdict = session_end(s, reason, detail);
        assert(verdict == SESSION_ENDED);
        (void)verdict;
    }
}

/* --- the phase: nothing that comes is of interest any more, only that it ends --- */

static enum verdict ignore(struct session *s, uint8_t *data, size_t len) {
    return SESSION_GOES_ON;
}

static enum verdict end_conn(struct session *s, struct conn *conn) {
    conn->ended = true;
    closing_finish_if_sent(s);
    return SESSION_GOES_ON;
}

static enum verdict on_client_eof(struct session *s) {
    return end_conn(s, &s->client);
}

static enum verdict on_broker_eof(struct session *s) {
    return end_conn(s, &s->broker);
}

static enum verdict on_client_error(struct session *s, int code) {
    return end_conn(s, &s->client);
}

static enum verdict on_broker_error(struct session *s, int code) {
    return end_conn(s, &s->broker);
}

static enum verdict on_sent(struct session *s, struct conn *to) {
    closing_finish_if_sent(s);
    return SESSION_GOES_ON;
}

static enum verdict on_send_error(struct session *s, struct conn *to, int code) {
    conn_close(to);
    closing_finish_if_sent(s);
    return SESSION_GOES_ON;
}

static enum verdict on_silence_due(struct session *s) {
    closing_abort(s);
    return SESSION_GOES_ON;
}

const struct phase phase_closing = {
    .on_client_bytes = ignore,
    .on_client_eof = on_client_eof,
    .on_client_error = on_client_error,
    .on_broker_bytes = ignore,
    .on_broker_eof = on_broker_eof,
    .on_broker_error = on_broker_error,
    .on_sent = on_sent,
    .on_send_error = on_send_error,
    .on_silence_due = on_silence_due,
};
