/* The first phase: until the ClientHello is whole, after a balancer's PROXY header if one is due.
 * It costs nearly nothing: no engine exists yet, and a client that has not sent a byte holds no
 * buffer. */
#include "session/admission.h"
#include "session/closing.h"
#include "session/state.h"
#include "session/transfer.h"
#include "wire/alert.h"
#include "wire/proxy_protocol.h"

#include <stdlib.h>
#include <string.h>

static bool make_pending(struct session *s) {
    s->silent = false;
    session_await(s, WAIT_HELLO);
    s->pending = calloc(1, sizeof *s->pending);
    if (s->pending == NULL) {
        return false;
    }
    s->pending->session = s;
    return true;
}

/* Goes on when the header is whole and gone: then the client after the balancer is known. */
static enum verdict read_proxy_header(struct session *s) {
    struct pending *p = s->pending;
    struct proxy_header header;
    switch (proxy_header_parse(p->cipher.data, p->cipher.len, &header)) {
    case PROXY_HEADER_MORE:
        return SESSION_GOES_ON;
    case PROXY_HEADER_BAD:
        return session_end(s, REASON_BAD_PROXY_HEADER,
                           "accept_proxy names this peer as a balancer");
    case PROXY_HEADER_OK:
        break;
    }
    if (header.has_addresses) {
        s->client_addr = header.source;
        p->destination = header.destination;
    }
    s->header_due = false;
    session_await(s, WAIT_HELLO); /* its own time begins now, and not with its balancer's */
    buf_consume(&p->cipher, header.size);
    return admission_check(s);
}

/* What came is TLS, so the client gets an alert: it is all that `sealed` holds, and
 * session_end sends it. */
static enum verdict refuse_hello(struct session *s, uint8_t alert, enum reason reason,
                                 const char *detail) {
    uint8_t record[ALERT_RECORD_SIZE];
    alert_write(record, alert);
    if (!buf_append(&s->pool->sealed, record, sizeof record, SIZE_MAX)) {
        return session_end(s, REASON_OUT_OF_MEMORY, NULL);
    }
    s->pending->alert = alert;
    return session_end(s, reason, detail);
}

static enum verdict on_whole_hello(struct session *s) {
    const struct client_hello *hello = &s->pending->hello;
    session_stop_waiting(s);
    session_take_runtime(s, s->pool->runtime);
    if (hello->server_name[0] != '\0') {
        s->server_name = strdup(hello->server_name);
        if (s->server_name == NULL) {
            return session_end(s, REASON_OUT_OF_MEMORY, NULL);
        }
    }
    if (!admission_has_backend(s)) {
        return refuse_hello(s, ALERT_INTERNAL_ERROR, REASON_NO_BACKEND, NULL);
    }
    return SESSION_NEXT_PHASE;
}

static enum verdict read_hello(struct session *s) {
    struct pending *p = s->pending;
    switch (client_hello_parse(p->cipher.data, p->cipher.len, &p->hello)) {
    case CLIENT_HELLO_MORE:
        return SESSION_GOES_ON;
    case CLIENT_HELLO_NOT_TLS:
        return session_end(s, REASON_NOT_TLS, NULL);
    case CLIENT_HELLO_BAD:
        return refuse_hello(s, p->hello.alert, REASON_PROTOCOL_ERROR, "malformed ClientHello");
    case CLIENT_HELLO_OK:
        break;
    }
    return on_whole_hello(s);
}

static enum verdict on_client_bytes(struct session *s, uint8_t *data, size_t len) {
    if (s->silent && !make_pending(s)) {
        return session_end(s, REASON_OUT_OF_MEMORY, NULL);
    }
    if (!buf_append(&s->pending->cipher, data, len, SIZE_MAX)) {
        return session_end(s, REASON_OUT_OF_MEMORY, NULL);
    }
    if (s->header_due) {
        enum verdict verdict = read_proxy_header(s);
        if (verdict != SESSION_GOES_ON || s->header_due) {
            return verdict;
        }
    }
    if (s->pending->cipher.len == 0) {
        return SESSION_GOES_ON; /* the header alone: the client may still be silent */
    }
    deadline_clear(&s->member.silence);
    return read_hello(s);
}

static enum verdict on_client_eof(struct session *s) {
    return session_end(s, REASON_CLIENT_CLOSED, NULL);
}

static enum verdict on_progress_due(struct session *s) {
    return session_end(s, REASON_HANDSHAKE_TIMEOUT, NULL);
}

static enum verdict on_silence_due(struct session *s) {
    return session_end(s, REASON_FIRST_BYTE_TIMEOUT, NULL);
}

const struct phase phase_hello = {
    .on_client_bytes = on_client_bytes,
    .on_client_eof = on_client_eof,
    .on_client_error = transfer_on_client_error,
    .on_send_error = transfer_on_send_error,
    .on_progress_due = on_progress_due,
    .on_silence_due = on_silence_due,
};
