#include "tls/psk.h"

#include "tls/client_store.h"
#include "tls/psk_list.h"
#include "tls/quirks.h"

#include <stdlib.h>
#include <string.h>

#ifdef POSTERN_OWN_WOLFSSL
#include <postern_psk.h>
#include <wolfssl/error-ssl.h>

/* The identity that the client named last. */
struct psk_attempt {
    bool failed; /* there is no key for want of memory */
    struct psk_found found;
    char identity[PSK_IDENTITY_MAX + 1]; /* cut, if it is longer than any that is known */
};

int psk_check_library(const struct config_listener *listener, struct error *err) {
    (void)listener;
    (void)err;
    return 0;
}

static int on_find(WOLFSSL *ssl, const unsigned char *identity, unsigned int len) {
    struct engine *e = engine_of(ssl);
    struct client_cert *peer = e->peer;
    if (peer->attempt == NULL) {
        peer->attempt = calloc(1, sizeof *peer->attempt);
    }
    struct psk_attempt *attempt = peer->attempt;
    if (attempt == NULL) {
        return 0;
    }
    size_t kept = len < PSK_IDENTITY_MAX ? len : PSK_IDENTITY_MAX;
    memcpy(attempt->identity, identity, kept);
    attempt->identity[kept] = '\0';
    attempt->failed =
        !psk_list_find(e->ctx->clients->psk, (struct span){identity, len}, &attempt->found);
    return !attempt->failed && attempt->found.known;
}

static unsigned int on_key(WOLFSSL *ssl, unsigned char key[POSTERN_PSK_KEY_MAX]) {
    _Static_assert(PSK_KEY_MAX == (int)POSTERN_PSK_KEY_MAX, "each key fits");
    struct engine *e = engine_of(ssl);
    const struct psk_attempt *attempt = e->peer->attempt;
    if (attempt == NULL || attempt->failed) {
        e->failure = REASON_OUT_OF_MEMORY; /* the library would blame the client */
        e->alert = quirks_send_alert(ssl, ALERT_INTERNAL_ERROR) ? ALERT_INTERNAL_ERROR : 0;
        return 0;
    }
    memcpy(key, attempt->found.key, sizeof attempt->found.key);
    return attempt->found.key_len;
}

void psk_attach(WOLFSSL_CTX *ssl_ctx) {
    static const struct postern_psk hook = {on_find, on_key};
    postern_psk_set(ssl_ctx, &hook);
    quirks_require_key_exchange(ssl_ctx);
}

static bool is_used(const struct engine *e) {
    return e->peer->attempt != NULL && postern_psk_is_used(e->ssl);
}

void psk_settle(struct engine *e) {
    struct client_cert *peer = e->peer;
    if (wolfSSL_session_reused(e->ssl)) {
        return;
    }
    peer->psk = is_used(e) && peer->attempt->found.known;
    if (peer->psk) {
        client_cert_clear(peer);
        peer->psk = peer->has_identity = true;
        memcpy(peer->key_hash, peer->attempt->found.mark, sizeof peer->key_hash);
        memcpy(peer->text, peer->attempt->identity, sizeof peer->attempt->identity);
    }
}

/* What a wrong key shows itself by: in TLS 1.3 the binder, in TLS 1.2 the first record that should
 * have been encrypted with it. */
static bool is_wrong_key(int code) {
    return code == BAD_BINDER || code == VERIFY_MAC_ERROR || code == DECRYPT_ERROR ||
           code == VERIFY_FINISHED_ERROR;
}

enum reason psk_failure(struct engine *e, int code) {
    struct client_cert *peer = e->peer;
    if (!is_wrong_key(code) || !is_used(e)) {
        return REASON_NONE;
    }
    memcpy(peer->text, peer->attempt->identity, sizeof peer->attempt->identity);
    peer->has_detail = true;
    return peer->attempt->found.known ? REASON_BAD_PSK : REASON_UNKNOWN_PSK;
}

void psk_attempt_free(struct psk_attempt *attempt) {
    if (attempt != NULL) {
        explicit_bzero(attempt, sizeof *attempt);
    }
    free(attempt);
}

#else

int psk_check_library(const struct config_listener *listener, struct error *err) {
    if (listener->psk_file == NULL) {
        return 0;
    }
    return error_set(err,
                     "psk_file: this build's TLS library has no pre-shared keys; build Postern "
                     "with its own library");
}

void psk_attach(WOLFSSL_CTX *ssl_ctx) {
    (void)ssl_ctx;
}

void psk_settle(struct engine *e) {
    (void)e;
}

enum reason psk_failure(struct engine *e, int code) {
    (void)e;
    (void)code;
    return REASON_NONE;
}

void psk_attempt_free(struct psk_attempt *attempt) {
    free(attempt);
}

#endif
