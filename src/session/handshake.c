#include "session/handshake.h"

#include "session/admission.h"
#include "session/closing.h"
#include "session/state.h"
#include "session/transfer.h"

/* More than a client's flight with its certificates needs. What is beyond may be data sent right
 * after Finished: reading waits until the handshake has made room. */
enum { FLIGHT_MAX = 65536 };

static void bound_flight(struct session *s) {
    if (s->pending->cipher.len >= FLIGHT_MAX) {
        session_stop_reading(&s->client);
    } else {
        session_read(s, &s->client);
    }
}

static enum verdict enter(struct session *s) {
    s->heavy = tls_context_is_heavy(session_listener(s)->tls, &s->pending->hello);
    enum verdict verdict = admission_begin_handshake(s);
    if (verdict == SESSION_GOES_ON) {
        bound_flight(s);
    }
    return verdict;
}

static enum verdict on_client_bytes(struct session *s, uint8_t *data, size_t len) {
    if (!buf_append(&s->pending->cipher, data, len, SIZE_MAX)) {
        return session_end(s, REASON_OUT_OF_MEMORY, NULL);
    }
    bound_flight(s);
    admission_queue_handshake(s);
    return SESSION_GOES_ON;
}

/* --- steps --- */

/* A context that a reload has retired since the ClientHello came may have given its CAs back: then
 * the current one takes over, which may have other keys. False without memory. */
static bool begin(struct session *s) {
    struct runtime *now = s->pool->runtime;
    const struct client_hello *hello = &s->pending->hello;
    s->engine = engine_open(session_listener(s)->tls, hello);
    if (s->engine == NULL && s->runtime != now) {
        session_take_runtime(s, now);
        s->heavy = tls_context_is_heavy(session_listener(s)->tls, hello);
        s->engine = engine_open(session_listener(s)->tls, hello);
    }
    return s->engine != NULL;
}

static void count_handshake(const struct session *s) {
    const struct tls_context *tls = session_listener(s)->tls;
    metrics_count_handshake(session_metrics(s), s->engine,
                            tls_context_key_type(tls, &s->pending->hello));
}

static enum verdict on_complete(struct session *s) {
    s->established = true;
    count_handshake(s);
    closing_leave_handshakes(s);
    return SESSION_NEXT_PHASE;
}

/* After a step: what the engine has for the client is in the pool's `sealed`. */
static enum verdict after_step(struct session *s, enum engine_status status) {
    struct buf *cipher = &s->pending->cipher;
    if (status == ENGINE_FAILED || status == ENGINE_CLOSED) {
        return session_end(s, engine_failure(s->engine), engine_failure_detail(s->engine));
    }
    if (s->client_eof && status == ENGINE_MORE && cipher->len == 0) {
        return session_end(s, REASON_CLIENT_CLOSED, NULL);
    }
    bool answered = s->pool->sealed.len > 0;
    if (transfer_flush_engine(s) == SESSION_ENDED) {
        return SESSION_ENDED;
    }
    bound_flight(s);
    if (status == ENGINE_OK) {
        return on_complete(s);
    }
    if (status == ENGINE_PAUSED) {
        pool_resume_handshake(s->pool, &s->member);
    } else {
        admission_await_client(s, answered);
    }
    return SESSION_GOES_ON;
}

/* Who may come in is for the newest files to say, whatever they want for live sessions: those of
 * the route that the client would get now. */
static void check_by_current(struct session *s) {
    const struct runtime *now = s->pool->runtime;
    if (s->runtime != now) {
        size_t route = runtime_route(now, s->listener, &s->pending->hello);
        engine_check_by(s->engine, runtime_at(now, s->listener, route)->tls);
    }
}

/* A step that has paused is under way, and does not wait. */
static void note_delay(struct session *s) {
    struct pending *p = s->pending;
    if (p->queued_ns != 0) {
        histogram_observe(&s->pool->metrics->queue_delay, loop_now_ns() - p->queued_ns);
        p->queued_ns = 0;
    }
}

enum verdict handshake_step(struct session *s) {
    struct pool *pool = s->pool;
    struct buf *cipher = &s->pending->cipher;
    bool was_heavy = s->heavy;
    if (s->engine == NULL && !begin(s)) {
        return session_end(s, REASON_OUT_OF_MEMORY, NULL);
    }
    /* The second stack may be in use: only the queue of heavy steps brings that step to its end
     * before the next one begins. */
    if (s->heavy && !was_heavy) {
        pool_queue_handshake(pool, &s->member, true, true);
        return SESSION_GOES_ON;
    }
    note_delay(s);
    s->pending->secret_ready = false;
    check_by_current(s);
    struct engine_input in = {cipher->data, cipher->len};
    struct engine_stack *stack = s->heavy ? pool_stack(pool) : NULL;
    enum engine_status status = engine_handshake(s->engine, &in, &pool->sealed, stack);
    buf_consume(cipher, cipher->len - in.len);
    return after_step(s, status);
}

/* --- ends --- */

/* A client that leaves before its first step is dropped; later, what it sent last is read
 * first: they may be the alert that says why. */
static enum verdict on_client_gone(struct session *s, const char *detail) {
    bool last_words = s->engine != NULL && s->pending->cipher.len > 0;
    s->client_eof = true;
    return last_words ? SESSION_GOES_ON : session_end(s, REASON_CLIENT_CLOSED, detail);
}

static enum verdict on_client_eof(struct session *s) {
    return on_client_gone(s, NULL);
}

static enum verdict on_client_error(struct session *s, int code) {
    return on_client_gone(s, uv_strerror(code));
}

static enum verdict on_progress_due(struct session *s) {
    return session_end(s, REASON_HANDSHAKE_TIMEOUT, NULL);
}

const struct phase phase_handshake = {
    .enter = enter,
    .on_client_bytes = on_client_bytes,
    .on_client_eof = on_client_eof,
    .on_client_error = on_client_error,
    .on_send_error = transfer_on_send_error,
    .on_progress_due = on_progress_due,
};
