#include "session/session.h"

#include "session/admission.h"
#include "session/closing.h"
#include "session/handshake.h"
#include "session/state.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* Of one socket, before the others of the thread have theirs. 256 KB take 0.2 ms; small records
 * take longer, so the clock is looked at too. One read of the smallest records takes 1 ms. */
enum { READS_A_TURN = 8, TURN_NS = 500 * 1000 };

static const struct phase *const phases[PHASE_COUNT] = {
    [PHASE_HELLO] = &phase_hello,           [PHASE_HANDSHAKE] = &phase_handshake,
    [PHASE_FIRST_BYTE] = &phase_first_byte, [PHASE_CONNECT_PACKET] = &phase_connect_packet,
    [PHASE_DIALLING] = &phase_dialling,     [PHASE_RELAYING] = &phase_relaying,
    [PHASE_CLOSING] = &phase_closing,
};

static const struct phase *phase_of(const struct session *s) {
    return phases[s->phase];
}

/* --- from phase to phase --- */

static enum phase_id after_handshake(const struct session *s) {
    const struct config_listener *config = session_config(s);
    if (config->mqtt != MQTT_OFF) {
        return PHASE_CONNECT_PACKET;
    }
    return config->dial == DIAL_AFTER_FIRST_BYTE ? PHASE_FIRST_BYTE : PHASE_DIALLING;
}

static enum phase_id next_phase(const struct session *s) {
    switch ((enum phase_id)s->phase) {
    case PHASE_HELLO:
        return PHASE_HANDSHAKE;
    case PHASE_HANDSHAKE:
        return after_handshake(s);
    case PHASE_FIRST_BYTE:
    case PHASE_CONNECT_PACKET:
        return PHASE_DIALLING;
    case PHASE_DIALLING:
        return PHASE_RELAYING;
    case PHASE_RELAYING:
    case PHASE_CLOSING:
    case PHASE_COUNT:
        break;
    }
    abort(); /* these two are never complete */
}

/* Acts on a phase's verdict. */
static void act_on(struct session *s, enum verdict verdict) {
    while (verdict == SESSION_NEXT_PHASE) {
        session_set_phase(s, next_phase(s));
        verdict = phase_of(s)->enter(s);
    }
    session_check_ends(s);
}

/* --- events of the two sockets --- */

static void deliver_bytes(struct session *s, const struct conn *from, size_t len) {
    const struct phase *phase = phase_of(s);
    uint8_t *data = s->pool->cipher;
    if (from == &s->client) {
        act_on(s, phase->on_client_bytes(s, data, len));
    } else {
        act_on(s, phase->on_broker_bytes(s, data, len));
    }
}

/* `code` is UV_EOF or what is wrong with the socket. */
static void deliver_end(struct session *s, const struct conn *from, int code) {
    const struct phase *phase = phase_of(s);
    if (from == &s->client) {
        act_on(s, code == UV_EOF ? phase->on_client_eof(s) : phase->on_client_error(s, code));
    } else {
        act_on(s, code == UV_EOF ? phase->on_broker_eof(s) : phase->on_broker_error(s, code));
    }
}

/* So that what is read makes whole records, as far as that is known. */
static size_t read_size(const struct session *s, const struct conn *from) {
    if (!s->established) {
        return POOL_READ_SIZE;
    }
    return from == &s->client ? engine_read_size(s->engine, POOL_READ_SIZE)
                              : engine_write_size(s->engine, POOL_READ_SIZE);
}

/* Reads what that side sends, for the length of its turn. How far ahead a client may be is left to
 * the kernel: the way to it may be long. */
static void read_conn(struct session *s, struct conn *from) {
    uint64_t begin_ns = 0;
    for (unsigned reads = 0; from->readable && from->reading; reads++) {
        if (reads == READS_A_TURN || (reads > 0 && loop_now_ns() - begin_ns > TURN_NS)) {
            pool_serve_later(s->pool, &s->member, s->phase == PHASE_RELAYING);
            return;
        }
        ssize_t got = conn_read(from, s->pool->cipher, read_size(s, from));
        if (reads == 0 && from->readable) { /* else this read is all: no clock is needed */
            begin_ns = loop_now_ns();
        }
        if (from == &s->broker && got > 0 && from->readable) { /* it sends much */
            conn_bound_input(from);
        }
        if (got > 0) {
            pool_note_cipher(s->pool, (size_t)got);
            deliver_bytes(s, from, (size_t)got);
        } else if (got < 0) {
            from->reading = false;
            deliver_end(s, from, (int)got);
        }
    }
}

static void flush_conn(struct session *s, struct conn *to) {
    int rc = conn_flush(to);
    if (rc != 0) {
        act_on(s, phase_of(s)->on_send_error(s, to, rc));
    } else if (to->queue == NULL && phase_of(s)->on_sent != NULL) {
        act_on(s, phase_of(s)->on_sent(s, to));
    }
}

/* A client that breaks while nothing is read from it: it is waited for no longer, and no broker is
 * dialled for it. What it had to say in order stays due. */
static void check_unread_client(struct session *s) {
    bool waits = s->phase == PHASE_DIALLING || s->phase == PHASE_RELAYING;
    if (!waits || s->client.reading || s->client.ended || s->client_eof) {
        return;
    }
    int error = conn_error(&s->client);
    if (error != 0) {
        deliver_end(s, &s->client, error);
    }
}

static void serve_conn(struct session *s, struct conn *conn) {
    if (conn->queue != NULL) {
        flush_conn(s, conn);
    }
    read_conn(s, conn);
    if (conn == &s->client) {
        check_unread_client(s);
    }
}

void session_serve(struct pool_member *m) {
    struct session *s = session_of(m);
    if (phase_of(s)->on_served != NULL) {
        act_on(s, phase_of(s)->on_served(s));
    }
    serve_conn(s, &s->client);
    serve_conn(s, &s->broker);
}

/* Established sessions are served at once, the others when there is time for them. */
static void on_ready(struct session *s, struct conn *conn, unsigned events) {
    conn_note(conn, events);
    if (s->phase == PHASE_RELAYING) {
        serve_conn(s, conn);
    } else {
        pool_serve_later(s->pool, &s->member, false);
    }
}

static void on_client_ready(struct poll_handle *handle, unsigned events) {
    struct session *s = container_of(handle, struct session, client.handle);
    on_ready(s, &s->client, events);
}

static void on_broker_ready(struct poll_handle *handle, unsigned events) {
    struct session *s = container_of(handle, struct session, broker.handle);
    on_ready(s, &s->broker, events);
}

/* --- handshake steps --- */

void session_step(struct pool_member *m) {
    struct session *s = session_of(m);
    act_on(s, handshake_step(s));
}

/* --- deadlines --- */

void session_on_progress_due(struct pool_member *m) {
    struct session *s = session_of(m);
    act_on(s, phase_of(s)->on_progress_due(s));
}

void session_on_silence_due(struct pool_member *m) {
    struct session *s = session_of(m);
    act_on(s, phase_of(s)->on_silence_due(s));
}

/* --- begin and end --- */

/* NULL without memory: then the connection is closed. */
static struct session *new_session(struct pool *pool, size_t listener, int fd,
                                   const struct address *client_addr) {
    struct session *s = calloc(1, sizeof *s);
    if (s == NULL) {
        close(fd);
        return NULL;
    }
    s->pool = pool;
    s->listener = (uint32_t)listener;
    s->phase = PHASE_HELLO;
    counter_add(&session_metrics(s)->phases[PHASE_HELLO], 1);
    counter_add(&session_metrics(s)->accepted, 1);
    s->silent = s->in_newcomers = true;
    s->accepted_ms = pool_now_ms(pool);
    s->accepted_s = (uint32_t)time(NULL);
    conn_init(&s->client, on_client_ready);
    conn_init(&s->broker, on_broker_ready);
    s->broker.secret = true;
    s->client.handle.fd = fd;
    s->client_addr = *client_addr;
    s->client_addr.scope = 0; /* the interface is not part of what a log line names a client by */
    pool_add(pool, &s->member);
    session_await(s, WAIT_BYTE);
    limits_session_begins(pool->limits, listener);
    return s;
}

static bool set_deadlines(struct session *s) {
    struct pool *pool = s->pool;
    const struct config_listener *config = session_config(s);
    return pool_set_deadline(pool, &pool->progress, &s->member.progress,
                             config->handshake_timeout_ms) &&
           pool_set_deadline(pool, &pool->silence, &s->member.silence,
                             config->first_byte_timeout_ms);
}

/* What it has sent by now is read first: then the poller has nothing to report of that. */
static void start_reading(struct session *s) {
    s->client.reading = s->client.readable = true;
    read_conn(s, &s->client);
    if (conn_is_open(&s->client) && conn_open(&s->client, s->pool->poller) != 0) {
        session_end_now(s, REASON_OUT_OF_MEMORY, NULL);
        closing_abort(s);
    }
}

bool session_begin(struct pool *pool, size_t listener, int fd, const struct address *client_addr) {
    struct session *s = new_session(pool, listener, fd, client_addr);
    if (s == NULL) {
        return false;
    }
    s->header_due = admission_is_balancer(s);
    if (!s->header_due && admission_check(s) == SESSION_ENDED) {
        return true;
    }
    if (!set_deadlines(s)) {
        session_end_now(s, REASON_OUT_OF_MEMORY, NULL);
        return true;
    }
    start_reading(s);
    return true;
}

void session_refuse(struct pool *pool, size_t listener, int fd, const struct address *client_addr) {
    struct session *s = new_session(pool, listener, fd, client_addr);
    if (s != NULL) {
        counter_add(&session_metrics(s)->no_descriptors, 1);
        session_end_now(s, REASON_LIMIT_CONNECTIONS, "the limit of open files is reached");
    }
}

void session_free(struct pool_member *m) {
    struct session *s = session_of(m);
    counter_subtract(&session_metrics(s)->phases[s->phase], 1);
    engine_free(s->engine);
    session_free_pending(s);
    free(s->server_name);
    runtime_unref(s->runtime);
    pool_remove(s->pool, m);
    limits_session_freed(s->pool->limits);
    free(s);
}
