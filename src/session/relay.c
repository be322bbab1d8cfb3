/* The phase in which bytes pass between the client and its broker. */
#include "session/closing.h"
#include "session/state.h"
#include "session/transfer.h"

static struct conn *other(struct session *s, const struct conn *conn) {
    return conn == &s->client ? &s->broker : &s->client;
}

/* --- ends --- */

/* One side has ended in order (close_notify, FIN); the session continues for the other, if it can.
 */
static enum verdict note_end(struct session *s, struct conn *conn) {
    struct pool *pool = s->pool;
    conn->ended = true;
    if (other(s, conn)->ended) {
        return transfer_end_closed(s);
    }
    s->broker_first = conn == &s->broker;
    if (!pool_set_deadline(pool, &pool->silence, &s->member.silence,
                           session_config(s)->close_timeout_ms)) {
        return session_end(s, REASON_OUT_OF_MEMORY, NULL);
    }
    return SESSION_GOES_ON;
}

static bool has_half_ended(const struct session *s) {
    return s->client.ended || s->broker.ended;
}

/* Until the client's first byte first_data_timeout runs, whatever the broker sends. */
static enum verdict note_activity(struct session *s) {
    struct pool *pool = s->pool;
    const struct config_listener *config = session_config(s);
    bool half_ended = has_half_ended(s);
    uint64_t duration = half_ended ? config->close_timeout_ms : config->idle_timeout_ms;
    if (s->in_newcomers && !half_ended) {
        return SESSION_GOES_ON;
    }
    if (duration != CONFIG_OFF &&
        !pool_set_deadline(pool, &pool->silence, &s->member.silence, duration)) {
        return session_end(s, REASON_OUT_OF_MEMORY, NULL);
    }
    return SESSION_GOES_ON;
}

/* --- client to broker --- */

/* With dial = handshake: the client has said its first word. */
static void note_first_byte(struct session *s) {
    closing_end_newcomer(s);
    deadline_clear(&s->member.silence);
}

/* mqtt = identity: nothing after the CONNECT may change who the client is. */
static enum verdict send_up(struct session *s, const uint8_t *plain, size_t len) {
    if (session_config(s)->mqtt != MQTT_IDENTITY) {
        return transfer_send(s, &s->broker, plain, len);
    }
    size_t fine = mqtt_follow(&s->follower, plain, len);
    enum verdict verdict = transfer_send(s, &s->broker, plain, fine);
    if (verdict != SESSION_GOES_ON || fine == len) {
        return verdict;
    }
    return session_end(s, REASON_NOT_MQTT, mqtt_fault_text((enum mqtt_fault)s->follower.fault));
}

/* Decrypts all of it and sends it on, whatever the broker takes. */
static enum verdict relay_up(struct session *s, uint8_t *cipher, size_t len) {
    struct pool *pool = s->pool;
    enum engine_status status;
    struct engine_input in = {cipher, len};
    do {
        size_t got;
        status = engine_read(s->engine, &in, pool->plain, POOL_PLAIN_SIZE, &got, &pool->sealed);
        pool_note_plain(pool, got);
        s->up += got;
        counter_add(&session_metrics(s)->up, got);
        if (transfer_flush_engine(s) == SESSION_ENDED ||
            send_up(s, pool->plain, got) == SESSION_ENDED) {
            return SESSION_ENDED;
        }
    } while (status == ENGINE_OK);
    if (s->in_newcomers && s->up > 0) {
        note_first_byte(s);
    }
    if (s->broker.queue != NULL) {
        session_stop_reading(&s->client);
    }
    if (s->client.queue != NULL) { /* with answers of ours */
        session_stop_reading(&s->broker);
    }
    if (status == ENGINE_FAILED) {
        return transfer_end_engine(s);
    }
    if (status == ENGINE_CLOSED) {
        conn_shut(&s->broker);
        return note_end(s, &s->client);
    }
    return note_activity(s);
}

static enum verdict on_client_bytes(struct session *s, uint8_t *data, size_t len) {
    return s->client.ended ? SESSION_GOES_ON : relay_up(s, data, len);
}

static enum verdict on_client_eof(struct session *s) {
    s->client_eof = true;
    if (s->broker.ended) {
        return transfer_end_closed(s);
    }
    return s->client.ended ? SESSION_GOES_ON : session_end(s, REASON_CLIENT_TRUNCATED, NULL);
}

/* --- broker to client --- */

/* The broker has answered, or ended without: its deadline is cleared. */
static enum verdict note_answer(struct session *s) {
    if (!s->answer_due) {
        return SESSION_GOES_ON;
    }
    s->answer_due = false;
    deadline_clear(&s->member.progress);
    return transfer_watch_queues(s);
}

/* One read, all its records in one write. */
static enum verdict on_broker_bytes(struct session *s, uint8_t *data, size_t len) {
    if (s->client.shut_wanted) {
        return SESSION_GOES_ON;
    }
    if (s->answer_open) {
        s->answer_open = mqtt_answer_read(&s->answer, data, len);
    }
    if (engine_write(s->engine, data, len, &s->pool->sealed) != ENGINE_OK) {
        return transfer_end_engine(s);
    }
    s->down += len;
    counter_add(&session_metrics(s)->down, len);
    if (transfer_flush_engine(s) == SESSION_ENDED || note_answer(s) == SESSION_ENDED) {
        return SESSION_ENDED;
    }
    if (s->client.queue != NULL) {
        session_stop_reading(&s->broker);
    }
    return note_activity(s);
}

static enum verdict on_broker_eof(struct session *s) {
    s->broker.ended = true; /* whatever comes of telling the client: nothing will report it again */
    if (s->client.ended) {
        return transfer_end_closed(s);
    }
    s->broker_first = true;
    engine_close(s->engine, &s->pool->sealed);
    if (s->pool->sealed.len == 0) {
        return session_end(s, REASON_OUT_OF_MEMORY, NULL); /* FIN alone would look like a cut */
    }
    if (transfer_flush_engine(s) == SESSION_ENDED || note_answer(s) == SESSION_ENDED) {
        return SESSION_ENDED;
    }
    conn_shut(&s->client);
    if (s->answer.refusal != 0) { /* a client that is refused is not waited for */
        return transfer_end_closed(s);
    }
    return note_end(s, &s->broker);
}

static enum verdict on_broker_error(struct session *s, int code) {
    return transfer_end_broken(s, &s->broker, code);
}

/* What was not read while this peer's queue was full is read now. */
static enum verdict on_sent(struct session *s, struct conn *to) {
    enum verdict verdict = transfer_watch_queues(s);
    if (verdict == SESSION_GOES_ON) {
        session_read(s, other(s, to));
    }
    return verdict;
}

/* --- begin --- */

/* What came while the broker was being reached. */
static enum verdict hand_over_early_bytes(struct session *s) {
    struct pending *p = s->pending;
    counter_add(&session_metrics(s)->up, s->up);
    enum verdict verdict = transfer_send(s, &s->broker, p->plain.data, p->plain.len);
    if (verdict == SESSION_GOES_ON && s->client.ended) {
        conn_shut(&s->broker);
        verdict = note_end(s, &s->client);
    } else if (verdict == SESSION_GOES_ON && p->cipher.len > 0) {
        verdict = relay_up(s, p->cipher.data, p->cipher.len);
    }
    if (verdict == SESSION_GOES_ON && s->client_eof && !s->client.ended) {
        return session_end(s, REASON_CLIENT_TRUNCATED, NULL);
    }
    return verdict;
}

/* With dial = handshake the broker is here before the client's first byte. */
static enum verdict await_first_byte(struct session *s) {
    struct pool *pool = s->pool;
    uint64_t duration = session_config(s)->first_data_timeout_ms;
    if (duration == CONFIG_OFF || s->up > 0) {
        closing_end_newcomer(s);
        return SESSION_GOES_ON;
    }
    session_await(s, WAIT_DATA);
    if (!pool_set_deadline(pool, &pool->silence, &s->member.silence, duration)) {
        return session_end(s, REASON_OUT_OF_MEMORY, NULL);
    }
    return SESSION_GOES_ON;
}

static enum verdict enter(struct session *s) {
    s->answer_open = session_config(s)->mqtt != MQTT_OFF;
    if (s->in_newcomers && await_first_byte(s) == SESSION_ENDED) {
        return SESSION_ENDED;
    }
    if (note_activity(s) == SESSION_ENDED || hand_over_early_bytes(s) == SESSION_ENDED) {
        return SESSION_ENDED;
    }
    session_free_pending(s);
    if (transfer_watch_queues(s) == SESSION_ENDED) { /* what earlier phases have queued */
        return SESSION_ENDED;
    }
    if (s->broker.queue == NULL) {
        session_read(s, &s->client);
    } else {
        session_stop_reading(&s->client);
    }
    if (s->client.queue == NULL) {
        session_read(s, &s->broker);
    }
    return SESSION_GOES_ON;
}

/* --- deadlines --- */

/* write_timeout: whether a side with something queued has taken nothing since the last look. */
static bool is_stuck(struct session *s) {
    bool client = conn_is_stuck(&s->client), broker = conn_is_stuck(&s->broker);
    return client || broker;
}

static enum verdict on_progress_due(struct session *s) {
    struct pool *pool = s->pool;
    if (s->answer_due) {
        return session_end(s, REASON_BROKER_TIMEOUT,
                           "no answer to the CONNECT within connect_timeout");
    }
    if (is_stuck(s)) {
        return session_end(s, REASON_WRITE_TIMEOUT, NULL);
    }
    if (!pool_set_deadline(pool, &pool->progress, &s->member.progress,
                           session_config(s)->write_timeout_ms)) {
        return session_end(s, REASON_OUT_OF_MEMORY, NULL);
    }
    return SESSION_GOES_ON;
}

static enum verdict on_silence_due(struct session *s) {
    if (has_half_ended(s)) {
        return session_end(s, REASON_CLOSE_TIMEOUT, NULL);
    }
    return session_end(s, s->in_newcomers ? REASON_FIRST_DATA_TIMEOUT : REASON_IDLE_TIMEOUT, NULL);
}

const struct phase phase_relaying = {
    .enter = enter,
    .on_client_bytes = on_client_bytes,
    .on_client_eof = on_client_eof,
    .on_client_error = transfer_on_client_error,
    .on_broker_bytes = on_broker_bytes,
    .on_broker_eof = on_broker_eof,
    .on_broker_error = on_broker_error,
    .on_sent = on_sent,
    .on_send_error = transfer_on_send_error,
    .on_progress_due = on_progress_due,
    .on_silence_due = on_silence_due,
};
