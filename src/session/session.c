#include "session/session.h"

#include "core/log.h"
#include "session/worker.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

/* How long a client may take to read our last words and close. */
enum { LINGER_MS = 2000 };

/* In a burst everybody is silent for a moment: only who has been so for longer makes room. */
enum { SILENT_GRACE_MS = 1000 };

const struct config_listener *session_config(const struct session *s) {
    const struct runtime *rt = s->runtime != NULL ? s->runtime : s->worker->runtime;
    return rt->listeners[s->listener].config;
}

static struct listener_counts *counts_of(const struct session *s) {
    return &s->worker->shared->listeners[s->listener];
}

/* --- the beginning --- */

static void count_in(struct session *s) {
    struct worker *w = s->worker;
    list_append(&w->silent, &s->link);
    w->session_count++;
    w->unfreed_count++;
    atomic_fetch_add_explicit(&w->shared->sessions, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&counts_of(s)->connections, 1, memory_order_relaxed);
}

/* Whether the peer is in one of accept_proxy's networks. */
static bool is_balancer(const struct config_listener *config, const struct address *peer) {
    for (size_t i = 0; i < config->accept_proxy_count; i++) {
        if (address_is_in(peer, &config->accept_proxy[i])) {
            return true;
        }
    }
    return false;
}

bool session_check_limits(struct session *s) {
    const struct runtime_listener *l = &s->worker->runtime->listeners[s->listener];
    size_t connections = atomic_load_explicit(&counts_of(s)->connections, memory_order_relaxed);
    if (l->config->max_connections > 0 && connections > l->config->max_connections) {
        session_end(s, REASON_LIMIT_CONNECTIONS, NULL);
        return false;
    }
    if (backends_all_down(l->backends, l->config->backend_count)) {
        prober_watch(&s->worker->prober, l->backends, l->config->backend_count);
        session_end(s, REASON_NO_BACKEND, NULL);
        return false;
    }
    return true;
}

static struct session *new_session(struct worker *w, size_t listener, int fd) {
    struct session *s = calloc(1, sizeof *s);
    if (s == NULL) {
        return NULL;
    }
    s->worker = w;
    s->listener = (uint32_t)listener;
    s->state = SESSION_HELLO;
    s->silent = true;
    s->accepted_ms = worker_now(w);
    list_init(&s->queue);
    list_init(&s->ready);
    relay_init(s);
    s->client.polled.fd = fd;
    count_in(s);
    return s;
}

/* What it has said by now is read first: then the poller has nothing to tell of that. */
static void listen_to(struct session *s) {
    s->client.reading = s->client.readable = true;
    relay_serve(s, &s->client);
    if (conn_is_open(&s->client) && conn_open(&s->client, &s->worker->poller) != 0) {
        session_end(s, REASON_OUT_OF_MEMORY, NULL);
        session_abort(s);
    }
}

bool session_begin(struct worker *w, size_t listener, int fd, const struct address *peer) {
    struct session *s = new_session(w, listener, fd);
    if (s == NULL) {
        close(fd);
        return false;
    }
    s->peer = *peer;
    s->peer.scope = 0; /* the interface is not part of what a log line names a client by */
    const struct config_listener *config = session_config(s);
    s->header_due = is_balancer(config, &s->peer);
    if (!s->header_due && !session_check_limits(s)) {
        return true;
    }
    if (!worker_deadline(w, &w->progress, &s->progress, config->handshake_timeout_ms) ||
        !worker_deadline(w, &w->silence, &s->silence, config->first_byte_timeout_ms)) {
        session_end(s, REASON_OUT_OF_MEMORY, NULL);
        return true;
    }
    listen_to(s);
    return true;
}

void session_serve(struct session *s) {
    relay_serve(s, &s->client);
    relay_serve(s, &s->broker);
}

bool session_evict_silent(struct worker *w) {
    struct session *oldest = container_of(w->silent.next, struct session, link);
    if (list_is_empty(&w->silent) || worker_now(w) - oldest->accepted_ms < SILENT_GRACE_MS) {
        return false;
    }
    session_end(oldest, REASON_FIRST_BYTE_TIMEOUT, "made room for another client");
    return true;
}

/* The silent ones may all be with other workers: these are asked too, and the listener tries again
 * soon. */
bool session_make_room(struct worker *w) {
    struct shared *shared = w->shared;
    if (atomic_load_explicit(&shared->sessions, memory_order_relaxed) < shared->max_sessions ||
        session_evict_silent(w)) {
        return true;
    }
    for (size_t i = 0; i < shared->worker_count; i++) {
        if (&shared->workers[i] != w) {
            worker_ask_for_room(&shared->workers[i]);
        }
    }
    return false;
}

/* --- the closing line --- */

static void log_established(struct log_line *line, const struct session *s) {
    const struct runtime_listener *l = &s->runtime->listeners[s->listener];
    bool dialled = s->backend < l->config->backend_count && conn_is_open(&s->broker);
    log_str(line, "tls", engine_version(&s->engine));
    log_str(line, "cipher", engine_cipher(&s->engine));
    log_str(line, "sni", s->server_name);
    log_str(line, "resumed", s->engine.resumed ? "yes" : "no");
    log_str(line, "identity", engine_identity(&s->engine));
    log_str(line, "backend", dialled ? backend_text(l->backends[s->backend]) : NULL);
    log_num(line, "up", s->up);
    log_num(line, "down", s->down);
}

/* A stranger can make many of these; whoever reached the broker is always told in full. */
static bool may_log(struct session *s, enum reason reason, enum log_level level,
                    uint64_t *suppressed) {
    *suppressed = 0;
    if (!log_wants(level)) {
        return false;
    }
    return (s->established && conn_is_open(&s->broker)) ||
           worker_may_log(s->worker, reason, suppressed);
}

static void log_end_of(struct session *s, enum reason reason, const char *error) {
    bool never_spoke =
        s->silent && (reason == REASON_CLIENT_CLOSED || reason == REASON_CLIENT_RESET ||
                      reason == REASON_FIRST_BYTE_TIMEOUT);
    enum log_level level = never_spoke ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO;
    uint64_t suppressed;
    if (!may_log(s, reason, level, &suppressed)) {
        return;
    }
    char peer[ADDRESS_TEXT_SIZE];
    struct log_line line;
    log_begin(&line, level, s->established ? "session end" : "handshake failed");
    log_str(&line, "listener", session_config(s)->name);
    log_str(&line, "peer", address_print(&s->peer, peer));
    if (s->established) {
        log_established(&line, s);
    } else {
        log_str(&line, "sni", s->server_name);
    }
    uint64_t age_ms = worker_now(s->worker) - s->accepted_ms;
    if (s->established) {
        log_seconds(&line, "seconds", age_ms);
        log_str(&line, "reason", reason_name(reason));
    } else {
        log_str(&line, "reason", reason_name(reason));
        if (!s->in_step && s->engine.alert != 0) {
            log_num(&line, "alert", s->engine.alert);
        }
        log_seconds(&line, "seconds", age_ms);
    }
    if (error != NULL) {
        log_str(&line, "error", error);
    }
    if (suppressed > 0) {
        log_num(&line, "suppressed", suppressed);
    }
    log_end(&line);
}

/* --- the end --- */

void session_free(struct session *s) {
    engine_free(&s->engine);
    connect_free(s);
    free(s->server_name);
    runtime_unref(s->runtime);
    list_remove(&s->link);
    free(s);
}

static void close_broker(struct session *s) {
    if (s->pending != NULL) {
        dial_cancel(&s->pending->dial);
    }
    conn_close(&s->broker);
}

static void free_if_closed(struct session *s) {
    if (!conn_is_open(&s->client) && !conn_is_open(&s->broker) && !s->in_step) {
        deadline_clear(&s->silence);
        worker_defer_free(s->worker, s);
    }
}

/* Everything that counts live sessions forgets this one. */
static void leave_the_living(struct session *s) {
    struct worker *w = s->worker;
    s->state = SESSION_ENDED;
    handshake_leave(s);
    list_remove(&s->queue);
    deadline_clear(&s->progress);
    deadline_clear(&s->silence);
    list_remove(&s->link);
    list_append(&w->over, &s->link);
    w->session_count--;
    atomic_fetch_sub_explicit(&counts_of(s)->connections, 1, memory_order_relaxed);
}

void session_abort(struct session *s) {
    if (!session_is_over(s)) {
        leave_the_living(s);
    }
    s->worker->io.out.len = 0;
    close_broker(s);
    conn_close(&s->client);
    free_if_closed(s);
}

void session_linger(struct session *s) {
    if (s->client.ended && s->client.queue == NULL) {
        conn_close(&s->client);
    }
    if (s->broker.ended && s->broker.queue == NULL) {
        close_broker(s);
    }
    free_if_closed(s);
}

/* Whether the client may still be reading, so that it should hear the reason from us. */
static bool client_can_hear(const struct session *s, enum reason reason) {
    if (s->client_eof || reason == REASON_CLIENT_RESET || reason == REASON_WRITE_TIMEOUT) {
        return false;
    }
    return s->established || s->worker->io.out.len > 0;
}

/* A reset broker's stream is cut short: the client must not take it for a proper end. */
static void say_goodbye(struct session *s, enum reason reason) {
    if (s->established && !s->client.shut_wanted && reason != REASON_BROKER_RESET &&
        reason != REASON_TLS_ERROR) {
        engine_close(&s->engine);
    }
    if (!relay_flush_engine(s)) {
        s->client.ended = true;
    }
    conn_shut(&s->client);
}

void session_end(struct session *s, enum reason reason, const char *error) {
    if (session_is_over(s)) {
        return;
    }
    log_end_of(s, reason, error);
    leave_the_living(s);
    if (!client_can_hear(s, reason) && s->broker.queue == NULL) {
        session_abort(s);
        return;
    }
    if (client_can_hear(s, reason)) {
        say_goodbye(s, reason);
    } else {
        s->worker->io.out.len = 0;
        s->client.ended = true;
    }
    if (conn_is_open(&s->broker) && reason != REASON_BROKER_RESET) {
        conn_shut(&s->broker);
    } else {
        close_broker(s);
    }
    if (!worker_deadline(s->worker, &s->worker->silence, &s->silence, LINGER_MS)) {
        session_abort(s);
        return;
    }
    relay_read(s, &s->client);
    relay_read(s, &s->broker);
    session_linger(s);
}

bool session_is_revoked(const struct session *s, const struct runtime *by) {
    const struct cert_id *id = engine_peer_id(&s->engine);
    return id != NULL && tls_context_revokes(by->listeners[s->listener].tls, id);
}

void session_check_revoked(struct session *s, const struct runtime *now) {
    bool ends = now->listeners[s->listener].config->revoked_sessions == REVOKED_END;
    if (ends && s->established && session_is_revoked(s, now)) {
        session_end(s, REASON_REVOKED, NULL);
    }
}

/* --- deadlines --- */

/* write_timeout: whether a side with something queued has taken nothing since the last look. */
static bool is_stuck(struct session *s) {
    bool client = conn_is_stuck(&s->client), broker = conn_is_stuck(&s->broker);
    return client || broker;
}

void session_on_progress_due(struct session *s) {
    struct worker *w = s->worker;
    switch ((enum session_state)s->state) {
    case SESSION_HELLO:
    case SESSION_HANDSHAKE:
        session_end(s, REASON_HANDSHAKE_TIMEOUT, NULL);
        return;
    case SESSION_CONNECT:
        session_end(s, REASON_CONNECT_PACKET_TIMEOUT, NULL);
        return;
    case SESSION_DIALING:
        connect_expire(s);
        return;
    case SESSION_STREAMING:
        if (s->answer_due) {
            session_end(s, REASON_BROKER_TIMEOUT, "it took the CONNECT and said nothing");
        } else if (is_stuck(s)) {
            session_end(s, REASON_WRITE_TIMEOUT, NULL);
        } else if (!worker_deadline(w, &w->progress, &s->progress,
                                    session_config(s)->write_timeout_ms)) {
            session_end(s, REASON_OUT_OF_MEMORY, NULL);
        }
        return;
    case SESSION_ENDED:
        return;
    }
}

void session_on_silence_due(struct session *s) {
    if (session_is_over(s)) {
        session_abort(s);
    } else if (s->state == SESSION_HELLO) {
        session_end(s, REASON_FIRST_BYTE_TIMEOUT, NULL);
    } else if (s->client.ended || s->broker.ended) {
        session_end(s, REASON_CLOSE_TIMEOUT, NULL);
    } else {
        session_end(s, REASON_IDLE_TIMEOUT, NULL);
    }
}
