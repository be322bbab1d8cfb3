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

/* --- who waits for whom ---
 *
 * max_handshakes bounds the handshakes that wait for a step of ours, over all workers. A handshake
 * that waits for the client costs memory but no time, and a client that never answers could hold
 * its place until handshake_timeout: so these are in a list of their own, whose oldest entry makes
 * room when it is full. */

enum { AWAITED_PER_PLACE = 4, AWAITED_MIN = 16 };

/* How many handshakes of one listener this worker lets wait for their clients. */
static size_t awaited_max(const struct session *s) {
    size_t all = session_config(s)->max_handshakes;
    size_t share = all / s->worker->shared->worker_count * AWAITED_PER_PLACE;
    return share > AWAITED_MIN ? share : AWAITED_MIN;
}

static struct awaited_list *awaited_of(const struct session *s) {
    return &s->worker->awaited[s->listener];
}

void handshake_leave(struct session *s) {
    list_remove(&s->queue);
    if (s->counted) {
        s->counted = false;
        atomic_fetch_sub_explicit(&counts_of(s)->handshakes, 1, memory_order_relaxed);
    }
    if (s->awaited) {
        s->awaited = false;
        awaited_of(s)->count--;
    }
}

void handshake_queue(struct session *s) {
    if (s->counted) {
        return;
    }
    bool fresh = !s->awaited;
    handshake_leave(s);
    s->counted = true;
    size_t counted =
        atomic_fetch_add_explicit(&counts_of(s)->handshakes, 1, memory_order_relaxed) + 1;
    if (fresh && counted > session_config(s)->max_handshakes) {
        session_end(s, REASON_LIMIT_HANDSHAKES, NULL);
        return;
    }
    scheduler_queue_handshake(s->worker, s);
}

/* All that the client sent is used up. */
static void await_client(struct session *s) {
    struct awaited_list *awaited = awaited_of(s);
    handshake_leave(s);
    s->awaited = true;
    awaited->count++;
    list_append(&awaited->oldest_first, &s->queue);
    if (awaited->count > awaited_max(s)) {
        struct session *oldest = container_of(awaited->oldest_first.next, struct session, queue);
        session_end(oldest, REASON_LIMIT_HANDSHAKES, "waited longest for its client");
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
    s->state = SESSION_HANDSHAKE;
    s->heavy = tls_context_is_heavy(s->runtime->listeners[s->listener].tls, &o->hello);
    handshake_queue(s);
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
        memcpy(&s->peer, &header.source, sizeof s->peer);
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
    } else {
        handshake_queue(s);
    }
    if (!session_is_over(s) && cipher->len >= FLIGHT_MAX) {
        relay_stop_reading(&s->client);
    }
}

/* A context that a reload has retired since the ClientHello came may have given its CAs back: then
 * the current one takes over. False without memory. */
static bool begin(struct session *s) {
    struct runtime *now = s->worker->runtime;
    const struct client_hello *hello = &s->pending->hello;
    s->engine = engine_open(s->runtime->listeners[s->listener].tls, hello);
    if (s->engine == NULL && s->runtime != now) {
        runtime_unref(s->runtime);
        s->runtime = runtime_ref(now);
        s->engine = engine_open(now->listeners[s->listener].tls, hello);
    }
    return s->engine != NULL;
}

/* A reload that went by during the handshake may have brought a CRL that lists the client. Whatever
 * it says of live sessions, this one was none yet. */
static bool is_revoked_meanwhile(const struct session *s) {
    const struct runtime *now = s->worker->runtime;
    return s->runtime != now && session_is_revoked(s, now);
}

/* After a step: what the engine has for the client is in the worker's `sealed`. */
static void after_step(struct session *s, enum engine_status status) {
    if (status == ENGINE_FAILED || status == ENGINE_CLOSED) {
        session_end(s, engine_failure(s->engine), NULL);
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
    if (status == ENGINE_PAUSED) {
        scheduler_resume_handshake(s->worker, s);
    } else if (status == ENGINE_OK && is_revoked_meanwhile(s)) {
        session_end(s, REASON_REVOKED, NULL);
    } else if (status == ENGINE_OK) {
        s->established = true;
        handshake_leave(s);
        connect_begin(s);
    } else {
        await_client(s);
    }
}

void handshake_step(struct session *s) {
    struct worker *w = s->worker;
    struct buf *cipher = &s->pending->cipher;
    if (s->engine == NULL && !begin(s)) {
        session_end(s, REASON_OUT_OF_MEMORY, NULL);
        return;
    }
    struct engine_input in = {cipher->data, cipher->len};
    struct engine_stack *stack = s->heavy ? scheduler_stack(w) : NULL;
    enum engine_status status = engine_handshake(s->engine, &in, &w->sealed, stack);
    buf_consume(cipher, cipher->len - in.len);
    after_step(s, status);
}

void handshake_on_client_gone(struct session *s, const char *error) {
    bool last_words = s->engine != NULL && s->pending->cipher.len > 0;
    s->client_eof = true;
    if (!last_words) {
        session_end(s, REASON_CLIENT_CLOSED, error);
    }
}
