#include "session/closing_line.h"

#include "core/log.h"
#include "session/state.h"

static void log_established(struct log_line *line, const struct session *s) {
    const struct runtime_listener *l = session_listener(s);
    bool dialled = s->backend < l->config->backend_count && conn_is_open(&s->broker);
    log_str(line, "tls", engine_version(s->engine));
    log_str(line, "cipher", engine_cipher(s->engine));
    log_str(line, "sni", s->server_name);
    log_str(line, "resumed", engine_is_resumed(s->engine) ? "yes" : "no");
    log_str(line, "identity", engine_identity(s->engine));
    log_str(line, "backend", dialled ? backend_text(l->backends[s->backend]) : NULL);
    log_num(line, "up", s->up);
    log_num(line, "down", s->down);
}

/* What a client can be refused for that has reached its broker. */
static bool is_refusal(enum reason reason) {
    return reason == REASON_NOT_MQTT || reason == REASON_BROKER_REFUSED ||
           reason == REASON_TLS_ERROR;
}

/* Sessions that were served are logged as session_log wants it, those that a reload revokes in any
 * case. All else can be caused by clients that nobody knows, as often as they like; session_log has
 * no say in it, so that fail2ban, whose filter matches nothing but that, sees each address. */
static bool may_log(struct session *s, enum reason reason, enum log_level level,
                    uint64_t *suppressed) {
    bool served = s->established && conn_is_open(&s->broker) && !is_refusal(reason);
    *suppressed = 0;
    if (!log_wants(level)) {
        return false;
    }
    if (served) {
        return reason == REASON_REVOKED || pool_may_log_end(s->pool, s->listener, suppressed);
    }
    return pool_may_log(s->pool, reason, &s->client_addr, suppressed);
}

/* Not a byte of the client's own has come: at most a balancer's whole PROXY header. */
static bool is_speechless(const struct session *s) {
    return s->silent || (s->phase == PHASE_HELLO && !s->header_due && s->pending != NULL &&
                         s->pending->cipher.len == 0);
}

bool closing_line_is_silent(const struct session *s, enum reason reason) {
    bool left = reason == REASON_CLIENT_CLOSED || reason == REASON_CLIENT_RESET ||
                reason == REASON_FIRST_BYTE_TIMEOUT;
    return left && is_speechless(s);
}

/* The alert of a handshake that failed: of the engine, or in answer to the ClientHello. */
static uint8_t alert_of(const struct session *s) {
    if (s->engine != NULL) {
        return engine_alert(s->engine);
    }
    return s->pending != NULL ? s->pending->alert : 0;
}

void closing_line_write(struct session *s, enum reason reason, const char *detail) {
    enum log_level level = closing_line_is_silent(s, reason) ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO;
    uint64_t suppressed, age_ms = pool_now_ms(s->pool) - s->accepted_ms;
    char client[ADDRESS_TEXT_SIZE];
    struct log_line line;
    if (!may_log(s, reason, level, &suppressed)) {
        return;
    }
    log_begin(&line, level, s->established ? "session end" : "handshake failed");
    log_str(&line, "listener", session_config(s)->name);
    log_str(&line, "peer", address_print(&s->client_addr, client));
    if (s->established) {
        log_established(&line, s);
        log_seconds(&line, "seconds", age_ms);
        log_str(&line, "reason", reason_name(reason));
        if (reason == REASON_BROKER_REFUSED) {
            log_num(&line, "code", s->answer.refusal);
        }
        log_str(&line, "group", engine_group(s->engine));
    } else {
        log_str(&line, "sni", s->server_name);
        log_str(&line, "reason", reason_name(reason));
        if (alert_of(s) != 0) {
            log_num(&line, "alert", alert_of(s));
        }
        log_seconds(&line, "seconds", age_ms);
    }
    if (session_config(s)->route != NULL) {
        log_str(&line, "route", session_config(s)->route);
    }
    if (suppressed > 0) { /* before what is so long that the line may be cut */
        log_num(&line, "suppressed", suppressed);
    }
    if (detail != NULL) {
        log_str(&line, "error", detail);
    }
    log_end(&line);
}
