/* The phase between the handshake and the dial, with mqtt off and dial = first-byte: until the
 * client has sent a byte of plaintext. One that never does costs no connection of the broker. */
#include "session/closing.h"
#include "session/state.h"
#include "session/transfer.h"

/* A client that ends right after its first bytes still has them brought to the broker. */
static enum verdict look_for_byte(struct session *s) {
    s->up = s->pending->plain.len;
    if (s->up > 0) {
        closing_end_newcomer(s);
        deadline_clear(&s->member.silence);
        return SESSION_NEXT_PHASE;
    }
    return s->client.ended ? session_end(s, REASON_CLIENT_CLOSED, NULL) : SESSION_GOES_ON;
}

static enum verdict on_client_bytes(struct session *s, uint8_t *data, size_t len) {
    enum verdict verdict = transfer_decrypt_early(s, data, len);
    return verdict == SESSION_GOES_ON ? look_for_byte(s) : verdict;
}

static enum verdict on_client_eof(struct session *s) {
    s->client_eof = true;
    return session_end(s, REASON_CLIENT_TRUNCATED, NULL);
}

/* What came with the end of the handshake is read at once: most clients have sent their first bytes
 * by then, and wait for nothing here. */
static enum verdict enter(struct session *s) {
    struct pool *pool = s->pool;
    deadline_clear(&s->member.progress); /* handshake_timeout's */
    enum verdict verdict = transfer_decrypt_pending(s);
    verdict = verdict == SESSION_GOES_ON ? look_for_byte(s) : verdict;
    if (verdict != SESSION_GOES_ON) {
        return verdict;
    }
    if (s->client_eof) {
        return on_client_eof(s);
    }
    if (!pool_set_deadline(pool, &pool->silence, &s->member.silence,
                           session_config(s)->first_data_timeout_ms)) {
        return session_end(s, REASON_OUT_OF_MEMORY, NULL);
    }
    session_await(s, WAIT_DATA);
    session_read(s, &s->client);
    return SESSION_GOES_ON;
}

static enum verdict on_silence_due(struct session *s) {
    return session_end(s, REASON_FIRST_DATA_TIMEOUT, NULL);
}

const struct phase phase_first_byte = {
    .enter = enter,
    .on_client_bytes = on_client_bytes,
    .on_client_eof = on_client_eof,
    .on_client_error = transfer_on_client_error,
    .on_send_error = transfer_on_send_error,
    .on_silence_due = on_silence_due,
};
