#include "tls/context.h"
#include "core/log.h"
#include "tls/allocations.h"
#include "tls/certificate.h"
#include "tls/ciphers.h"
#include "tls/client.h"
#include "tls/client_store.h"
#include "tls/hello.h"
#include "tls/internal.h"
#include "tls/psk.h"
#include "tls/quirks.h"
#include "tls/tickets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <wolfssl/wolfcrypt/sha256.h>
#ifdef POSTERN_OWN_WOLFSSL
#include <vector/kernels.h>
#endif
#ifdef POSTERN_AARCH64
#include <sys/auxv.h>
#endif

int tls_library_start(struct error *err) {
    tls_kernels_start();
    if (allocations_watch() != 0 || wolfSSL_Init() != WOLFSSL_SUCCESS) {
        return error_set(err, "the TLS library does not start; is there memory?");
    }
    if (quirks_use_every_algorithm() != 0) {
        return error_set(err, "the TLS library does not start: an algorithm fails when it is first "
                              "used");
    }
    return 0;
}

void tls_library_stop(void) {
    wolfSSL_Cleanup();
}

#define LIBRARY "wolfSSL " LIBWOLFSSL_VERSION_STRING

#if !defined(POSTERN_OWN_WOLFSSL)
const char *tls_library_version(void) {
    return LIBRARY " of the distribution";
}
#elif defined(POSTERN_X86_64)
const char *tls_library_version(void) {
    if (!__builtin_cpu_supports("aes") || !__builtin_cpu_supports("pclmul")) {
        return LIBRARY ", not accelerated (no AES-NI)";
    }
    if (!__builtin_cpu_supports("avx")) {
        return LIBRARY ", accelerated (AES-NI)";
    }
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("bmi2")) {
        return LIBRARY ", accelerated (AES-NI AVX)";
    }
    static const char *const more[] = {
        LIBRARY ", accelerated (AES-NI AVX AVX2 BMI2)",
        LIBRARY ", accelerated (AES-NI AVX AVX2 BMI2 IFMA)",
        LIBRARY ", accelerated (AES-NI AVX AVX2 BMI2 VAES)",
        LIBRARY ", accelerated (AES-NI AVX AVX2 BMI2 IFMA VAES)",
    };
    unsigned kernels = postern_kernels_offered();
    int ifma = (kernels & (POSTERN_KERNEL_RSA | POSTERN_KERNEL_X25519 | POSTERN_KERNEL_P256)) != 0;
    int vaes = (kernels & POSTERN_KERNEL_GCM) != 0;
    return more[ifma + 2 * vaes];
}
#elif defined(POSTERN_AARCH64)
const char *tls_library_version(void) {
    enum { AES = 1 << 3, PMULL = 1 << 4 }; /* as in asm/hwcap.h */
    if ((getauxval(AT_HWCAP) & (AES | PMULL)) != (AES | PMULL)) {
        return LIBRARY ", accelerated (NEON), but not for AES (no AES instructions)";
    }
    return LIBRARY ", accelerated (NEON AES PMULL)";
}
#else
const char *tls_library_version(void) {
    return LIBRARY ", not accelerated";
}
#endif

/* The library's callbacks; both are given the engine. */
static int on_receive(WOLFSSL *ssl, char *buf, int size, void *arg) {
    return engine_receive(arg, (uint8_t *)buf, (size_t)size);
}

static int on_send(WOLFSSL *ssl, char *buf, int size, void *arg) {
    return engine_send(arg, (const uint8_t *)buf, (size_t)size);
}

static const char *version_text(enum config_tls_version version) {
    return version == CONFIG_TLS_1_2 ? "1.2" : "1.3";
}

static void configure_resumption(WOLFSSL_CTX *ssl_ctx, const struct tls_shared *shared) {
    wolfSSL_CTX_set_timeout(ssl_ctx, TLS_RESUME_SECONDS);
    /* The library's own cache, which is process-wide and not bound to a context, is never used. */
    wolfSSL_CTX_set_session_cache_mode(ssl_ctx, shared->sessions != NULL
                                                    ? WOLFSSL_SESS_CACHE_SERVER |
                                                          WOLFSSL_SESS_CACHE_NO_INTERNAL
                                                    : WOLFSSL_SESS_CACHE_OFF);
    session_cache_attach(shared->sessions, ssl_ctx);
    if (shared->tickets != NULL) {
        wolfSSL_CTX_set_TicketEncCb(ssl_ctx, tickets_callback);
        wolfSSL_CTX_set_TicketEncCtx(ssl_ctx, shared->tickets);
        wolfSSL_CTX_set_TicketHint(ssl_ctx, TLS_RESUME_SECONDS);
        quirks_require_key_exchange(ssl_ctx);
    } else {
        wolfSSL_CTX_NoTicketTLSv12(ssl_ctx);
        wolfSSL_CTX_no_ticket_TLSv13(ssl_ctx);
    }
}

static int configure(struct tls_certificate *certificate, const struct tls_context *ctx,
                     const char *ciphers, struct error *err) {
    WOLFSSL_CTX *ssl_ctx = certificate->ssl_ctx;
    struct groups groups = ctx->groups;
    /* wolfSSL 5.5.4 applies groups to TLS 1.3 only; for 1.2 it then uses all that it was built
     * with. */
    bool need_groups = ctx->tls_max == CONFIG_TLS_1_3;
    if ((ctx->tls_min == CONFIG_TLS_1_2 &&
         wolfSSL_CTX_SetMinVersion(ssl_ctx, WOLFSSL_TLSV1_2) != WOLFSSL_SUCCESS) ||
        wolfSSL_CTX_set_cipher_list(ssl_ctx, ciphers) != WOLFSSL_SUCCESS ||
        (wolfSSL_CTX_set_groups(ssl_ctx, groups.list, (int)groups.count) != WOLFSSL_SUCCESS &&
         need_groups)) {
        return error_set(err, "the TLS library refuses versions %s to %s with suites \"%s\"",
                         version_text(ctx->tls_min), version_text(ctx->tls_max), ciphers);
    }
    wolfSSL_CTX_SetIORecv(ssl_ctx, on_receive);
    wolfSSL_CTX_SetIOSend(ssl_ctx, on_send);
    wolfSSL_CTX_set_group_messages(ssl_ctx);
    hello_attach(ssl_ctx);
    configure_resumption(ssl_ctx, &ctx->shared);
    if (ctx->clients != NULL) {
        clients_apply(ctx->clients, ssl_ctx);
    } else {
        wolfSSL_CTX_set_verify(ssl_ctx, WOLFSSL_VERIFY_NONE, NULL);
    }
    return 0;
}

static int warm_up(const struct tls_certificate *certificate, struct error *err) {
    if (!quirks_warm_up(certificate->ssl_ctx)) {
        return error_set(err, "%s: the TLS library cannot make a connection with this certificate",
                         certificate->info.file);
    }
    return 0;
}

static int load_bare(struct tls_context *ctx, const char *ciphers, struct error *err) {
    if (certificate_make_bare(&ctx->bare, ctx->tls_min, ctx->tls_max, err) != 0 ||
        configure(&ctx->bare, ctx, ciphers, err) != 0) {
        return -1;
    }
    return quirks_warm_up(ctx->bare.ssl_ctx)
               ? 0
               : error_set(err, "the TLS library cannot make a connection without certificates");
}

/* With its end, so that two texts in a row are never two others. */
static void hash_text(wc_Sha256 *sha, const char *text) {
    wc_Sha256Update(sha, (const byte *)text, (word32)strlen(text) + 1);
}

/* What a resumed session must have in common with the full handshake that it replaces. */
static int hash_policy(struct tls_context *ctx, const struct config_listener *listener,
                       const char *ciphers, struct error *err) {
    wc_Sha256 sha;
    const uint8_t fixed[] = {(uint8_t)listener->client_auth, (uint8_t)listener->identity,
                             ctx->identity_required,         ctx->keeps_issuers,
                             (uint8_t)ctx->tls_min,          (uint8_t)ctx->tls_max};
    if (wc_InitSha256(&sha) != 0) {
        return error_set(err, "out of memory");
    }
    hash_text(&sha, listener->name);
    hash_text(&sha, listener->route != NULL ? listener->route : "");
    hash_text(&sha, ciphers);
    wc_Sha256Update(&sha, fixed, sizeof fixed);
    wc_Sha256Update(&sha, &ctx->groups.bits, sizeof ctx->groups.bits);
    wc_Sha256Update(&sha, (const byte *)&ctx->resumption_seconds, sizeof ctx->resumption_seconds);
    if (ctx->clients != NULL) {
        wc_Sha256Update(&sha, clients_hash(ctx->clients), TLS_HASH_SIZE);
    }
    wc_Sha256Final(&sha, ctx->policy);
    wc_Sha256Free(&sha);
    return 0;
}

static int load_certificates(struct tls_context *ctx, const struct config_listener *listener,
                             struct error *err) {
    char ciphers[CIPHERS_MAX];
    const struct cipher_use use = {.tls12 = ctx->tls_min == CONFIG_TLS_1_2,
                                   .tls13 = ctx->tls_max == CONFIG_TLS_1_3,
                                   .certificates = listener->certificate_count > 0,
                                   .psk = listener->psk_file != NULL,
                                   .psk_plain = listener->psk_plain == PSK_PLAIN_ACCEPT,
                                   .shared = listener->route != NULL || listener->route_count > 0};
    if (ciphers_list(listener->ciphers, &use, ciphers, err) != 0 ||
        groups_read(listener->groups, &ctx->groups, err) != 0 ||
        hello_load(ctx, listener, err) != 0 || hash_policy(ctx, listener, ciphers, err) != 0) {
        return -1;
    }
    if (listener->certificate_count == 0) {
        return load_bare(ctx, ciphers, err);
    }
    ctx->certificates = calloc(listener->certificate_count, sizeof *ctx->certificates);
    if (ctx->certificates == NULL) {
        return error_set(err, "out of memory");
    }
    for (size_t i = 0; i < listener->certificate_count; i++) {
        const struct config_certificate *section = listener->certificates[i];
        struct tls_certificate *certificate = &ctx->certificates[ctx->certificate_count++];
        if (certificate_load(certificate, section, ctx->tls_min, ctx->tls_max, err) != 0 ||
            configure(certificate, ctx, ciphers, err) != 0 || warm_up(certificate, err) != 0) {
            return error_prefix(err, "certificate %s", section->name);
        }
    }
    return 0;
}

static int load(struct tls_context *ctx, const struct config_listener *listener,
                struct error *err) {
    if (psk_check_library(listener, err) != 0) {
        return -1;
    }
    if (listener->client_auth != CLIENT_AUTH_NONE || listener->psk_file != NULL) {
        ctx->clients = clients_load(listener, err);
        if (ctx->clients == NULL) {
            return -1;
        }
        ctx->has_clients = true;
        ctx->heavy_clients = clients_are_heavy(ctx->clients);
        ctx->has_allow = ctx->clients->allow != NULL;
        if (ctx->has_allow) {
            ctx->allow_counts = allow_list_counts(ctx->clients->allow);
        }
        ctx->psk_count = ctx->clients->psk != NULL ? psk_list_count(ctx->clients->psk) : 0;
    }
    return load_certificates(ctx, listener, err);
}

/* Of a route: clients that ask for such a name and compare it with the certificate leave. */
static void warn_missing_names(const struct tls_context *ctx,
                               const struct config_listener *listener) {
    for (size_t i = 0; i < listener->server_name_count; i++) {
        bool has_any = ctx->certificate_count > 0;
        if (has_any && !tls_context_has_name(ctx, listener->server_names[i])) {
            log_message(LOG_LEVEL_WARNING, "certificate without server name",
                        "listener %s: route %s: no certificate has the name %s; clients that ask "
                        "for it and check it refuse the connection",
                        listener->name, listener->route, listener->server_names[i]);
        }
    }
}

struct tls_context *tls_context_load(const struct config_listener *listener,
                                     const struct tls_shared *shared, struct error *err) {
    struct tls_context *ctx = calloc(1, sizeof *ctx);
    if (ctx == NULL) {
        error_set(err, "out of memory");
        return NULL;
    }
    atomic_init(&ctx->refs, 1);
    atomic_init(&ctx->users, 1);
    if (shared != NULL) {
        ctx->shared = *shared;
    }
    ctx->client_auth = listener->client_auth;
    ctx->identity = listener->identity;
    ctx->identity_required = config_gives_names(listener);
    ctx->refuse_unknown_name =
        listener->route == NULL && listener->unknown_name == UNKNOWN_NAME_REFUSE;
    ctx->keeps_issuers = listener->revoked_sessions == REVOKED_END;
    ctx->resumption_seconds = (int64_t)(listener->resumption_lifetime_ms / 1000);
    ctx->max_record_size = (uint16_t)listener->max_record_size;
    ctx->tls_min = listener->tls_min;
    ctx->tls_max = listener->tls_max;
    if (load(ctx, listener, err) != 0) {
        if (listener->route != NULL) {
            error_prefix(err, "route %s", listener->route);
        }
        error_prefix(err, "listener %s", listener->name);
        tls_context_unref(ctx);
        return NULL;
    }
    warn_missing_names(ctx, listener);
    return ctx;
}

struct tls_context *tls_context_ref(struct tls_context *ctx) {
    atomic_fetch_add_explicit(&ctx->refs, 1, memory_order_relaxed);
    return ctx;
}

void tls_context_unref(struct tls_context *ctx) {
    if (ctx == NULL || atomic_fetch_sub_explicit(&ctx->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    for (size_t i = 0; i < ctx->certificate_count; i++) {
        certificate_free(&ctx->certificates[i]);
    }
    certificate_free(&ctx->bare);
    free(ctx->certificates);
    free(ctx->protocols);
    clients_free(ctx->clients);
    free(ctx);
}

bool tls_context_enter(struct tls_context *ctx) {
    unsigned users = atomic_load_explicit(&ctx->users, memory_order_relaxed);
    while (users > 0) {
        if (atomic_compare_exchange_weak_explicit(&ctx->users, &users, users + 1,
                                                  memory_order_acquire, memory_order_relaxed)) {
            return true;
        }
    }
    return false;
}

void tls_context_leave(struct tls_context *ctx) {
    if (atomic_fetch_sub_explicit(&ctx->users, 1, memory_order_acq_rel) != 1 ||
        ctx->clients == NULL) {
        return;
    }
    clients_free(ctx->clients);
    ctx->clients = NULL;
}

void tls_context_retire(struct tls_context *ctx) {
    tls_context_leave(ctx);
}

size_t tls_context_certificates(const struct tls_context *ctx) {
    return ctx->certificate_count;
}

const struct tls_certificate_info *tls_context_certificate(const struct tls_context *ctx,
                                                           size_t index) {
    return index < ctx->certificate_count ? &ctx->certificates[index].info : NULL;
}

void tls_context_each_expiry(const struct tls_context *ctx,
                             void (*visit)(void *arg, const struct tls_expiry *expiry), void *arg) {
    for (size_t i = 0; i < ctx->certificate_count; i++) {
        expiries_each(&ctx->certificates[i].expiries, visit, arg);
    }
    if (ctx->clients != NULL) {
        expiries_each(&ctx->clients->expiries, visit, arg);
    }
}

const struct tls_allow_counts *tls_context_allow_counts(const struct tls_context *ctx) {
    return ctx->has_allow ? &ctx->allow_counts : NULL;
}

size_t tls_context_psk_count(const struct tls_context *ctx) {
    return ctx->psk_count;
}

static bool verifiable(const struct tls_certificate *certificate, const struct client_hello *hello,
                       bool tls13) {
    switch (certificate->key) {
    case X509_KEY_RSA:
        return tls13 ? hello->rsa_tls13 : hello->rsa_tls12;
    case X509_KEY_P384:
        return hello->ecdsa_p384 && (tls13 ? hello->ecdsa_tls13 : hello->ecdsa_tls12);
    case X509_KEY_P256:
        return tls13 ? hello->ecdsa_tls13 : hello->ecdsa_tls12;
    case X509_KEY_P521:
    case X509_KEY_ED25519:
    case X509_KEY_OTHER: /* certificate_load refuses these */
        break;
    }
    return false;
}

/* Whether a signature takes so long that the step of a handshake is a heavy one. */
static bool is_heavy_key(enum x509_key key) {
    switch (key) {
    case X509_KEY_RSA:
        return true;
    case X509_KEY_P256:
    case X509_KEY_P384:
    case X509_KEY_P521:
    case X509_KEY_ED25519:
    case X509_KEY_OTHER:
        break;
    }
    return false;
}

/* 2: the name itself; 1: a wildcard for its first label (RFC 6125 6.4.3); 0: not at all. */
static int name_match(const struct tls_certificate *certificate, const char *name) {
    int best = 0;
    const char *dot = strchr(name, '.');
    for (size_t i = 0; i < certificate->name_count && name[0]; i++) {
        const char *have = certificate->names[i];
        if (strcmp(have, name) == 0) {
            return 2;
        }
        if (have[0] == '*' && have[1] == '.' && dot != NULL && dot != name &&
            strcmp(have + 1, dot) == 0) {
            best = 1;
        }
    }
    return best;
}

bool tls_context_has_name(const struct tls_context *ctx, const char *server_name) {
    for (size_t i = 0; i < ctx->certificate_count; i++) {
        if (name_match(&ctx->certificates[i], server_name) > 0) {
            return true;
        }
    }
    return false;
}

static bool share_a_name(const struct tls_certificate *a, const struct tls_certificate *b) {
    for (size_t i = 0; i < a->name_count; i++) {
        for (size_t j = 0; j < b->name_count; j++) {
            if (strcmp(a->names[i], b->names[j]) == 0) {
                return true;
            }
        }
    }
    return false;
}

/* Whether the certificate is a candidate: a match of quality `quality`, or with quality 0 (no
 * certificate has the name) the first certificate and those that share one of its names. */
static bool candidate(const struct tls_context *ctx, const struct tls_certificate *certificate,
                      const char *name, int quality) {
    if (quality > 0) {
        return name_match(certificate, name) == quality;
    }
    return certificate == ctx->certificates || share_a_name(certificate, ctx->certificates);
}

/* Among candidates: one that the client can verify and that is not heavy (ECDSA costs us a fifth of
 * RSA), then a heavy one that it can verify, then the first of all (the library will then find no
 * common suite). */
const struct tls_certificate *tls_context_choose(const struct tls_context *ctx,
                                                 const struct client_hello *hello) {
    bool tls13 = hello->offers_tls13 && ctx->tls_max >= CONFIG_TLS_1_3;
    const struct tls_certificate *any = NULL, *heavy = NULL;
    int quality = 0;
    if (ctx->certificate_count == 0) {
        return &ctx->bare;
    }
    for (size_t i = 0; i < ctx->certificate_count; i++) {
        int match = name_match(&ctx->certificates[i], hello->server_name);
        quality = match > quality ? match : quality;
    }
    for (size_t i = 0; i < ctx->certificate_count; i++) {
        const struct tls_certificate *certificate = &ctx->certificates[i];
        if (!candidate(ctx, certificate, hello->server_name, quality)) {
            continue;
        }
        any = any != NULL ? any : certificate;
        if (!verifiable(certificate, hello, tls13)) {
            continue;
        }
        if (!is_heavy_key(certificate->key)) {
            return certificate;
        }
        heavy = heavy != NULL ? heavy : certificate;
    }
    return heavy != NULL ? heavy : any;
}

bool tls_context_is_heavy(const struct tls_context *ctx, const struct client_hello *hello) {
    return ctx->heavy_clients || is_heavy_key(tls_context_choose(ctx, hello)->key);
}

enum tls_key_type tls_context_key_type(const struct tls_context *ctx,
                                       const struct client_hello *hello) {
    if (ctx->certificate_count == 0) {
        return TLS_KEY_PSK;
    }
    switch (tls_context_choose(ctx, hello)->key) {
    case X509_KEY_RSA:
        return TLS_KEY_RSA;
    case X509_KEY_P256:
    case X509_KEY_P384:
    case X509_KEY_P521:
        return TLS_KEY_ECDSA;
    case X509_KEY_ED25519:
    case X509_KEY_OTHER:
        break;
    }
    return TLS_KEY_OTHER;
}
