/* The phase in which the broker is reached; it ends with the PROXY header, where one is wanted, as
 * the first bytes that the broker gets. */
#include "net/socket.h"
#include "session/closing.h"
#include "session/state.h"
#include "session/transfer.h"
#include "wire/proxy_protocol.h"

#include <string.h>

/* --- the PROXY header for the broker --- */

static size_t write_v2(const struct session *s, const struct address *destination,
                       uint8_t out[PROXY_HEADER_OUT_MAX]) {
    bool has_certificate = engine_peer_id(s->engine) != NULL;
    const char *version = engine_version(s->engine);
    struct proxy_tls tls = {
        .version = strcmp(version, "1.3") == 0 ? "TLSv1.3" : "TLSv1.2",
        .cipher = engine_cipher(s->engine),
        .common_name = engine_identity(s->engine),
        .server_name = s->server_name,
        .session_certificate = has_certificate,
        .connection_certificate = engine_peer_presented(s->engine),
    };
    return proxy_header_v2(&s->client_addr, destination, &tls, out);
}

/* The address that the client came to: a balancer's header says which, or else the system. */
static struct address find_destination(const struct session *s) {
    const struct address *given = &s->pending->destination;
    return given->family != ADDRESS_NONE ? *given : socket_own_address(s->client.handle.fd);
}

/* In one write, as Mosquitto 2.1 wants it. */
static enum verdict send_proxy_header(struct session *s, enum config_proxy_protocol version) {
    struct address destination;
    uint8_t header[PROXY_HEADER_OUT_MAX];
    size_t size = 0;
    switch (version) {
    case PROXY_PROTOCOL_OFF:
        return SESSION_GOES_ON;
    case PROXY_PROTOCOL_V1:
        destination = find_destination(s);
        size = proxy_header_v1(&s->client_addr, &destination, (char *)header);
        break;
    case PROXY_PROTOCOL_V2:
        destination = find_destination(s);
        size = write_v2(s, &destination, header);
        break;
    }
    if (size == 0) {
        return session_end(s, REASON_TLS_ERROR,
                           "the certificate's common name does not fit a PROXY header");
    }
    return transfer_send(s, &s->broker, header, size);
}

/* --- dialling --- */

/* With mqtt on, a broker that takes the CONNECT must also answer in time. */
static bool expect_answer(struct session *s) {
    struct pool *pool = s->pool;
    const struct config_listener *config = session_config(s);
    s->answer_due = config->mqtt != MQTT_OFF;
    return !s->answer_due || pool_set_deadline(pool, &pool->progress, &s->member.progress,
                                               config->connect_timeout_ms);
}

static enum verdict end_without_broker(struct session *s, int status) {
    switch (status) {
    case UV_EBUSY:
        counter_add(&session_metrics(s)->no_dials, 1);
        return session_end(s, REASON_BROKER_TIMEOUT, "its turn did not come (max_dials)");
    case UV_EAGAIN:
        return session_end(s, REASON_BROKER_TIMEOUT, "the queue of the broker's socket is full");
    case UV_EADDRNOTAVAIL:
        return session_end(s, REASON_BROKER_UNREACHABLE,
                           "no local port is free for the broker (backend_source)");
    case UV_ETIMEDOUT:
        return session_end(s, REASON_BROKER_TIMEOUT, uv_strerror(status));
    default:
        return session_end(s, REASON_BROKER_UNREACHABLE, uv_strerror(status));
    }
}

static enum verdict on_done(struct session *s) {
    int status = s->pending->dial_status;
    deadline_clear(&s->member.progress);
    if (status != 0 && status != UV_ENOMEM) {
        return end_without_broker(s, status);
    }
    if (status != 0 || !expect_answer(s)) {
        return session_end(s, REASON_OUT_OF_MEMORY, NULL);
    }
    enum verdict verdict = send_proxy_header(s, session_config(s)->proxy_protocol);
    return verdict == SESSION_GOES_ON ? SESSION_NEXT_PHASE : verdict;
}

/* The socket is taken and watched at once, so that it is closed like any other if the session ends
 * first; the session goes on when the scheduler has time for it, or within enter. */
static void on_dialled(struct dial *dial, int status) {
    struct pending *p = container_of(dial, struct pending, dial);
    struct session *s = p->session;
    p->dial_done = true;
    p->dial_status = status;
    if (status == 0) {
        s->backend = (uint16_t)dial_backend(dial);
        dial_take(dial, &s->broker.handle);
        if (conn_open(&s->broker, s->pool->poller) != 0) {
            conn_close(&s->broker);
            p->dial_status = UV_ENOMEM;
        }
    }
    if (!p->dial_starting) {
        pool_serve_later(s->pool, &s->member, false);
    }
}

static bool set_deadline(struct session *s) {
    struct pool *pool = s->pool;
    return pool_set_deadline(pool, &pool->progress, &s->member.progress,
                             session_config(s)->connect_timeout_ms);
}

static enum verdict on_served(struct session *s) {
    return s->pending->dial_done ? on_done(s) : SESSION_GOES_ON;
}

/* The client will send nothing more: continues only for bytes that the broker has not got yet. */
static enum verdict on_client_eof(struct session *s) {
    struct pending *p = s->pending;
    s->client_eof = true;
    if (p->plain.len == 0) {
        if (transfer_decrypt_pending(s) == SESSION_ENDED) {
            return SESSION_ENDED;
        }
        s->up = p->plain.len;
    }
    if (p->plain.len > 0) {
        dial_yield(&p->dial);
        return SESSION_GOES_ON;
    }
    return session_end(s, s->client.ended ? REASON_CLIENT_CLOSED : REASON_CLIENT_TRUNCATED, NULL);
}

static enum verdict enter(struct session *s) {
    struct pending *p = s->pending;
    if (s->client_eof && on_client_eof(s) == SESSION_ENDED) {
        return SESSION_ENDED;
    }
    if (!set_deadline(s)) {
        return session_end(s, REASON_OUT_OF_MEMORY, NULL);
    }
    p->dial_starting = true;
    dial_start(&p->dial, &s->pool->dialer, &session_listener(s)->target, on_dialled);
    p->dial_starting = false;
    if (s->client_eof) {
        dial_yield(&p->dial);
    }
    return on_served(s);
}

static enum verdict on_client_bytes(struct session *s, uint8_t *data, size_t len) {
    struct buf *cipher = &s->pending->cipher;
    if (!buf_append(cipher, data, len, SIZE_MAX)) {
        return session_end(s, REASON_OUT_OF_MEMORY, NULL);
    }
    if (cipher->len >= POOL_READ_SIZE) {
        session_stop_reading(&s->client); /* the next phase continues */
    }
    return SESSION_GOES_ON;
}

/* The next address or backend gets the same time again. */
static enum verdict on_progress_due(struct session *s) {
    if (!set_deadline(s)) {
        return session_end(s, REASON_OUT_OF_MEMORY, NULL);
    }
    s->pending->dial_starting = true;
    dial_expire(&s->pending->dial);
    s->pending->dial_starting = false;
    return on_served(s);
}

const struct phase phase_dialling = {
    .enter = enter,
    .on_served = on_served,
    .on_client_bytes = on_client_bytes,
    .on_client_eof = on_client_eof,
    .on_client_error = transfer_on_client_error,
    .on_send_error = transfer_on_send_error,
    .on_progress_due = on_progress_due,
};
