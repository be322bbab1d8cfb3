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
    s->heavy = tls_context_signs_slowly(session_listener(s)->tls, &s->pending->hello);
    enum verdict verdict = admission_queue_handshake(s);
    if (verdict == SESSION_GOES_ON) {
        bound_flight(s);
    }
    return verdict;
}

static enum verdict on_client_bytes(struct session *s, const uint8_t *data, size_t len) {
    if (!buf_append(&s->pending->cipher, data, len, SIZE_MAX)) {
        return session_end(s, REASON_OUT_OF_MEMORY, NULL);
    }
    bound_flight(s);
    return s->in_step ? SESSION_GOES_ON : admission_queue_handshake(s);
}

/* --- steps --- */

static bool open_engine(struct session *s, const struct runtime *runtime) {
    return engine_open(&s->engine, runtime->listeners[s->listener].tls, &s->pending->hello,
                       &s->pool->io);
}

/* A context that a reload has retired since the ClientHello came may have given its CAs back: then
 * the current one takes over. */
static bool begin(struct session *s) {
    struct runtime *now = s->pool->runtime;
    if (open_engine(s, s->runtime)) {
        return true;
    }
    if (s->runtime == now) {
        return false;
    }
    runtime_unref(s->runtime);
    s->runtime = runtime_ref(now);
    return open_engine(s, now);
}

static enum verdict begin_if_fresh(struct session *s) {
    if (s->engine.ssl == NULL && !begin(s)) {
        return session_end(s, REASON_OUT_OF_MEMORY, NULL);
    }
    return SESSION_GOES_ON;
}

/* A reload during the handshake may have brought a CRL that lists the client. Whatever it says of
 * live sessions, this was not one yet. */
static bool is_revoked_meanwhile(const struct session *s) {
    const struct runtime *now = s->pool->runtime;
    return s->runtime != now && admission_is_revoked(s, now);
}

static enum verdict on_complete(struct session *s) {
    if (is_revoked_meanwhile(s)) {
        return session_end(s, REASON_REVOKED, NULL);
    }
    s->established = true;
    closing_leave_handshakes(s);
    return SESSION_NEXT_PHASE;
}

/* After a step: what the engine has to say is in the pool's output. */
static enum verdict after_step(struct session *s, enum engine_status status) {
    struct buf *cipher = &s->pending->cipher;
    if (status == ENGINE_FAILED || status == ENGINE_CLOSED) {
        return session_end(s, engine_failure(&s->engine), NULL);
    }
    if (s->client_eof && status == ENGINE_MORE && cipher->len == 0) {
        return session_end(s, REASON_CLIENT_CLOSED, NULL);
    }
    if (transfer_flush_engine(s) == SESSION_ENDED) {
        return SESSION_ENDED;
    }
    bound_flight(s);
    if (status == ENGINE_OK) {
        return on_complete(s);
    }
    if (cipher->len > 0) {
        pool_queue_handshake(s->pool, &s->member, s->heavy, true);
    } else {
        admission_await_client(s);
    }
    return SESSION_GOES_ON;
}

enum verdict handshake_step(struct session *s) {
    struct engine_io *io = &s->pool->io;
    struct buf *cipher = &s->pending->cipher;
    if (begin_if_fresh(s) == SESSION_ENDED) {
        return SESSION_ENDED;
    }
    io->in = cipher->data;
    io->in_len = cipher->len;
    enum engine_status status = engine_handshake(&s->engine);
    buf_consume(cipher, cipher->len - io->in_len);
    return after_step(s, status);
}

/* The step gets all that has come; what comes meanwhile begins a new buffer. */
enum verdict handshake_begin_heavy(struct session *s) {
    struct pending *p = s->pending;
    if (begin_if_fresh(s) == SESSION_ENDED) {
        return SESSION_ENDED;
    }
    p->heavy.in = p->cipher;
    p->cipher = (struct buf){0};
    engine_use(&s->engine, &p->heavy.io);
    s->in_step = true;
    return SESSION_GOES_ON;
}

void handshake_make_heavy(struct session *s) {
    struct heavy_step *step = &s->pending->heavy;
    step->io.in = step->in.data;
    step->io.in_len = step->in.len;
    step->io.out.len = 0;
    step->status = engine_handshake(&s->engine);
}

/* What the step left goes before what came meanwhile. False without memory. */
static bool join_ciphertext(struct pending *p) {
    struct buf *rest = &p->heavy.in, later = p->cipher;
    buf_consume(rest, rest->len - p->heavy.io.in_len);
    if (!buf_append(rest, later.data, later.len, SIZE_MAX)) {
        return false;
    }
    p->cipher = *rest;
    *rest = (struct buf){0};
    buf_free(&later);
    return true;
}

enum verdict handshake_end_heavy(struct session *s) {
    struct pending *p = s->pending;
    struct engine_io *io = &s->pool->io;
    struct buf out = p->heavy.io.out;
    s->in_step = false;
    engine_use(&s->engine, io);
    if (session_is_closing(s)) {
        closing_check(s);
        return SESSION_ENDED;
    }
    p->heavy.io.out = io->out; /* empty: what the step has to say becomes the pool's output */
    io->out = out;
    if (!join_ciphertext(p)) {
        return session_end(s, REASON_OUT_OF_MEMORY, NULL);
    }
    return after_step(s, p->heavy.status);
}

/* --- ends --- */

/* A client that leaves before the handshake was paid for is dropped; later, its last words are read
 * first: they may be the alert that says why. */
static enum verdict on_client_gone(struct session *s, const char *detail) {
    bool last_words = s->engine.ssl != NULL && s->pending->cipher.len > 0;
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
