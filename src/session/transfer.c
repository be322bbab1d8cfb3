#include "session/transfer.h"

#include "session/closing.h"
#include "session/state.h"

/* What our own answers (alerts, key updates) may queue for a client that does not read. The other
 * way nothing is read while something is queued, and what came early has its own bounds. */
enum { QUEUE_MAX = 256 * 1024 };

enum verdict transfer_end_closed(struct session *s) {
    return session_end(s, s->broker_first ? REASON_BROKER_CLOSED : REASON_CLIENT_CLOSED, NULL);
}

enum verdict transfer_end_broken(struct session *s, struct conn *conn, int code) {
    bool in_order = s->client.ended || s->broker.ended;
    conn->ended = true; /* no event will report it again */
    if (in_order) {
        return transfer_end_closed(s);
    }
    if (!s->established) {
        return session_end(s, REASON_CLIENT_CLOSED, uv_strerror(code));
    }
    return session_end(s, conn == &s->client ? REASON_CLIENT_RESET : REASON_BROKER_RESET,
                       uv_strerror(code));
}

enum verdict transfer_end_engine(struct session *s) {
    enum reason reason = engine_failure(s->engine);
    if (reason == REASON_OUT_OF_MEMORY) {
        return session_end(s, reason, NULL);
    }
    return session_end(s, REASON_TLS_ERROR, reason_name(reason));
}

enum verdict transfer_on_client_error(struct session *s, int code) {
    return transfer_end_broken(s, &s->client, code);
}

enum verdict transfer_on_send_error(struct session *s, struct conn *to, int code) {
    return transfer_end_broken(s, to, code);
}

enum verdict transfer_watch_queues(struct session *s) {
    struct pool *pool = s->pool;
    if (s->phase != PHASE_RELAYING || s->answer_due) {
        return SESSION_GOES_ON;
    }
    if (s->client.queue == NULL && s->broker.queue == NULL) {
        deadline_clear(&s->member.progress);
    } else if (!deadline_is_set(&s->member.progress) &&
               !pool_set_deadline(pool, &pool->progress, &s->member.progress,
                                  session_config(s)->write_timeout_ms)) {
        return session_end(s, REASON_OUT_OF_MEMORY, NULL);
    }
    return SESSION_GOES_ON;
}

enum verdict transfer_send(struct session *s, struct conn *to, const uint8_t *data, size_t len) {
    if (len == 0) {
        return SESSION_GOES_ON;
    }
    if (to == &s->client && to->queue != NULL && conn_waiting(to) + len > QUEUE_MAX) {
        return session_end(s, REASON_TLS_ERROR,
                           "the client does not read the TLS answers that it asks for");
    }
    int rc = conn_send(to, s->pool->poller, data, len);
    if (rc == UV_ENOMEM) {
        return session_end(s, REASON_OUT_OF_MEMORY, NULL);
    }
    if (rc != 0) {
        return transfer_end_broken(s, to, rc);
    }
    return to->queue == NULL ? SESSION_GOES_ON : transfer_watch_queues(s);
}

enum verdict transfer_flush_engine(struct session *s) {
    struct buf *out = &s->pool->sealed;
    size_t len = out->len;
    out->len = 0;
    return s->client.shut_wanted ? SESSION_GOES_ON : transfer_send(s, &s->client, out->data, len);
}

enum verdict transfer_decrypt_early(struct session *s, uint8_t *cipher, size_t len) {
    struct pool *pool = s->pool;
    enum engine_status status;
    struct engine_input in = {cipher, len};
    do {
        size_t got;
        status = engine_read(s->engine, &in, pool->plain, POOL_PLAIN_SIZE, &got, &pool->sealed);
        pool_note_plain(pool, got);
        if (transfer_flush_engine(s) == SESSION_ENDED) {
            return SESSION_ENDED;
        }
        if (!buf_append(&s->pending->plain, pool->plain, got, SIZE_MAX)) {
            return session_end(s, REASON_OUT_OF_MEMORY, NULL);
        }
    } while (status == ENGINE_OK);
    if (status == ENGINE_FAILED) {
        return transfer_end_engine(s);
    }
    s->client.ended = s->client.ended || status == ENGINE_CLOSED;
    return SESSION_GOES_ON;
}

enum verdict transfer_decrypt_pending(struct session *s) {
    struct buf cipher = s->pending->cipher;
    s->pending->cipher = (struct buf){0};
    enum verdict verdict =
        cipher.len > 0 ? transfer_decrypt_early(s, cipher.data, cipher.len) : SESSION_GOES_ON;
    buf_wipe(&cipher); /* decrypted where it is */
    return verdict;
}
