#include "tls/engine.h"
#include "core/wipe.h"
#include "tls/allocations.h"
#include "tls/client.h"
#include "tls/hello.h"
#include "tls/internal.h"
#include "tls/psk.h"
#include "tls/quirks.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <wolfssl/error-ssl.h>

enum {
    /* Per record: header, explicit nonce (TLS 1.2 with AES) or content type (TLS 1.3), tag. */
    RECORD_OVERHEAD = 5 + 8 + 16,
    /* An alert, key update or ticket that is sent along with data. */
    EXTRA_OUTPUT = 1024
};

static void choose_record_size(struct engine *e, const struct client_hello *hello) {
    e->record_size = e->ctx->max_record_size;
    if (hello->max_fragment != 0) {
        e->record_size = hello->max_fragment;
    }
    e->cut_flight = e->record_size < CLIENT_HELLO_MAX;
}

/* What needs memory and can fail. */
static bool make_parts(struct engine *e, const struct client_hello *hello) {
    e->peer = calloc(1, sizeof *e->peer);
    if (e->peer == NULL || hello_note(e->peer, e->ctx, hello) != 0) {
        return false;
    }
    e->ssl = wolfSSL_new(tls_context_choose(e->ctx, hello)->ssl_ctx);
    return e->ssl != NULL;
}

struct engine *engine_open(struct tls_context *ctx, const struct client_hello *hello) {
    struct engine *e = calloc(1, sizeof *e);
    if (e == NULL) {
        return NULL;
    }
    e->ctx = tls_context_ref(ctx);
    e->handshaking = true;
    e->entered = tls_context_enter(ctx);
    if ((!e->entered && ctx->has_clients) || !make_parts(e, hello)) {
        engine_free(e);
        return NULL;
    }
    e->peer->refusal = hello_obstacle(e->peer, ctx, hello);
    choose_record_size(e, hello);
    const struct hello_share *share = agreement_share(ctx, hello);
    if (share != NULL) {
        e->peer->share = *share;
    }
    wolfSSL_SetIOReadCtx(e->ssl, e);
    wolfSSL_SetIOWriteCtx(e->ssl, e);
    wolfSSL_SetCertCbCtx(e->ssl, e);
    return e;
}

static void drop_newer(struct client_cert *peer) {
    if (peer->newer != NULL) {
        tls_context_leave(peer->newer);
        tls_context_unref(peer->newer);
        peer->newer = NULL;
    }
}

void engine_check_by(struct engine *e, struct tls_context *newer) {
    assert(e->handshaking);
    if (newer != e->peer->newer && tls_context_enter(newer)) {
        drop_newer(e->peer);
        e->peer->newer = tls_context_ref(newer);
    }
}

/* Frees what only the handshake needs: contexts, and what the client sent. */
static void end_handshake(struct engine *e) {
    if (!e->handshaking) {
        return;
    }
    e->handshaking = false;
    e->cut_flight = false;
    if (e->peer != NULL) {
        drop_newer(e->peer);
        client_chain_free(e->peer->chain);
        e->peer->chain = NULL;
        psk_attempt_free(e->peer->attempt);
        e->peer->attempt = NULL;
    }
    if (e->entered) {
        tls_context_leave(e->ctx);
    }
    tls_context_unref(e->ctx);
    e->ctx = NULL;
}

/* The client is sent one fatal alert, unless it sent one itself: the library's, or `alert` if the
 * library sent none (0: none). An alert of the client is the reason, whatever the library makes of
 * it: in TLS 1.3 it calls one that came in plaintext, as it does when our certificate is refused, a
 * parse error. */
static enum engine_status fail(struct engine *e, enum reason reason, uint8_t alert) {
    WOLFSSL_ALERT_HISTORY alerts = {0};
    (void)wolfSSL_get_alert_history(e->ssl, &alerts);
    bool received = alerts.last_rx.level == ALERT_FATAL && alerts.last_rx.code > 0;
    bool sent = alerts.last_tx.level == ALERT_FATAL && alerts.last_tx.code > 0;
    reason = e->handshaking && e->peer->starved ? REASON_OUT_OF_MEMORY : reason;
    if (received) {
        e->alert = (uint8_t)alerts.last_rx.code;
        reason = e->handshaking ? REASON_ALERT_RECEIVED : reason;
    } else if (sent) {
        e->alert = e->alert != 0 ? e->alert : (uint8_t)alerts.last_tx.code;
        /* This one it sends about a certificate that it cannot read, and in TLS 1.2 about a
         * signature by another algorithm than the key's, when the certificate was accepted. */
        bool unread =
            alerts.last_tx.code == ALERT_BAD_CERTIFICATE && e->peer != NULL && !e->peer->presented;
        reason = unread && reason == REASON_PROTOCOL_ERROR ? REASON_BAD_ENCODING : reason;
    } else if (alert != 0 && quirks_send_alert(e->ssl, alert)) {
        e->alert = alert;
    }
    if (e->failure == REASON_NONE) {
        e->failure = (uint8_t)reason;
    }
    return ENGINE_FAILED;
}

/* By hello_obstacle, before the library is asked. */
static enum engine_status refuse(struct engine *e, struct buf *out) {
    e->alert = failure_alert(e->peer->refusal);
    e->failure =
        (uint8_t)(quirks_append_alert(out, e->alert) ? e->peer->refusal : REASON_OUT_OF_MEMORY);
    return ENGINE_FAILED;
}

/* wolfSSL 5.7.2 (Debian 13) returns MEMORY_E for an Ed25519 CA that a client sends, though no
 * allocation has failed, after bad_certificate, by which fail knows that it could not be read. */
static struct failure failure_of_handshake(const struct engine *e, int code) {
    struct failure failure = failure_of(code);
#ifndef POSTERN_OWN_WOLFSSL
    if (failure.reason == REASON_OUT_OF_MEMORY && !e->peer->starved) {
        return (struct failure){REASON_PROTOCOL_ERROR, ALERT_HANDSHAKE_FAILURE};
    }
#endif
    return failure;
}

/* As fail; what an older library does not report is found here. */
static enum engine_status fail_handshake(struct engine *e, int code) {
    struct failure failure = failure_of_handshake(e, code);
    e->peer->flight.answered = false; /* by the library's own alert at most */
    quirks_note_flight(&e->peer->flight, e->call->in->data, e->call->in->len);
    if (quirks_is_plaintext_alert(&e->peer->flight, &e->alert)) {
        e->failure = REASON_ALERT_RECEIVED;
        return ENGINE_FAILED;
    }
    if (e->peer->refusal == REASON_NONE) {
        e->peer->refusal = psk_failure(e, code);
    }
    if (e->peer->refusal != REASON_NONE) {
        failure = (struct failure){e->peer->refusal, failure_alert(e->peer->refusal)};
    }
    enum engine_status status = fail(e, failure.reason, failure.alert);
    if (e->alert == 0 && failure.reason == REASON_NO_CERTIFICATE_GIVEN &&
        wolfSSL_version(e->ssl) == TLS1_2_VERSION &&
        quirks_append_alert(e->call->out, ALERT_HANDSHAKE_FAILURE)) {
        e->alert = ALERT_HANDSHAKE_FAILURE; /* before ChangeCipherSpec all is plaintext */
    }
    return status;
}

static void keep_peer(struct engine *e) {
    struct client_cert *peer = e->peer;
    /* An accepted ticket may not have been used: then the identity in it does not apply. */
    bool applies = peer->psk || peer->presented || e->resumed;
    if (!applies || (peer->id.serial_len == 0 && !peer->psk)) {
        free(peer);
        e->peer = NULL;
        return;
    }
    struct client_cert *less = realloc(peer, client_cert_size(peer));
    e->peer = less != NULL ? less : peer;
}

/* The library must call our verification, or use a key of ours; if it ever does neither, the client
 * is refused. */
static bool has_required_proof(const struct engine *e) {
    const struct client_cert *peer = e->peer;
    bool required = e->ctx->client_auth == CLIENT_AUTH_REQUIRED || e->ctx->certificate_count == 0;
    return !required || peer->psk || peer->presented || (e->resumed && peer->id.serial_len > 0);
}

/* For the library and the client the handshake is complete: the alert is an encrypted one. */
static enum engine_status refuse_late(struct engine *e, enum reason reason) {
    bool tls13 = wolfSSL_version(e->ssl) == TLS1_3_VERSION;
    uint8_t alert = failure_alert(reason);
    if (reason == REASON_NO_CERTIFICATE_GIVEN) {
        alert = tls13 ? ALERT_CERTIFICATE_REQUIRED : ALERT_HANDSHAKE_FAILURE;
    }
    e->peer->refusal = reason;
    return fail(e, reason, alert);
}

static enum engine_status finish(struct engine *e) {
    e->resumed = wolfSSL_session_reused(e->ssl) != 0;
    psk_settle(e);
    if (!has_required_proof(e)) {
        return fail(e, REASON_NO_CERTIFICATE_GIVEN, 0);
    }
    enum reason reason = clients_check_late(e->ctx, e->peer, e->resumed);
    if (reason != REASON_NONE) {
        return refuse_late(e, reason);
    }
    /* A resumed session of TLS 1.2 has no key exchange. */
    if (!e->resumed || wolfSSL_version(e->ssl) != TLS1_2_VERSION) {
        e->group = groups_find(wolfSSL_get_curve_name(e->ssl));
    }
    end_handshake(e);
    keep_peer(e);
    quirks_end_handshake(e->ssl);
    return ENGINE_OK;
}

int engine_accept(struct engine *e) {
    unsigned failed = allocations_failed();
    int code = wolfSSL_accept(e->ssl);
    e->peer->starved = allocations_failed() != failed;
    return code == WOLFSSL_SUCCESS ? code : wolfSSL_get_error(e->ssl, code);
}

static enum engine_status shake_hands(struct engine *e, struct engine_call *call) {
    int code;
    /* Whether a paused step consumed input before is not known here: it counts as if it had. */
    for (call->consumed = e->call != NULL;; call->consumed = false) {
        e->call = call;
        if (call->stack == NULL) {
            /* What is computed ahead is the thread's own, and a stack may be another thread. */
            agreement_expect(e->peer->share.given ? e->peer->share.key : NULL);
            code = engine_accept(e);
            agreement_expect(NULL);
        } else if (!engine_stack_accept(call->stack, e, &code)) {
            return ENGINE_PAUSED;
        }
        if (code == WOLFSSL_SUCCESS) {
            return ENGINE_OK;
        }
        if (code != WOLFSSL_ERROR_WANT_READ) {
            return fail_handshake(e, code);
        }
        if (call->in->len == 0) {
            return ENGINE_MORE;
        }
        if (!call->consumed) {
            return fail(e, REASON_PROTOCOL_ERROR, ALERT_INTERNAL_ERROR);
        }
    }
}

static bool is_paused(const struct engine *e) {
    return e->call != NULL;
}

enum engine_status engine_handshake(struct engine *e, struct engine_input *in, struct buf *out,
                                    struct engine_stack *stack) {
    struct engine_call call = {.in = in, .out = out, .stack = stack};
    assert(!is_paused(e) || e->call->stack == stack);
    if (e->failure != REASON_NONE) {
        return ENGINE_FAILED;
    }
    if (hello_is_obstacle(e->peer->refusal)) {
        return refuse(e, out);
    }
    if (stack != NULL && !engine_stack_is_free(stack, e)) {
        return ENGINE_PAUSED;
    }
    enum engine_status status = shake_hands(e, &call);
    if (status == ENGINE_OK) {
        status = finish(e);
    }
    e->call = status == ENGINE_PAUSED ? engine_stack_pause(stack) : NULL;
    wipe_registers(); /* a signature leaves parts of the private key there */
    return status;
}

static enum engine_status read_records(struct engine *e, uint8_t *plain, size_t cap, size_t *got) {
    struct engine_call *call = e->call;
    while (*got < cap) {
        size_t room = cap - *got < INT32_MAX ? cap - *got : INT32_MAX;
        call->consumed = false;
        call->room = room;
        int n = wolfSSL_read(e->ssl, plain + *got, (int)room);
        if (n > 0) {
            e->answers = e->idle_records = 0;
            *got += (size_t)n;
            if (call->in->len == 0 && (size_t)n < room) { /* the library would find nothing */
                return ENGINE_MORE;
            }
            continue;
        }
        int code = wolfSSL_get_error(e->ssl, n);
        if (code == WOLFSSL_ERROR_ZERO_RETURN) {
            return ENGINE_CLOSED;
        }
        if (code != WOLFSSL_ERROR_WANT_READ) {
            return fail(e, code == MEMORY_E ? REASON_OUT_OF_MEMORY : REASON_TLS_ERROR,
                        failure_of(code).alert);
        }
        if (call->in->len == 0) {
            return ENGINE_MORE;
        }
        if (!call->consumed) {
            return fail(e, REASON_TLS_ERROR, ALERT_INTERNAL_ERROR);
        }
    }
    return ENGINE_OK;
}

enum engine_status engine_read(struct engine *e, struct engine_input *in, uint8_t *plain,
                               size_t cap, size_t *got, struct buf *out) {
    struct engine_call call = {.in = in, .out = out, .reading = true};
    *got = 0;
    if (e->failure != REASON_NONE) {
        return ENGINE_FAILED;
    }
    assert(!e->handshaking);
    e->call = &call;
    enum engine_status status = read_records(e, plain, cap, got);
    quirks_take_input_back(e->ssl);
    e->call = NULL;
    return status;
}

static enum engine_status write_records(struct engine *e, const uint8_t *plain, size_t len) {
    while (len > 0) {
        size_t piece = len < e->record_size ? len : e->record_size;
        quirks_lend_output(e->ssl, e->call->out, engine_sealed_size(e, piece));
        int n = wolfSSL_write(e->ssl, plain, (int)piece);
        quirks_return_output(e->ssl);
        if (n <= 0) {
            int code = wolfSSL_get_error(e->ssl, n);
            return fail(e, code == MEMORY_E ? REASON_OUT_OF_MEMORY : REASON_TLS_ERROR,
                        failure_of(code).alert);
        }
        plain += n;
        len -= (size_t)n;
    }
    return ENGINE_OK;
}

enum engine_status engine_write(struct engine *e, const uint8_t *plain, size_t len,
                                struct buf *out) {
    struct engine_input nothing = {NULL, 0};
    struct engine_call call = {.in = &nothing, .out = out, .writing = true};
    if (e->failure != REASON_NONE || e->closed) {
        return ENGINE_FAILED;
    }
    assert(!e->handshaking);
    e->call = &call;
    enum engine_status status = write_records(e, plain, len);
    e->call = NULL;
    return status;
}

size_t engine_write_size(const struct engine *e, size_t cap) {
    return cap / e->record_size * e->record_size;
}

size_t engine_sealed_size(const struct engine *e, size_t plain_len) {
    size_t records = (plain_len + e->record_size - 1) / e->record_size;
    return plain_len + records * RECORD_OVERHEAD + EXTRA_OUTPUT;
}

void engine_close(struct engine *e, struct buf *out) {
    struct engine_input nothing = {NULL, 0};
    struct engine_call call = {.in = &nothing, .out = out};
    if (e->closed || e->failure != REASON_NONE) {
        return;
    }
    assert(!e->handshaking);
    e->closed = true;
    e->call = &call;
    /* The answer is not waited for: one call only sends. */
    (void)wolfSSL_shutdown(e->ssl);
    e->call = NULL;
}

void engine_free(struct engine *e) {
    if (e == NULL) {
        return;
    }
    if (is_paused(e)) {
        engine_stack_adopt(e->call->stack, e);
        return;
    }
    end_handshake(e);
    free(e->peer);
    wolfSSL_free(e->ssl);
    free(e);
}
