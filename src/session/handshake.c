#include "session/session.h"

#include "session/worker.h"
#include "wire/proxy_protocol.h"

#include <stdlib.h>
#include <string.h>

/* More than a client's flight with its certificates needs. What is beyond may be data sent right
 * behind Finished: reading waits until the handshake has made room. */
enum { FLIGHT_MAX = 65536 };

static struct listener_counts *counts_of(const struct session *s) {
    return &s->worker->shared->listeners[s->listener];
}

/* False if the session ended. */
static bool take_slot(struct session *s) {
    s->slot = true;
    size_t slots =
        atomic_fetch_add_explicit(&counts_of(s)->handshakes, 1, memory_order_relaxed) + 1;
    if (slots > session_config(s)->max_handshakes) {
        session_end(s, REASON_LIMIT_HANDSHAKES, NULL);
        return false;
    }
    return true;
}

void handshake_leave(struct session *s) {
    if (s->slot) {
        s->slot = false;
        atomic_fetch_sub_explicit(&counts_of(s)->handshakes, 1, memory_order_relaxed);
    }
}

static void on_whole_hello(struct session *s) {
    struct pending *o = s->pending;
    s->runtime = runtime_ref(s->worker->runtime);
    if (o->hello.server_name[0] != '\0') {
        s->server_name = strdup(o->hello.server_name);
        if (s->server_name == NULL) {
            session_end(s, REASON_OUT_OF_MEMORY, NULL);
            return;
        }
    }
    if (take_slot(s)) {
        s->state = SESSION_HANDSHAKE;
        s->slow = tls_context_signs_slowly(s->runtime->listeners[s->listener].tls, &o->hello);
        scheduler_queue_handshake(s->worker, s);
    }
}

static void read_hello(struct session *s) {
    struct pending *o = s->pending;
    switch (client_hello_parse(o->cipher.data, o->cipher.len, &o->hello)) {
    case CLIENT_HELLO_MORE:
        return;
    case CLIENT_HELLO_NOT_TLS:
        session_end(s, REASON_NOT_TLS, NULL);
        return;
    case CLIENT_HELLO_BAD:
        session_end(s, REASON_PROTOCOL_ERROR, "malformed ClientHello");
        return;
    case CLIENT_HELLO_OK:
        on_whole_hello(s);
        return;
    }
}

/* True when the header is whole and gone, and the client behind the balancer may go on. */
static bool take_proxy_header(struct session *s) {
    struct pending *o = s->pending;
    struct proxy_header header;
    switch (proxy_header_parse(o->cipher.data, o->cipher.len, &header)) {
    case PROXY_HEADER_MORE:
        return false;
    case PROXY_HEADER_BAD:
        session_end(s, REASON_BAD_PROXY_HEADER, "accept_proxy names this peer as a balancer");
        return false;
    case PROXY_HEADER_OK:
        break;
    }
    if (header.has_addresses) {
        s->peer = header.source;
        o->destination = header.destination;
    }
    s->header_due = false;
    buf_consume(&o->cipher, header.size);
    return session_check_limits(s);
}

/* Out of the list of the silent; the silence ends with a whole PROXY header, if one is due. */
static bool on_first_byte(struct session *s) {
    s->silent = false;
    list_remove(&s->link);
    list_append(&s->worker->sessions, &s->link);
    s->pending = calloc(1, sizeof *s->pending);
    if (s->pending == NULL) {
        return false;
    }
    s->pending->session = s;
    return true;
}

static void read_opening_bytes(struct session *s) {
    if (s->header_due && !take_proxy_header(s)) {
        return;
    }
    if (s->pending->cipher.len > 0) {
        deadline_clear(&s->silence);
        read_hello(s);
    }
}

void handshake_feed(struct session *s, const uint8_t *data, size_t len) {
    struct buf *cipher;
    if (s->silent && !on_first_byte(s)) {
        session_end(s, REASON_OUT_OF_MEMORY, NULL);
        return;
    }
    cipher = &s->pending->cipher;
    if (!buf_append(cipher, data, len, SIZE_MAX)) {
        session_end(s, REASON_OUT_OF_MEMORY, NULL);
    } else if (s->state == SESSION_HELLO) {
        read_opening_bytes(s);
    } else if (!s->in_step) {
        scheduler_queue_handshake(s->worker, s);
    }
    if (!session_is_over(s) && cipher->len >= FLIGHT_MAX) {
        relay_stop_reading(&s->client);
    }
}

/* A context that a reload has retired since the ClientHello came may have given its CAs back: then
 * the current one takes over. */
static bool begin(struct session *s) {
    struct runtime *now = s->worker->runtime;
    struct engine_io *io = &s->worker->io;
    const struct client_hello *hello = &s->pending->hello;
    if (engine_open(&s->engine, s->runtime->listeners[s->listener].tls, hello, io)) {
        return true;
    }
    if (s->runtime == now) {
        return false;
    }
    runtime_unref(s->runtime);
    s->runtime = runtime_ref(now);
    return engine_open(&s->engine, now->listeners[s->listener].tls, hello, io);
}

/* False if the session ended. */
static bool has_begun(struct session *s) {
    if (s->engine.ssl == NULL && !begin(s)) {
        session_end(s, REASON_OUT_OF_MEMORY, NULL);
        return false;
    }
    return true;
}

/* A reload that went by during the handshake may have brought a CRL that lists the client. Whatever
 * it says of live sessions, this one was none yet. */
static bool is_revoked_meanwhile(const struct session *s) {
    const struct runtime *now = s->worker->runtime;
    return s->runtime != now && session_is_revoked(s, now);
}

/* After a step: what the engine has to say is in the worker's output. */
static void after_step(struct session *s, enum engine_status status) {
    if (status == ENGINE_FAILED || status == ENGINE_CLOSED) {
        session_end(s, engine_failure(&s->engine), NULL);
        return;
    }
    if (s->client_eof && status == ENGINE_MORE && s->pending->cipher.len == 0) {
        session_end(s, REASON_CLIENT_CLOSED, NULL);
        return;
    }
    if (!relay_flush_engine(s)) {
        return;
    }
    if (s->pending->cipher.len < FLIGHT_MAX) {
        relay_read(s, &s->client);
    }
    if (status == ENGINE_OK && is_revoked_meanwhile(s)) {
        session_end(s, REASON_REVOKED, NULL);
    } else if (status == ENGINE_OK) {
        s->established = true;
        handshake_leave(s);
        connect_begin(s);
    }
}

void handshake_step(struct session *s) {
    struct engine_io *io = &s->worker->io;
    struct buf *cipher = &s->pending->cipher;
    if (!has_begun(s)) {
        return;
    }
    io->in = cipher->data;
    io->in_len = cipher->len;
    enum engine_status status = engine_handshake(&s->engine);
    buf_consume(cipher, cipher->len - io->in_len);
    after_step(s, status);
}

/* The step gets all that has come; what comes meanwhile begins a new buffer. */
bool handshake_begin_slow(struct session *s) {
    struct pending *o = s->pending;
    if (!has_begun(s)) {
        return false;
    }
    o->slow.in = o->cipher;
    o->cipher = (struct buf){0};
    engine_use(&s->engine, &o->slow.io);
    s->in_step = true;
    return true;
}

void handshake_make_slow(struct session *s) {
    struct slow_step *step = &s->pending->slow;
    step->io.in = step->in.data;
    step->io.in_len = step->in.len;
    step->io.out.len = 0;
    step->status = engine_handshake(&s->engine);
}

/* What the step left goes before what came meanwhile. False without memory. */
static bool join_ciphertext(struct pending *o) {
    struct buf *rest = &o->slow.in, later = o->cipher;
    buf_consume(rest, rest->len - o->slow.io.in_len);
    if (!buf_append(rest, later.data, later.len, SIZE_MAX)) {
        return false;
    }
    o->cipher = *rest;
    *rest = (struct buf){0};
    buf_free(&later);
    return true;
}

void handshake_end_slow(struct session *s) {
    struct pending *o = s->pending;
    struct engine_io *io = &s->worker->io;
    struct buf out = o->slow.io.out;
    s->in_step = false;
    engine_use(&s->engine, io);
    if (session_is_over(s)) {
        session_linger(s);
        return;
    }
    o->slow.io.out = io->out; /* empty: what the step has to say becomes the worker's output */
    io->out = out;
    if (!join_ciphertext(o)) {
        session_end(s, REASON_OUT_OF_MEMORY, NULL);
        return;
    }
    after_step(s, o->slow.status);
    if (s->state == SESSION_HANDSHAKE && s->pending->cipher.len > 0) {
        scheduler_queue_handshake(s->worker, s);
    }
}

void handshake_on_client_gone(struct session *s, const char *error) {
    bool last_words = s->engine.ssl != NULL && s->pending->cipher.len > 0;
    s->client_eof = true;
    if (!last_words) {
        session_end(s, REASON_CLIENT_CLOSED, error);
    }
}
