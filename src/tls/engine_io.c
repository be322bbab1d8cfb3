/* What the library's receive and send callbacks do: bytes go between it and the memory that a call
 * of an engine was given, without a copy where the library can work in that memory. */
#include "tls/engine.h"
#include "tls/internal.h"
#include "tls/quirks.h"

#include <assert.h>
#include <string.h>

#include <wolfssl/error-ssl.h>

struct engine *engine_of(WOLFSSL *ssl) {
    return wolfSSL_GetIOReadCtx(ssl);
}

/* A peer that sends only key updates, empty records and alerts spends next to nothing and keeps
 * other clients waiting: each key update derives new keys. The library answers them without a
 * limit. Records and answers are therefore bounded for each record of data. */
enum { ANSWERS_MAX = 32, IDLE_RECORDS_MAX = 64, RECORD_HEADER = 5 };

/* The library asks for a record's header by itself. */
static bool is_idle_too_long(struct engine *e, size_t wanted) {
    return e->call->reading && wanted == RECORD_HEADER && ++e->idle_records > IDLE_RECORDS_MAX;
}

static void consume(struct engine *e, size_t size) {
    struct engine_call *call = e->call;
    call->in->data += size;
    call->in->len -= size;
    call->consumed = true;
    e->missing -= e->missing < size ? e->missing : (uint32_t)size;
}

/* What the header says that the library asks for, if it is here. */
static void note_record(struct engine *e, size_t wanted) {
    const struct engine_input *in = e->call->in;
    if (wanted == RECORD_HEADER && in->len >= RECORD_HEADER) {
        e->record = (uint32_t)(RECORD_HEADER + (in->data[3] << 8 | in->data[4]));
        e->missing = e->record;
    }
}

/* A record that is whole, and of which nothing will be left after this read, is not copied. */
static bool lend_record(struct engine *e, size_t wanted) {
    struct engine_call *call = e->call;
    struct engine_input *in = call->in;
    bool whole = wanted == RECORD_HEADER && in->len >= RECORD_HEADER && e->record <= in->len;
    if (!call->reading || !whole || e->record > call->room ||
        !quirks_lend_record(e->ssl, in->data, e->record)) {
        return false;
    }
    consume(e, e->record);
    return true;
}

int engine_receive(struct engine *e, uint8_t *buf, size_t size) {
    struct engine_call *call = e->call;
    assert(call != NULL && call->in != NULL);
    struct engine_input *in = call->in;
    if (in->len == 0) {
        return WOLFSSL_CBIO_ERR_WANT_READ;
    }
    if (is_idle_too_long(e, size)) {
        e->failure = REASON_TLS_ERROR;
        return WOLFSSL_CBIO_ERR_GENERAL;
    }
    note_record(e, size);
    if (lend_record(e, size)) {
        return RECORD_HEADER;
    }
    size_t n = size < in->len ? size : in->len;
    memcpy(quirks_own_input(e->ssl, buf), in->data, n);
    if (e->handshaking) {
        quirks_note_flight(&e->peer->flight, in->data, n);
    }
    consume(e, n);
    return (int)n;
}

size_t engine_read_size(const struct engine *e, size_t cap) {
    if (e->record == 0 || e->missing + e->record > cap) {
        return cap;
    }
    return e->missing + (cap - e->missing) / e->record * e->record;
}

static bool append(struct engine *e, struct buf *out, const uint8_t *buf, size_t size) {
    bool cut = e->cut_flight;
    if (!cut) {
        return buf_append(out, buf, size, SIZE_MAX);
    }
    bool appended = quirks_append_flight(out, buf, size, e->record_size, &cut);
    e->cut_flight = cut;
    return appended;
}

int engine_send(struct engine *e, const uint8_t *buf, size_t size) {
    struct engine_call *call = e->call;
    assert(call != NULL && call->in != NULL);
    if (call->reading && ++e->answers > ANSWERS_MAX) {
        e->failure = REASON_TLS_ERROR;
        return WOLFSSL_CBIO_ERR_GENERAL;
    }
    if (e->handshaking) {
        e->peer->flight.answered = true;
    }
    bool in_place = call->writing && quirks_keep_output(e->ssl, call->out, buf, size);
    if (in_place || call->out == NULL || append(e, call->out, buf, size)) {
        return (int)size;
    }
    e->failure = REASON_OUT_OF_MEMORY;
    return WOLFSSL_CBIO_ERR_GENERAL;
}
