#include "session/session.h"

#include "net/socket.h"
#include "session/worker.h"
#include "wire/proxy_protocol.h"

#include <stdlib.h>
#include <string.h>

void connect_free(struct session *s) {
    if (s->pending != NULL) {
        buf_free(&s->pending->slow.in);
        buf_free(&s->pending->slow.io.out);
        buf_free(&s->pending->cipher);
        buf_free(&s->pending->plain);
        free(s->pending);
        s->pending = NULL;
    }
}

/* --- the PROXY header for the broker --- */

static size_t write_v2(const struct session *s, const struct address *destination,
                       uint8_t out[PROXY_HEADER_OUT_MAX]) {
    bool has_certificate = engine_peer_id(&s->engine) != NULL;
    const char *version = engine_version(&s->engine);
    struct proxy_tls tls = {
        .version = strcmp(version, "1.3") == 0 ? "TLSv1.3" : "TLSv1.2",
        .cipher = engine_cipher(&s->engine),
        .common_name = engine_peer_cn(&s->engine),
        .server_name = s->server_name,
        .session_certificate = has_certificate,
        .connection_certificate = engine_peer_presented(&s->engine),
    };
    return proxy_header_v2(&s->peer, destination, &tls, out);
}

/* In one write, as Mosquitto 2.1 wants it. False if the session ended. */
static bool send_proxy_header(struct session *s) {
    enum config_proxy_protocol version = session_config(s)->proxy_protocol;
    struct address destination = s->pending->destination;
    uint8_t header[PROXY_HEADER_OUT_MAX];
    size_t size;
    if (version == PROXY_PROTOCOL_OFF) {
        return true;
    }
    if (destination.family == ADDRESS_NONE) {
        destination = socket_own_address(s->client.polled.fd);
    }
    if (version == PROXY_PROTOCOL_V1) {
        size = proxy_header_v1(&s->peer, &destination, (char *)header);
    } else {
        size = write_v2(s, &destination, header);
    }
    if (size == 0) {
        session_end(s, REASON_TLS_ERROR, "the certificate's common name fits no PROXY header");
        return false;
    }
    return relay_send(s, &s->broker, header, size);
}

/* --- dialling --- */

/* With mqtt on, a broker that takes the CONNECT must also say something in time. */
static bool expect_answer(struct session *s) {
    struct worker *w = s->worker;
    const struct config_listener *config = session_config(s);
    s->answer_due = config->mqtt != MQTT_OFF;
    if (s->answer_due &&
        !worker_deadline(w, &w->progress, &s->progress, config->connect_timeout_ms)) {
        session_end(s, REASON_OUT_OF_MEMORY, NULL);
        return false;
    }
    return true;
}

static void on_dialled(struct dial *dial, int status) {
    struct session *s = container_of(dial, struct pending, dial)->session;
    deadline_clear(&s->progress);
    if (status != 0) {
        session_end(s, status == UV_ETIMEDOUT ? REASON_BROKER_TIMEOUT : REASON_BROKER_UNREACHABLE,
                    uv_strerror(status));
        return;
    }
    s->backend = (uint16_t)dial_backend(dial);
    dial_take(dial, &s->broker.polled);
    if (conn_open(&s->broker, &s->worker->poller) != 0) {
        session_end(s, REASON_OUT_OF_MEMORY, NULL);
        return;
    }
    if (expect_answer(s) && send_proxy_header(s)) {
        relay_start(s);
    }
}

static void reach_broker(struct session *s) {
    struct worker *w = s->worker;
    const struct runtime_listener *l = &s->runtime->listeners[s->listener];
    s->state = SESSION_DIALING;
    if (!worker_deadline(w, &w->progress, &s->progress, l->config->connect_timeout_ms)) {
        session_end(s, REASON_OUT_OF_MEMORY, NULL);
        return;
    }
    dial_start(&s->pending->dial, &w->dialer, l->backends, l->config->backend_count, on_dialled);
}

/* The next address or backend gets the same time again. */
void connect_expire(struct session *s) {
    struct worker *w = s->worker;
    if (!worker_deadline(w, &w->progress, &s->progress, session_config(s)->connect_timeout_ms)) {
        session_end(s, REASON_OUT_OF_MEMORY, NULL);
        return;
    }
    dial_expire(&s->pending->dial);
}

/* --- the CONNECT packet --- */

static enum mqtt_fault rewrite(struct session *s, struct buf *plain, size_t size,
                               const struct mqtt_connect *connect) {
    const char *identity = engine_identity(&s->engine);
    size_t identity_len = identity != NULL ? strlen(identity) : 0;
    struct buf anew = {0};
    size_t room = MQTT_CONNECT_REWRITTEN_MAX(size, identity_len) + plain->len - size, new_size;
    if (!buf_reserve(&anew, room, SIZE_MAX)) {
        return MQTT_FAULT_IDENTITY;
    }
    enum mqtt_fault fault = mqtt_connect_rewrite(plain->data, connect, (const uint8_t *)identity,
                                                 identity_len, anew.data, &new_size);
    if (fault != MQTT_FAULT_NONE) {
        buf_free(&anew);
        return fault;
    }
    memcpy(anew.data + new_size, plain->data + size, plain->len - size);
    anew.len = new_size + plain->len - size;
    size_t behind = plain->len - size;
    buf_free(plain);
    *plain = anew;
    size_t fine = mqtt_follow(&s->follower, anew.data + new_size, behind);
    return fine == behind ? MQTT_FAULT_NONE : (enum mqtt_fault)s->follower.fault;
}

static void on_whole_connect(struct session *s, size_t size) {
    struct buf *plain = &s->pending->plain;
    struct mqtt_connect connect;
    enum mqtt_fault fault = mqtt_connect_parse(plain->data, size, &connect);
    s->up = plain->len;
    if (fault == MQTT_FAULT_NONE && session_config(s)->mqtt == MQTT_IDENTITY) {
        fault = rewrite(s, plain, size, &connect);
    }
    if (fault != MQTT_FAULT_NONE) {
        session_end(s, REASON_NOT_MQTT, mqtt_fault_text(fault));
    } else {
        reach_broker(s);
    }
}

static void look_for_connect(struct session *s) {
    struct buf *plain = &s->pending->plain;
    size_t size;
    switch (
        mqtt_connect_find(plain->data, plain->len, session_config(s)->max_connect_size, &size)) {
    case MQTT_CONNECT_WHOLE:
        on_whole_connect(s, size);
        return;
    case MQTT_CONNECT_MORE:
        if (s->client.ended) {
            session_end(s, REASON_CLIENT_CLOSED, NULL);
        }
        return;
    case MQTT_CONNECT_NOT_MQTT:
        session_end(s, REASON_NOT_MQTT, "the first packet is no CONNECT, or too large");
        return;
    }
}

/* Decrypts into `opening->plain`. False if the session ended. */
static bool decrypt_early(struct session *s, const uint8_t *cipher, size_t len) {
    struct worker *w = s->worker;
    enum engine_status status;
    w->io.in = cipher;
    w->io.in_len = len;
    do {
        size_t got;
        status = engine_read(&s->engine, w->plain, WORKER_PLAIN_SIZE, &got);
        if (!relay_flush_engine(s)) {
            return false;
        }
        if (!buf_append(&s->pending->plain, w->plain, got, SIZE_MAX)) {
            session_end(s, REASON_OUT_OF_MEMORY, NULL);
            return false;
        }
    } while (status == ENGINE_OK);
    if (status == ENGINE_FAILED) {
        session_end(s, REASON_TLS_ERROR, reason_name(engine_failure(&s->engine)));
        return false;
    }
    s->client.ended = status == ENGINE_CLOSED;
    return true;
}

static void read_connect(struct session *s, const uint8_t *cipher, size_t len) {
    if (decrypt_early(s, cipher, len)) {
        look_for_connect(s);
    }
}

void connect_on_client_eof(struct session *s) {
    struct pending *o = s->pending;
    if (s->state == SESSION_DIALING && o->plain.len == 0 && o->cipher.len > 0) {
        if (!decrypt_early(s, o->cipher.data, o->cipher.len)) {
            return;
        }
        o->cipher.len = 0;
        s->up = o->plain.len;
    }
    if (s->state == SESSION_CONNECT || o->plain.len == 0) {
        session_end(s, s->client.ended ? REASON_CLIENT_CLOSED : REASON_CLIENT_TRUNCATED, NULL);
    }
}

void connect_feed(struct session *s, const uint8_t *data, size_t len) {
    if (s->state == SESSION_CONNECT) {
        read_connect(s, data, len);
        return;
    }
    struct buf *cipher = &s->pending->cipher;
    if (!buf_append(cipher, data, len, SIZE_MAX)) {
        session_end(s, REASON_OUT_OF_MEMORY, NULL);
    } else if (cipher->len >= WORKER_READ_SIZE) {
        relay_stop_reading(&s->client); /* relay_start goes on */
    }
}

/* False if the session ended. */
static bool expect_connect(struct session *s) {
    struct worker *w = s->worker;
    struct buf early = s->pending->cipher;
    s->state = SESSION_CONNECT;
    s->pending->cipher = (struct buf){0};
    if (!worker_deadline(w, &w->progress, &s->progress,
                         session_config(s)->connect_packet_timeout_ms)) {
        session_end(s, REASON_OUT_OF_MEMORY, NULL);
    } else if (early.len > 0) {
        read_connect(s, early.data, early.len);
    }
    buf_free(&early);
    return !session_is_over(s);
}

void connect_begin(struct session *s) {
    if (session_config(s)->mqtt == MQTT_OFF) {
        reach_broker(s);
    } else if (expect_connect(s) && s->state == SESSION_CONNECT) {
        relay_read(s, &s->client);
    }
    if (s->client_eof && (s->state == SESSION_CONNECT || s->state == SESSION_DIALING)) {
        connect_on_client_eof(s);
    }
}
