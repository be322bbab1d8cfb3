/* The phase between the handshake and the dial, with mqtt on: until the client's CONNECT packet is
 * whole and valid, and with mqtt = identity rewritten. Nothing reaches the broker before that. */
#include "session/closing.h"
#include "session/state.h"
#include "session/transfer.h"

#include <stdio.h>
#include <string.h>

enum { LOGGED_ID_MAX = 64 }; /* bytes of a client ID that a line has */

static enum verdict refuse(struct session *s, enum mqtt_fault fault) {
    return session_end(s, REASON_NOT_MQTT, mqtt_fault_text(fault));
}

/* With the identity as the user name. What came after the CONNECT comes after it. */
static enum verdict rewrite(struct session *s, size_t size, const struct mqtt_connect *connect) {
    struct buf *plain = &s->pending->plain;
    const char *identity = engine_identity(s->engine);
    size_t identity_len = identity != NULL ? strlen(identity) : 0;
    size_t after = plain->len - size, new_size;
    struct buf anew = {0};
    size_t room = MQTT_CONNECT_REWRITTEN_MAX(size, identity_len) + after;
    if (!buf_reserve(&anew, room, SIZE_MAX)) {
        return session_end(s, REASON_OUT_OF_MEMORY, NULL);
    }
    enum mqtt_fault fault = mqtt_connect_rewrite(plain->data, connect, (const uint8_t *)identity,
                                                 identity_len, anew.data, &new_size);
    if (fault != MQTT_FAULT_NONE) {
        buf_wipe(&anew);
        return refuse(s, fault);
    }
    memcpy(anew.data + new_size, plain->data + size, after);
    anew.len = new_size + after;
    buf_wipe(plain);
    *plain = anew;
    size_t fine = mqtt_follow(&s->follower, anew.data + new_size, after);
    return fine == after ? SESSION_NEXT_PHASE : refuse(s, (enum mqtt_fault)s->follower.fault);
}

static enum verdict refuse_client_id(struct session *s, const struct mqtt_text *id) {
    char detail[LOGGED_ID_MAX + 32];
    int len = (int)(id->len < LOGGED_ID_MAX ? id->len : LOGGED_ID_MAX);
    snprintf(detail, sizeof detail, "the client ID is %.*s", len, (const char *)id->data);
    return session_end(s, REASON_BAD_CLIENT_ID, id->len > 0 ? detail : "the client ID is empty");
}

/* With client_id, nobody can take over the session of another identity. */
static bool has_fitting_client_id(const struct session *s, const struct mqtt_connect *connect) {
    const char *identity = engine_identity(s->engine);
    bool as_prefix = false;
    switch (session_config(s)->client_id) {
    case CLIENT_ID_FREE:
        return true;
    case CLIENT_ID_IDENTITY:
        break;
    case CLIENT_ID_PREFIX:
        as_prefix = true;
        break;
    }
    return identity != NULL &&
           mqtt_client_id_is_of(connect, (const uint8_t *)identity, strlen(identity), as_prefix);
}

static enum verdict on_whole_connect(struct session *s, size_t size) {
    const struct buf *plain = &s->pending->plain;
    struct mqtt_connect connect;
    enum mqtt_fault fault = mqtt_connect_parse(plain->data, size, &connect);
    s->up = plain->len;
    if (fault != MQTT_FAULT_NONE) {
        return refuse(s, fault);
    }
    if (!has_fitting_client_id(s, &connect)) {
        return refuse_client_id(s, &connect.client_id);
    }
    closing_end_newcomer(s);
    switch (session_config(s)->mqtt) {
    case MQTT_IDENTITY:
        return rewrite(s, size, &connect);
    case MQTT_CHECK:
    case MQTT_OFF: /* without this phase */
        break;
    }
    return SESSION_NEXT_PHASE;
}

static enum verdict look_for_connect(struct session *s) {
    const struct buf *plain = &s->pending->plain;
    size_t size;
    switch (
        mqtt_connect_find(plain->data, plain->len, session_config(s)->max_connect_size, &size)) {
    case MQTT_CONNECT_WHOLE:
        return on_whole_connect(s, size);
    case MQTT_CONNECT_MORE:
        return s->client.ended ? session_end(s, REASON_CLIENT_CLOSED, NULL) : SESSION_GOES_ON;
    case MQTT_CONNECT_NOT_MQTT:
        break;
    }
    return session_end(s, REASON_NOT_MQTT, "the first packet is not a CONNECT, or is too large");
}

static enum verdict on_client_bytes(struct session *s, uint8_t *data, size_t len) {
    enum verdict verdict = transfer_decrypt_early(s, data, len);
    return verdict == SESSION_GOES_ON ? look_for_connect(s) : verdict;
}

static enum verdict on_client_eof(struct session *s) {
    s->client_eof = true;
    return session_end(s, s->client.ended ? REASON_CLIENT_CLOSED : REASON_CLIENT_TRUNCATED, NULL);
}

/* What came with the end of the handshake is read at once. */
static enum verdict enter(struct session *s) {
    struct pool *pool = s->pool;
    if (!pool_set_deadline(pool, &pool->progress, &s->member.progress,
                           session_config(s)->connect_packet_timeout_ms)) {
        return session_end(s, REASON_OUT_OF_MEMORY, NULL);
    }
    enum verdict verdict = transfer_decrypt_pending(s);
    verdict = verdict == SESSION_GOES_ON ? look_for_connect(s) : verdict;
    if (verdict != SESSION_GOES_ON) {
        return verdict;
    }
    if (s->client_eof) {
        return on_client_eof(s);
    }
    session_await(s, WAIT_DATA);
    session_read(s, &s->client);
    return SESSION_GOES_ON;
}

static enum verdict on_progress_due(struct session *s) {
    return session_end(s, REASON_CONNECT_PACKET_TIMEOUT, NULL);
}

const struct phase phase_connect_packet = {
    .enter = enter,
    .on_client_bytes = on_client_bytes,
    .on_client_eof = on_client_eof,
    .on_client_error = transfer_on_client_error,
    .on_send_error = transfer_on_send_error,
    .on_progress_due = on_progress_due,
};
