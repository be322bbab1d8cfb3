#include "tls/hello.h"

#include <stdlib.h>
#include <string.h>

#include <wolfssl/wolfcrypt/sha256.h>
#ifdef POSTERN_OWN_WOLFSSL
#include <postern_hello.h>
#endif

/* The same list as the library's own header has for the callback. */
#if !defined(POSTERN_OWN_WOLFSSL) && defined(HAVE_ALPN) &&                                         \
    (defined(OPENSSL_ALL) || defined(WOLFSSL_NGINX) || defined(WOLFSSL_HAPROXY))
#define LIBRARY_ALPN
#endif

#if defined(POSTERN_OWN_WOLFSSL) || defined(LIBRARY_ALPN)
static int check_library(const struct config_listener *listener, struct error *err) {
    (void)listener;
    (void)err;
    return 0;
}
#else
/* The default is then without effect: clients whose protocols are not answered connect as well. */
static int check_library(const struct config_listener *listener, struct error *err) {
    const struct config_protocols *alpn = &listener->alpn;
    bool is_default = alpn->count == 1 && strcmp(alpn->all[0], "mqtt") == 0;
    if (listener->alpn_required == ALPN_NOT_REQUIRED && (alpn->count == 0 || is_default)) {
        return 0;
    }
    return error_set(err, "this build's TLS library has no ALPN; leave out alpn and alpn_required, "
                          "or build Postern with its own library");
}
#endif

int hello_load(struct tls_context *ctx, const struct config_listener *listener, struct error *err) {
    const struct config_protocols *alpn = &listener->alpn;
    size_t size = 0, at = 0;
    if (check_library(listener, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < alpn->count; i++) {
        size += 1 + strlen(alpn->all[i]);
    }
    ctx->protocols = malloc(size + 1);
    if (ctx->protocols == NULL) {
        return error_set(err, "out of memory");
    }
    for (size_t i = 0; i < alpn->count; i++) {
        size_t len = strlen(alpn->all[i]);
        ctx->protocols[at] = (uint8_t)len;
        memcpy(ctx->protocols + at + 1, alpn->all[i], len);
        at += 1 + len;
    }
    ctx->protocols_len = size;
    ctx->protocol_required = listener->alpn_required == ALPN_REQUIRED;
    return 0;
}

static const uint8_t *choose(const struct tls_context *ctx, const struct client_hello *hello) {
    for (size_t at = 0; at < ctx->protocols_len; at += 1u + ctx->protocols[at]) {
        const uint8_t *protocol = ctx->protocols + at;
        if (client_hello_offers(hello, protocol + 1, protocol[0])) {
            return protocol;
        }
    }
    return NULL;
}

/* Over both parts; the first is a text, and its end is part of it. */
static int hash(const uint8_t *first, size_t first_len, const uint8_t *second, size_t second_len,
                uint8_t out[TLS_HASH_SIZE]) {
    wc_Sha256 sha;
    if (wc_InitSha256(&sha) != 0) {
        return -1;
    }
    wc_Sha256Update(&sha, first, (word32)first_len);
    wc_Sha256Update(&sha, second, (word32)second_len);
    wc_Sha256Final(&sha, out);
    wc_Sha256Free(&sha);
    return 0;
}

static int hash_offer(const struct client_hello *hello, uint8_t out[TLS_HASH_SIZE]) {
    return hash((const uint8_t *)hello->server_name, strlen(hello->server_name) + 1,
                hello->protocols, hello->protocols_len, out);
}

int hello_note(struct client_cert *peer, const struct tls_context *ctx,
               const struct client_hello *hello) {
    peer->protocol = choose(ctx, hello);
    if (hash(ctx->policy, sizeof ctx->policy, (const uint8_t *)hello->server_name,
             strlen(hello->server_name), peer->binding) != 0) {
        return -1;
    }
    return hash_offer(hello, peer->offer);
}

/* A client of TLS 1.2 may leave its groups out. */
enum reason hello_obstacle(const struct client_cert *peer, const struct tls_context *ctx,
                           const struct client_hello *hello) {
    if (!(hello->offers_tls13 && ctx->tls_max == CONFIG_TLS_1_3) &&
        !(hello->offers_tls12 && ctx->tls_min == CONFIG_TLS_1_2)) {
        return REASON_UNSUPPORTED_VERSION;
    }
    if (ctx->refuse_unknown_name && !tls_context_has_name(ctx, hello->server_name)) {
        return REASON_UNRECOGNIZED_NAME;
    }
    if (hello->groups_given && (hello->groups & ctx->groups.bits) == 0) {
        return REASON_NO_SHARED_GROUP;
    }
    bool unanswered = ctx->protocol_required && peer->protocol == NULL;
    return unanswered ? REASON_NO_APPLICATION_PROTOCOL : REASON_NONE;
}

bool hello_is_obstacle(enum reason reason) {
    return reason == REASON_UNSUPPORTED_VERSION || reason == REASON_UNRECOGNIZED_NAME ||
           reason == REASON_NO_SHARED_GROUP || reason == REASON_NO_APPLICATION_PROTOCOL;
}

#ifdef POSTERN_OWN_WOLFSSL
static const uint8_t *on_protocol(WOLFSSL *ssl) {
    const struct engine *e = engine_of(ssl);
    return e->handshaking ? e->peer->protocol : NULL;
}

/* Some 9 KB of stack, so that the library's frames do not need them. */
static __attribute__((noinline)) int may_follow(WOLFSSL *ssl, const uint8_t *body,
                                                unsigned int len) {
    struct client_hello second;
    uint8_t offer[TLS_HASH_SIZE];
    return client_hello_parse_body(body, len, &second) == CLIENT_HELLO_OK &&
           hash_offer(&second, offer) == 0 &&
           memcmp(offer, engine_of(ssl)->peer->offer, sizeof offer) == 0;
}

void hello_attach(WOLFSSL_CTX *ssl_ctx) {
    static const struct postern_hello hello = {on_protocol, may_follow};
    postern_hello_set(ssl_ctx, &hello);
}
#elif defined(LIBRARY_ALPN)
static int on_select(WOLFSSL *ssl, const unsigned char **out, unsigned char *out_len,
                     const unsigned char *in, unsigned int in_len, void *arg) {
    const struct engine *e = engine_of(ssl);
    (void)in;
    (void)in_len;
    (void)arg;
    if (!e->handshaking || e->peer->protocol == NULL) {
        return SSL_TLSEXT_ERR_NOACK;
    }
    *out = e->peer->protocol + 1;
    *out_len = e->peer->protocol[0];
    return SSL_TLSEXT_ERR_OK;
}

void hello_attach(WOLFSSL_CTX *ssl_ctx) {
    wolfSSL_CTX_set_alpn_select_cb(ssl_ctx, on_select, NULL);
}
#else
void hello_attach(WOLFSSL_CTX *ssl_ctx) {
    (void)ssl_ctx;
}
#endif
