#include "session/session.h"

#include "session/worker.h"

/* What our own answers (alerts, key updates) may queue for a client that does not read. The other
 * way nothing is read while something is queued, and what came early has its own bounds. */
enum { QUEUE_MAX = 256 * 1024 };

/* Of one socket, before the others of the worker have theirs: 256 KB take 0.2 ms. */
enum { READS_A_TURN = 8 };

static bool is_client(const struct session *s, const struct conn *side) {
    return side == &s->client;
}

static struct conn *other(struct session *s, struct conn *side) {
    return is_client(s, side) ? &s->broker : &s->client;
}

/* --- ends --- */

/* Both sides have said that they are done: the first to say so names the reason. */
static void end_closed(struct session *s) {
    session_end(s, s->broker_first ? REASON_BROKER_CLOSED : REASON_CLIENT_CLOSED, NULL);
}

/* A socket failed. Once either side has said goodbye, that is just a way of closing. */
static void end_broken(struct session *s, struct conn *side, int status) {
    if (s->client.ended || s->broker.ended) {
        end_closed(s);
    } else if (!s->established) {
        session_end(s, REASON_CLIENT_CLOSED, uv_strerror(status));
    } else if (is_client(s, side)) {
        session_end(s, REASON_CLIENT_RESET, uv_strerror(status));
    } else {
        session_end(s, REASON_BROKER_RESET, uv_strerror(status));
    }
}

void relay_note_end(struct session *s, struct conn *side) {
    side->ended = true;
    if (other(s, side)->ended) {
        end_closed(s);
        return;
    }
    s->broker_first = !is_client(s, side);
    if (!worker_deadline(s->worker, &s->worker->silence, &s->silence,
                         session_config(s)->close_timeout_ms)) {
        session_end(s, REASON_OUT_OF_MEMORY, NULL);
    }
}

/* --- sending --- */

/* The deadline is write_timeout's while something is queued, but only from the broker's first
 * answer on: before that others need it. False if that ended the session. */
static bool watch_queues(struct session *s) {
    if (s->state != SESSION_STREAMING || s->answer_due) {
        return true;
    }
    if (s->client.queue == NULL && s->broker.queue == NULL) {
        deadline_clear(&s->progress);
    } else if (!deadline_is_set(&s->progress) &&
               !worker_deadline(s->worker, &s->worker->progress, &s->progress,
                                session_config(s)->write_timeout_ms)) {
        session_end(s, REASON_OUT_OF_MEMORY, NULL);
        return false;
    }
    return true;
}

bool relay_send(struct session *s, struct conn *to, const uint8_t *data, size_t len) {
    if (len == 0) {
        return true;
    }
    if (is_client(s, to) && to->queue != NULL && conn_waiting(to) + len > QUEUE_MAX) {
        session_end(s, REASON_TLS_ERROR, "asks for answers and does not read them");
        return false;
    }
    int rc = conn_send(to, &s->worker->poller, data, len);
    if (rc == UV_ENOMEM) {
        session_end(s, REASON_OUT_OF_MEMORY, NULL);
        return false;
    }
    if (rc != 0) {
        end_broken(s, to, rc);
        return false;
    }
    return to->queue == NULL || watch_queues(s);
}

/* The session is over: what waits for that side is still sent, until it is refused. */
static void flush_the_last(struct session *s, struct conn *to) {
    if (conn_flush(to) != 0) {
        conn_close(to);
    }
    session_linger(s);
}

/* False if that ended the session. */
static bool flush(struct session *s, struct conn *to) {
    int rc = conn_flush(to);
    if (rc != 0) {
        end_broken(s, to, rc);
        return false;
    }
    if (to->queue != NULL || s->state != SESSION_STREAMING) {
        return true;
    }
    if (!watch_queues(s)) {
        return false;
    }
    relay_read(s, other(s, to));
    return true;
}

bool relay_flush_engine(struct session *s) {
    struct buf *out = &s->worker->sealed;
    size_t len = out->len;
    out->len = 0;
    if (len == 0 || s->client.shut_wanted) {
        return true; /* after our close_notify there is nobody to hear it */
    }
    return relay_send(s, &s->client, out->data, len);
}

/* --- the bytes --- */

static void note_activity(struct session *s) {
    const struct config_listener *config = session_config(s);
    uint64_t duration =
        s->client.ended || s->broker.ended ? config->close_timeout_ms : config->idle_timeout_ms;
    if (duration != CONFIG_OFF &&
        !worker_deadline(s->worker, &s->worker->silence, &s->silence, duration)) {
        session_end(s, REASON_OUT_OF_MEMORY, NULL);
    }
}

/* mqtt = identity: nothing behind the CONNECT may change who the client is. False if that ended the
 * session. */
static bool send_up(struct session *s, const uint8_t *plain, size_t len) {
    if (session_config(s)->mqtt != MQTT_IDENTITY) {
        return relay_send(s, &s->broker, plain, len);
    }
    size_t fine = mqtt_follow(&s->follower, plain, len);
    if (!relay_send(s, &s->broker, plain, fine)) {
        return false;
    }
    if (fine < len) {
        session_end(s, REASON_NOT_MQTT, mqtt_fault_text((enum mqtt_fault)s->follower.fault));
        return false;
    }
    return true;
}

void relay_up(struct session *s, const uint8_t *cipher, size_t len) {
    struct worker *w = s->worker;
    enum engine_status status;
    struct engine_input in = {cipher, len};
    do {
        size_t got;
        status = engine_read(s->engine, &in, w->plain, WORKER_PLAIN_SIZE, &got, &w->sealed);
        s->up += got;
        if (!relay_flush_engine(s) || !send_up(s, w->plain, got)) {
            return;
        }
    } while (status == ENGINE_OK);
    if (status == ENGINE_FAILED) {
        session_end(s, REASON_TLS_ERROR, reason_name(engine_failure(s->engine)));
    } else if (status == ENGINE_CLOSED) {
        conn_shut(&s->broker);
        relay_note_end(s, &s->client);
    } else {
        note_activity(s);
    }
    if (!session_is_over(s) && s->broker.queue != NULL) {
        relay_stop_reading(&s->client);
    }
}

/* The broker has said something, or that it will not: the deadline for that is no more. False if
 * this ended the session. */
static bool note_answer(struct session *s) {
    if (!s->answer_due) {
        return true;
    }
    s->answer_due = false;
    deadline_clear(&s->progress);
    return watch_queues(s);
}

/* Broker to client: one read, all its records in one write. */
static void relay_down(struct session *s, const uint8_t *plain, size_t len) {
    if (s->client.shut_wanted) {
        return;
    }
    if (engine_write(s->engine, plain, len, &s->worker->sealed) != ENGINE_OK) {
        session_end(s, REASON_TLS_ERROR, reason_name(engine_failure(s->engine)));
        return;
    }
    s->down += len;
    if (!relay_flush_engine(s) || !note_answer(s)) {
        return;
    }
    note_activity(s);
    if (!session_is_over(s) && s->client.queue != NULL) {
        relay_stop_reading(&s->broker);
    }
}

static void on_broker_eof(struct session *s) {
    if (s->client.ended) {
        s->broker.ended = true;
        end_closed(s);
        return;
    }
    engine_close(s->engine, &s->worker->sealed);
    if (!relay_flush_engine(s) || !note_answer(s)) {
        return;
    }
    conn_shut(&s->client);
    relay_note_end(s, &s->broker);
}

static void on_client_eof(struct session *s) {
    s->client_eof = true;
    switch ((enum session_state)s->state) {
    case SESSION_HELLO:
        session_end(s, REASON_CLIENT_CLOSED, NULL);
        return;
    case SESSION_HANDSHAKE:
        handshake_on_client_gone(s, NULL);
        return;
    case SESSION_CONNECT:
    case SESSION_DIALING:
        connect_on_client_eof(s);
        return;
    case SESSION_STREAMING:
        if (s->broker.ended) {
            end_closed(s);
        } else if (!s->client.ended) {
            session_end(s, REASON_CLIENT_TRUNCATED, NULL);
        }
        return;
    case SESSION_ENDED:
        return;
    }
}

/* --- reading --- */

static void on_client_bytes(struct session *s, const uint8_t *data, size_t len) {
    switch ((enum session_state)s->state) {
    case SESSION_HELLO:
    case SESSION_HANDSHAKE:
        handshake_feed(s, data, len);
        return;
    case SESSION_CONNECT:
    case SESSION_DIALING:
        connect_feed(s, data, len);
        return;
    case SESSION_STREAMING:
        if (!s->client.ended) {
            relay_up(s, data, len);
        }
        return;
    case SESSION_ENDED:
        return;
    }
}

static void on_bytes(struct session *s, struct conn *from, const uint8_t *data, size_t len) {
    if (is_client(s, from)) {
        on_client_bytes(s, data, len);
    } else if (!session_is_over(s)) {
        relay_down(s, data, len);
    }
}

/* `code` is UV_EOF or what is wrong with the socket. */
static void on_end(struct session *s, struct conn *from, int code) {
    if (session_is_over(s)) {
        from->ended = true;
        session_linger(s);
    } else if (code == UV_EOF && is_client(s, from)) {
        on_client_eof(s);
    } else if (code == UV_EOF) {
        on_broker_eof(s);
    } else if (is_client(s, from) && s->state == SESSION_HANDSHAKE) {
        handshake_on_client_gone(s, uv_strerror(code));
    } else {
        end_broken(s, from, code);
    }
}

static void read_side(struct session *s, struct conn *from) {
    struct worker *w = s->worker;
    for (unsigned reads = 0; from->readable && from->reading; reads++) {
        if (reads == READS_A_TURN) {
            worker_serve_later(w, s);
            return;
        }
        ssize_t got = conn_read(from, w->cipher, WORKER_READ_SIZE);
        if (got > 0) {
            on_bytes(s, from, w->cipher, (size_t)got);
        } else if (got < 0) {
            from->reading = false;
            on_end(s, from, (int)got);
        }
    }
}

void relay_serve(struct session *s, struct conn *side) {
    if (side->queue != NULL && session_is_over(s)) {
        flush_the_last(s, side);
    } else if (side->queue != NULL && !flush(s, side)) {
        return;
    }
    read_side(s, side);
}

/* The connected are served at once, and strangers when there is time for them. */
static void on_ready(struct session *s, struct conn *side, uint32_t events) {
    conn_note(side, events);
    if (s->state == SESSION_STREAMING) {
        relay_serve(s, side);
    } else {
        worker_serve_later(s->worker, s);
    }
}

static void on_client_ready(struct poll_handle *polled, uint32_t events) {
    struct session *s = container_of(polled, struct session, client.polled);
    on_ready(s, &s->client, events);
}

static void on_broker_ready(struct poll_handle *polled, uint32_t events) {
    struct session *s = container_of(polled, struct session, broker.polled);
    on_ready(s, &s->broker, events);
}

void relay_init(struct session *s) {
    conn_init(&s->client, on_client_ready);
    conn_init(&s->broker, on_broker_ready);
}

void relay_read(struct session *s, struct conn *from) {
    bool eof = from->ended || (is_client(s, from) && s->client_eof);
    if (from->reading || eof || !conn_is_open(from)) {
        return;
    }
    from->reading = true;
    if (from->readable) {
        worker_serve_later(s->worker, s);
    }
}

void relay_stop_reading(struct conn *from) {
    from->reading = false;
}

/* What came while the broker was being reached. False if that ended the session. */
static bool hand_over_early_bytes(struct session *s) {
    struct pending *o = s->pending;
    if (!relay_send(s, &s->broker, o->plain.data, o->plain.len)) {
        return false;
    }
    if (s->client.ended) {
        conn_shut(&s->broker);
        relay_note_end(s, &s->client);
    } else if (o->cipher.len > 0) {
        relay_up(s, o->cipher.data, o->cipher.len);
    }
    if (!session_is_over(s) && s->client_eof && !s->client.ended) {
        session_end(s, REASON_CLIENT_TRUNCATED, NULL);
    }
    return !session_is_over(s);
}

void relay_start(struct session *s) {
    s->state = SESSION_STREAMING;
    note_activity(s);
    if (session_is_over(s) || !hand_over_early_bytes(s)) {
        return;
    }
    connect_free(s);
    if (s->broker.queue == NULL) {
        relay_read(s, &s->client);
    } else {
        relay_stop_reading(&s->client);
    }
    if (s->client.queue == NULL) {
        relay_read(s, &s->broker);
    }
}
