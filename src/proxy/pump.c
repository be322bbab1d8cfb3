#include "proxy/session.h"

#include "proxy/worker.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* What our own answers (alerts, key updates) may queue for a client that does not read. The other
 * way nothing is read while something is queued, and what came early has its own bounds. */
enum { QUEUE_MAX = 256 * 1024 };

/* Of one socket, before the others of the worker have theirs; libuv alone would allow 32. */
enum { READS_A_TURN = 8 };

/* What a peer would not take at once. */
struct pending {
    uv_write_t request;
    struct session *session;
    struct side *to;
    uint8_t data[];
};

static bool is_client(const struct session *s, const struct side *side) {
    return side == &s->client;
}

static struct side *other(struct session *s, struct side *side) {
    return is_client(s, side) ? &s->broker : &s->client;
}

/* --- ends --- */

/* Both sides have said that they are done: the first to say so names the reason. */
static void end_closed(struct session *s) {
    session_end(s, s->broker_first ? REASON_BROKER_CLOSED : REASON_CLIENT_CLOSED, NULL);
}

/* A socket failed. When its other end has said goodbye before, or it has, that is just its way of
 * closing. */
static void end_broken(struct session *s, struct side *side, int status) {
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

void pump_note_end(struct session *s, struct side *side) {
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

void pump_shut(struct side *to) {
    uv_os_fd_t fd;
    to->shut_wanted = true;
    if (to->pieces > 0 || to->shut || !to->open || to->closing) {
        return;
    }
    to->shut = true;
    if (to->ended) {
        return; /* both directions are done: the close that follows says it */
    }
    if (uv_fileno(&to->stream.handle, &fd) == 0) {
        shutdown(fd, SHUT_WR); /* fails only where the peer is gone, which reading will tell */
    }
}

/* The deadline is write_timeout's while something is queued, but only from the broker's first
 * answer on: before that others need it. False if that ended the session. */
static bool watch_queues(struct session *s) {
    if (s->state != SESSION_STREAMING || s->answer_due) {
        return true;
    }
    if (s->client.pieces == 0 && s->broker.pieces == 0) {
        deadline_clear(&s->progress);
    } else if (!deadline_is_set(&s->progress) &&
               !worker_deadline(s->worker, &s->worker->progress, &s->progress,
                                session_config(s)->write_timeout_ms)) {
        session_end(s, REASON_OUT_OF_MEMORY, NULL);
        return false;
    }
    return true;
}

static void on_written(uv_write_t *request, int status) {
    struct pending *p = container_of(request, struct pending, request);
    struct session *s = p->session;
    struct side *to = p->to;
    free(p);
    to->pieces--;
    to->seen_queue = 0;
    if (session_is_over(s)) {
        to->ended = to->ended || status < 0;
        if (to->pieces == 0 && to->shut_wanted) {
            pump_shut(to);
        }
        session_linger(s);
        return;
    }
    if (status < 0) {
        end_broken(s, to, status);
        return;
    }
    if (to->pieces > 0) {
        return;
    }
    if (to->shut_wanted) {
        pump_shut(to);
    }
    if (s->state == SESSION_STREAMING && watch_queues(s)) {
        pump_read(s, other(s, to));
    }
}

/* False if that ended the session. */
static bool queue_rest(struct session *s, struct side *to, const uint8_t *data, size_t len) {
    if (is_client(s, to) && uv_stream_get_write_queue_size(&to->stream.stream) + len > QUEUE_MAX) {
        session_end(s, REASON_TLS_ERROR, "asks for answers and does not read them");
        return false;
    }
    struct pending *p = malloc(sizeof *p + len);
    if (p == NULL) {
        session_end(s, REASON_OUT_OF_MEMORY, NULL);
        return false;
    }
    p->session = s;
    p->to = to;
    memcpy(p->data, data, len);
    uv_buf_t piece = uv_buf_init((char *)p->data, (unsigned)len);
    int rc = uv_write(&p->request, &to->stream.stream, &piece, 1, on_written);
    if (rc != 0) {
        free(p);
        end_broken(s, to, rc);
        return false;
    }
    to->pieces++;
    return watch_queues(s);
}

bool pump_send(struct session *s, struct side *to, const uint8_t *data, size_t len) {
    if (len == 0) {
        return true;
    }
    size_t sent = 0;
    if (to->pieces == 0) {
        uv_buf_t all = uv_buf_init((char *)(uintptr_t)data, (unsigned)len);
        int rc = uv_try_write(&to->stream.stream, &all, 1);
        if (rc < 0 && rc != UV_EAGAIN) {
            end_broken(s, to, rc);
            return false;
        }
        sent = rc > 0 ? (size_t)rc : 0;
    }
    return sent == len || queue_rest(s, to, data + sent, len - sent);
}

bool pump_flush_engine(struct session *s) {
    struct buf *out = &s->worker->io.out;
    size_t len = out->len;
    out->len = 0;
    if (len == 0 || s->client.shut_wanted) {
        return true; /* after our close_notify there is nobody to hear it */
    }
    return pump_send(s, &s->client, out->data, len);
}

bool pump_is_stuck(struct session *s) {
    struct side *sides[] = {&s->client, &s->broker};
    bool stuck = false;
    for (size_t i = 0; i < 2; i++) {
        if (sides[i]->pieces > 0) {
            size_t queued = uv_stream_get_write_queue_size(&sides[i]->stream.stream);
            stuck = stuck || queued == sides[i]->seen_queue;
            sides[i]->seen_queue = (uint32_t)queued;
        }
    }
    return stuck;
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
    worker_note_question(s->worker);
    if (session_config(s)->mqtt != MQTT_IDENTITY) {
        return pump_send(s, &s->broker, plain, len);
    }
    size_t fine = mqtt_follow(&s->follower, plain, len);
    if (!pump_send(s, &s->broker, plain, fine)) {
        return false;
    }
    if (fine < len) {
        session_end(s, REASON_NOT_MQTT, mqtt_fault_text((enum mqtt_fault)s->follower.fault));
        return false;
    }
    return true;
}

void pump_up(struct session *s, const uint8_t *cipher, size_t len) {
    struct worker *w = s->worker;
    enum engine_status status;
    w->io.in = cipher;
    w->io.in_len = len;
    do {
        size_t got;
        status = engine_read(&s->engine, w->plain, WORKER_PLAIN_SIZE, &got);
        s->up += got;
        if (!pump_flush_engine(s) || !send_up(s, w->plain, got)) {
            return;
        }
    } while (status == ENGINE_OK);
    if (status == ENGINE_FAILED) {
        session_end(s, REASON_TLS_ERROR, reason_name(engine_failure(&s->engine)));
    } else if (status == ENGINE_CLOSED) {
        pump_shut(&s->broker);
        pump_note_end(s, &s->client);
    } else {
        note_activity(s);
    }
    if (!session_is_over(s) && s->broker.pieces > 0) {
        pump_stop_reading(&s->client);
    }
}

/* Broker to client: one read, all its records in one write. */
static void pump_down(struct session *s, const uint8_t *plain, size_t len) {
    if (s->client.shut_wanted) {
        return;
    }
    if (engine_write(&s->engine, plain, len) != ENGINE_OK) {
        session_end(s, REASON_TLS_ERROR, reason_name(engine_failure(&s->engine)));
        return;
    }
    s->down += len;
    if (!pump_flush_engine(s)) {
        return;
    }
    if (s->answer_due) {
        s->answer_due = false;
        deadline_clear(&s->progress);
        if (!watch_queues(s)) {
            return;
        }
    }
    note_activity(s);
    if (!session_is_over(s) && s->client.pieces > 0) {
        pump_stop_reading(&s->broker);
    }
}

static void on_broker_eof(struct session *s) {
    if (s->client.ended) {
        s->broker.ended = true;
        end_closed(s);
        return;
    }
    engine_close(&s->engine);
    if (!pump_flush_engine(s)) {
        return;
    }
    pump_shut(&s->client);
    pump_note_end(s, &s->broker);
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
        opening_on_client_eof(s);
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

/* libuv reads a socket up to 32 times in a row while each read fills the buffer. That is too long
 * for the others where little records or key updates make every byte dear: no buffer ends its turn.
 */
static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *into) {
    struct worker *w = handle->loop->data;
    if (w->read_last != handle) {
        w->read_last = handle;
        w->reads = 0;
    }
    *into = uv_buf_init((char *)w->cipher, w->reads++ < READS_A_TURN ? WORKER_READ_SIZE : 0);
}

static bool turn_is_over(ssize_t count) {
    return count == 0 || count == UV_ENOBUFS;
}

static bool read_after_the_end(struct session *s, struct side *from, ssize_t count) {
    if (!session_is_over(s)) {
        return false;
    }
    if (count < 0) {
        from->ended = true;
        session_linger(s);
    }
    return true;
}

static void on_client_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *in) {
    struct session *s = container_of((union stream *)(void *)stream, struct session, client.stream);
    if (turn_is_over(count) || read_after_the_end(s, &s->client, count)) {
        return;
    }
    if (count == UV_EOF) {
        s->client.reading = false;
        on_client_eof(s);
        return;
    }
    if (count < 0) {
        s->client.reading = false;
        if (s->state == SESSION_HANDSHAKE) {
            handshake_on_client_gone(s, uv_strerror((int)count));
        } else {
            end_broken(s, &s->client, (int)count);
        }
        return;
    }
    const uint8_t *data = (const uint8_t *)in->base;
    switch ((enum session_state)s->state) {
    case SESSION_HELLO:
    case SESSION_HANDSHAKE:
        handshake_feed(s, data, (size_t)count);
        return;
    case SESSION_CONNECT:
    case SESSION_DIALING:
        opening_feed(s, data, (size_t)count);
        return;
    case SESSION_STREAMING:
        if (!s->client.ended) {
            pump_up(s, data, (size_t)count);
        }
        return;
    case SESSION_ENDED:
        return;
    }
}

static void on_broker_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *in) {
    struct session *s = container_of((union stream *)(void *)stream, struct session, broker.stream);
    if (turn_is_over(count) || read_after_the_end(s, &s->broker, count)) {
        return;
    }
    if (count > 0) {
        pump_down(s, (const uint8_t *)in->base, (size_t)count);
        return;
    }
    s->broker.reading = false;
    if (count == UV_EOF) {
        on_broker_eof(s);
    } else {
        end_broken(s, &s->broker, (int)count);
    }
}

void pump_read(struct session *s, struct side *from) {
    bool eof = from->ended || (is_client(s, from) && s->client_eof);
    if (from->reading || eof || !from->open || from->closing) {
        return;
    }
    from->reading = true;
    int rc = uv_read_start(&from->stream.stream, on_alloc,
                           is_client(s, from) ? on_client_read : on_broker_read);
    (void)rc; /* fails for a closing handle or one without a socket only: both excluded here */
}

void pump_stop_reading(struct side *from) {
    if (from->reading) {
        from->reading = false;
        uv_read_stop(&from->stream.stream);
    }
}

/* What came while the broker was being reached. False if that ended the session. */
static bool hand_over_early_bytes(struct session *s) {
    struct opening *o = s->opening;
    if (!pump_send(s, &s->broker, o->plain.data, o->plain.len)) {
        return false;
    }
    if (s->client.ended) {
        pump_shut(&s->broker);
        pump_note_end(s, &s->client);
    } else if (o->cipher.len > 0) {
        pump_up(s, o->cipher.data, o->cipher.len);
    }
    if (!session_is_over(s) && s->client_eof && !s->client.ended) {
        session_end(s, REASON_CLIENT_TRUNCATED, NULL);
    }
    return !session_is_over(s);
}

void pump_start(struct session *s) {
    s->state = SESSION_STREAMING;
    note_activity(s);
    if (session_is_over(s) || !hand_over_early_bytes(s)) {
        return;
    }
    opening_free(s);
    if (s->broker.pieces == 0) {
        pump_read(s, &s->client);
    } else {
        pump_stop_reading(&s->client);
    }
    if (s->client.pieces == 0) {
        pump_read(s, &s->broker);
    }
}
