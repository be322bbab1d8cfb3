#include "tls/client.h"
#include "core/log.h"
#include "tls/identity.h"
#include "tls/pem.h"
#include "tls/revocation.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <wolfssl/error-ssl.h>
#include <wolfssl/wolfcrypt/error-crypt.h>
#include <wolfssl/wolfcrypt/sha256.h>

struct ca {
    struct buf der;
    struct x509 cert; /* points into der */
};

struct tls_clients {
    struct ca *cas;
    size_t ca_count;
    struct revocation revocation;
    bool has_crl, refuse_expired_crl;
    bool required;
    uint8_t hash[TLS_HASH_SIZE];
};

static bool same(struct span a, struct span b) {
    return a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
}

static void warn_dates(const struct x509 *cert, const char *file, const char *subject) {
    int64_t now = (int64_t)time(NULL);
    if (now > cert->not_after) {
        log_message(LOG_LEVEL_WARNING, "certificate expired", "%s: the CA \"%s\" is expired", file,
                    subject);
    } else if (now < cert->not_before) {
        log_message(LOG_LEVEL_WARNING, "certificate not yet valid",
                    "%s: the CA \"%s\" is not valid yet; is the clock right?", file, subject);
    }
}

/* Takes the block's bytes over. */
static int add_ca(struct tls_clients *clients, struct pem_block *block, const char *file,
                  struct error *err) {
    struct ca *more = realloc(clients->cas, (clients->ca_count + 1) * sizeof *more);
    char subject[160];
    if (more == NULL) {
        return error_set(err, "out of memory");
    }
    clients->cas = more;
    struct ca *ca = &more[clients->ca_count++];
    ca->der = block->der;
    block->der = (struct buf){0};
    if (!x509_read(&ca->cert, ca->der.data, ca->der.len)) {
        return error_set(err, "%s: certificate %zu is damaged", file, clients->ca_count);
    }
    x509_name_text(ca->cert.subject, subject, sizeof subject);
    if (!ca->cert.is_ca) {
        return error_set(err,
                         "%s: \"%s\" is not the certificate of a CA (no basicConstraints "
                         "CA:TRUE); client_ca takes those that sign clients' certificates, not "
                         "the clients' own",
                         file, subject);
    }
    warn_dates(&ca->cert, file, subject);
    return 0;
}

static int load_cas(struct tls_clients *clients, const char *file, struct error *err) {
    struct pem pem;
    int result = 0;
    if (file == NULL) {
        return error_set(err, "client_auth asks for certificates, but no client_ca says whose");
    }
    if (pem_read(&pem, file, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < pem.count && result == 0; i++) {
        if (pem_is_certificate(&pem.blocks[i])) {
            result = add_ca(clients, &pem.blocks[i], file, err);
        }
    }
    pem_free(&pem);
    if (result == 0 && clients->ca_count == 0) {
        return error_set(err, "%s: holds no certificate (\"-----BEGIN CERTIFICATE-----\")", file);
    }
    return result;
}

/* The library's certificate manager with all our CAs in it. */
static WOLFSSL_CERT_MANAGER *make_manager(const struct tls_clients *clients) {
    WOLFSSL_CERT_MANAGER *manager = wolfSSL_CertManagerNew();
    for (size_t i = 0; manager != NULL && i < clients->ca_count; i++) {
        /* One that is expired does not load here; what it signed fails as it should. */
        (void)wolfSSL_CertManagerLoadCABuffer(manager, clients->cas[i].der.data,
                                              (long)clients->cas[i].der.len, WOLFSSL_FILETYPE_ASN1);
    }
    return manager;
}

/* There may be several CAs of one name, with the keys of different years. */
static int check_signer(const struct tls_clients *clients, const struct x509_crl *crl,
                        const char *issuer, struct error *err) {
    bool known = false;
    for (size_t i = 0; i < clients->ca_count; i++) {
        if (!same(clients->cas[i].cert.subject, crl->issuer)) {
            continue;
        }
        known = true;
        if (x509_crl_signed_by(crl, &clients->cas[i].cert)) {
            return 0;
        }
    }
    if (!known) {
        return error_set(err, "the list is by \"%s\", which is not in client_ca", issuer);
    }
    return error_set(err,
                     "the list of \"%s\" is not signed by the CA of that name in client_ca "
                     "(with RSA or ECDSA, and SHA-256 or better)",
                     issuer);
}

static int add_crl(struct tls_clients *clients, const struct buf *der, const char *file,
                   struct error *err) {
    struct x509_crl crl;
    char issuer[160];
    if (!x509_read_crl(&crl, der->data, der->len)) {
        return error_set(err, "a list in it is damaged");
    }
    x509_name_text(crl.issuer, issuer, sizeof issuer);
    if (crl.special) {
        return error_set(err,
                         "the list of \"%s\" is a partial or indirect one (it has a critical "
                         "extension); only complete ones can be used",
                         issuer);
    }
    if (check_signer(clients, &crl, issuer, err) != 0) {
        return -1;
    }
    if (crl.next_update != 0 && crl.next_update < (int64_t)time(NULL)) {
        log_message(LOG_LEVEL_WARNING, "crl expired",
                    "%s: the revocation list of \"%s\" is expired (older than it allows itself to "
                    "be); %s",
                    file, issuer,
                    clients->refuse_expired_crl
                        ? "crl_expired = refuse: no client of this CA is let in"
                        : "what it lists stays refused, what was revoked since is let in");
    }
    return revocation_add(&clients->revocation, &crl, err);
}

/* A CA without a list: what it signed is refused, as its state cannot be known. */
static void warn_missing(const struct tls_clients *clients, const char *file) {
    for (size_t i = 0; i < clients->ca_count; i++) {
        static const uint8_t one[] = {1};
        struct cert_id id;
        char subject[160];
        x509_name_text(clients->cas[i].cert.subject, subject, sizeof subject);
        if (revocation_id(&id, clients->cas[i].cert.subject, (struct span){one, 1}) &&
            revocation_by(&clients->revocation, &id) == NULL) {
            log_message(LOG_LEVEL_WARNING, "crl missing",
                        "%s: has no list by the CA \"%s\"; "
                        "certificates that it signed will be refused",
                        file, subject);
        }
    }
}

static int load_crls(struct tls_clients *clients, const char *file, struct error *err) {
    struct pem pem;
    size_t found = 0;
    int result = 0;
    if (pem_read(&pem, file, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < pem.count && result == 0; i++) {
        if (!pem_is_crl(&pem.blocks[i])) {
            continue;
        }
        found++;
        result = add_crl(clients, &pem.blocks[i].der, file, err);
        if (result != 0) {
            error_prefix(err, "%s", file);
        }
    }
    pem_free(&pem);
    if (result == 0 && found == 0) {
        return error_set(err, "%s: holds no revocation list (\"-----BEGIN X509 CRL-----\")", file);
    }
    if (result == 0) {
        revocation_sort(&clients->revocation);
        warn_missing(clients, file);
    }
    clients->has_crl = true;
    return result;
}

static int make_hash(struct tls_clients *clients, struct error *err) {
    const struct revocation *r = &clients->revocation;
    const uint8_t policy[] = {clients->has_crl, clients->refuse_expired_crl};
    wc_Sha256 sha;
    if (wc_InitSha256(&sha) != 0) {
        return error_set(err, "out of memory");
    }
    wc_Sha256Update(&sha, policy, sizeof policy);
    for (size_t i = 0; i < clients->ca_count; i++) {
        wc_Sha256Update(&sha, clients->cas[i].der.data, (word32)clients->cas[i].der.len);
    }
    for (size_t i = 0; i < r->issuer_count; i++) {
        wc_Sha256Update(&sha, (const byte *)&r->issuers[i], sizeof r->issuers[i]);
    }
    for (size_t i = 0; i < r->id_count; i++) {
        wc_Sha256Update(&sha, (const byte *)&r->ids[i], sizeof r->ids[i]);
    }
    wc_Sha256Final(&sha, clients->hash);
    wc_Sha256Free(&sha);
    return 0;
}

struct tls_clients *clients_load(const struct config_listener *listener, struct error *err) {
    struct tls_clients *clients = calloc(1, sizeof *clients);
    if (clients == NULL) {
        error_set(err, "out of memory");
        return NULL;
    }
    clients->required = listener->client_auth == CLIENT_AUTH_REQUIRED;
    clients->refuse_expired_crl = listener->crl_expired == CRL_EXPIRED_REFUSE;
    if (load_cas(clients, listener->client_ca, err) == 0 &&
        (listener->client_crl == NULL || load_crls(clients, listener->client_crl, err) == 0) &&
        make_hash(clients, err) == 0) {
        return clients;
    }
    clients_free(clients);
    return NULL;
}

void clients_free(struct tls_clients *clients) {
    if (clients == NULL) {
        return;
    }
    for (size_t i = 0; i < clients->ca_count; i++) {
        buf_free(&clients->cas[i].der);
    }
    free(clients->cas);
    revocation_free(&clients->revocation);
    free(clients);
}

const uint8_t *clients_hash(const struct tls_clients *clients) {
    return clients->hash;
}

bool clients_revoke(const struct tls_clients *clients, const struct cert_id *id) {
    return revocation_lists(&clients->revocation, id);
}

/* The library answers a refusal of ours with bad_certificate, whatever the reason. Where its own
 * way to send an alert can be reached (not in a shared library), a missing issuer is called by its
 * name first; a client takes the first fatal alert. */
int SendAlert(WOLFSSL *ssl, int severity, int type) __attribute__((weak));

static void call_unknown_ca_by_name(struct engine *e) {
    enum { FATAL = 2, UNKNOWN_CA = 48 };
    if (SendAlert != NULL && SendAlert(e->ssl, FATAL, UNKNOWN_CA) == 0) {
        e->alert = UNKNOWN_CA;
    }
}

/* Called by the library for each certificate of the client, its own (depth 0) last. */
static int on_verify(int verified, WOLFSSL_X509_STORE_CTX *store) {
    struct span chain[16];
    size_t count = 0;
    struct engine *e = store->userCtx;
    /* It is called for an empty list too; whether that will do is the library's decision. */
    if (!verified || store->error_depth != 0 || store->totalCerts == 0) {
        return verified;
    }
    for (; count < (size_t)store->totalCerts && count < 16; count++) {
        chain[count] = (struct span){store->certs[count].buffer, store->certs[count].length};
    }
    e->peer->refusal = clients_check(e->ctx, chain, count, e->peer);
    if (e->peer->refusal == REASON_UNKNOWN_CA) {
        call_unknown_ca_by_name(e);
    }
    return e->peer->refusal == REASON_NONE;
}

int clients_apply(const struct tls_clients *clients, WOLFSSL_CTX *ssl_ctx, struct error *err) {
    for (size_t i = 0; i < clients->ca_count; i++) {
        const struct ca *ca = &clients->cas[i];
        int code = wolfSSL_CTX_load_verify_buffer_ex(ssl_ctx, ca->der.data, (long)ca->der.len,
                                                     WOLFSSL_FILETYPE_ASN1, 0,
                                                     WOLFSSL_LOAD_FLAG_DATE_ERR_OKAY);
        if (code != WOLFSSL_SUCCESS) {
            char subject[160];
            x509_name_text(ca->cert.subject, subject, sizeof subject);
            return error_set(err,
                             "client_ca: the TLS library does not accept the CA \"%s\" "
                             "(code %d)",
                             subject, code);
        }
    }
    wolfSSL_CTX_set_verify(ssl_ctx,
                           WOLFSSL_VERIFY_PEER |
                               (clients->required ? WOLFSSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
                           on_verify);
    return 0;
}

void clients_unload(WOLFSSL_CTX *ssl_ctx) {
    (void)wolfSSL_CTX_UnloadCAs(ssl_ctx);
}

static bool is_trusted_issuer(const struct tls_clients *clients, struct span issuer) {
    for (size_t i = 0; i < clients->ca_count; i++) {
        if (same(clients->cas[i].cert.subject, issuer)) {
            return true;
        }
    }
    return false;
}

/* Whether a CA of ours with that name, or one above it, is itself listed as revoked. */
static bool trusted_is_revoked(const struct tls_clients *clients, struct span name) {
    for (size_t steps = 0; steps <= clients->ca_count; steps++) {
        const struct x509 *found = NULL;
        struct cert_id id;
        for (size_t i = 0; i < clients->ca_count && found == NULL; i++) {
            if (same(clients->cas[i].cert.subject, name)) {
                found = &clients->cas[i].cert;
            }
        }
        if (found == NULL || same(found->subject, found->issuer)) {
            return false;
        }
        if (!revocation_id(&id, found->issuer, found->serial) ||
            revocation_lists(&clients->revocation, &id)) {
            return true;
        }
        name = found->issuer;
    }
    return false;
}

static enum reason check_revocation(const struct tls_clients *clients, const struct x509 *cert) {
    struct cert_id id;
    if (!clients->has_crl) {
        return REASON_NONE;
    }
    if (!revocation_id(&id, cert->issuer, cert->serial) ||
        revocation_lists(&clients->revocation, &id)) {
        return REASON_REVOKED;
    }
    const struct revocation_issuer *by = revocation_by(&clients->revocation, &id);
    if (by == NULL || (clients->refuse_expired_crl && by->next_update < (int64_t)time(NULL))) {
        return REASON_REVOKED;
    }
    return trusted_is_revoked(clients, cert->issuer) ? REASON_REVOKED : REASON_NONE;
}

/* Verifies one certificate of the client's chain and, if it is a good CA, trusts what it signed. */
static enum reason add_intermediate(const struct tls_clients *clients,
                                    WOLFSSL_CERT_MANAGER *manager, struct span der,
                                    struct client_cert *peer) {
    struct x509 cert;
    if (!x509_read(&cert, der.data, der.len) || !cert.is_ca) {
        return REASON_UNKNOWN_CA;
    }
    int code =
        wolfSSL_CertManagerVerifyBuffer(manager, der.data, (long)der.len, WOLFSSL_FILETYPE_ASN1);
    if (code != WOLFSSL_SUCCESS) {
        return failure_reason(code);
    }
    enum reason reason = check_revocation(clients, &cert);
    if (reason != REASON_NONE) {
        return reason;
    }
    if (wolfSSL_CertManagerLoadCABuffer(manager, der.data, (long)der.len, WOLFSSL_FILETYPE_ASN1) !=
        WOLFSSL_SUCCESS) {
        return REASON_UNKNOWN_CA;
    }
    if (cert.not_after < peer->not_after) {
        peer->not_after = cert.not_after;
    }
    return REASON_NONE;
}

/* A chain with intermediates is verified again, with nothing but our CAs and what the client sent.
 * The library remembers intermediates of earlier clients for as long as the context lives, and
 * would trust one that was left out now because it is expired or revoked. */
static enum reason check_chain(const struct tls_clients *clients, const struct span *chain,
                               size_t count, struct client_cert *peer) {
    WOLFSSL_CERT_MANAGER *manager = make_manager(clients);
    enum reason seen = REASON_UNKNOWN_CA;
    if (manager == NULL) {
        return REASON_OUT_OF_MEMORY;
    }
    for (size_t i = count; i-- > 1;) {
        enum reason reason = add_intermediate(clients, manager, chain[i], peer);
        if (reason != REASON_NONE && reason != REASON_PROTOCOL_ERROR) {
            seen = reason;
        }
    }
    int code = wolfSSL_CertManagerVerifyBuffer(manager, chain[0].data, (long)chain[0].len,
                                               WOLFSSL_FILETYPE_ASN1);
    wolfSSL_CertManagerFree(manager);
    if (code == WOLFSSL_SUCCESS) {
        return REASON_NONE;
    }
    enum reason reason = failure_reason(code);
    return reason == REASON_UNKNOWN_CA ? seen : reason;
}

static bool fill(const struct tls_context *ctx, const struct x509 *leaf, struct span der,
                 struct client_cert *peer) {
    char common_name[TLS_IDENTITY_MAX + 1];
    peer->has_identity = identity_read(ctx->identity, leaf, der, peer->text);
    peer->has_common_name = identity_common_name(leaf, common_name);
    if (peer->has_common_name) {
        bool shared = peer->has_identity && strcmp(common_name, peer->text) == 0;
        size_t at = shared || !peer->has_identity ? 0 : strlen(peer->text) + 1;
        peer->common_name = (uint16_t)at;
        memcpy(peer->text + at, common_name, strlen(common_name) + 1);
    }
    peer->not_after = leaf->not_after;
    return revocation_id(&peer->id, leaf->issuer, leaf->serial);
}

enum reason clients_check(const struct tls_context *ctx, const struct span *chain, size_t count,
                          struct client_cert *peer) {
    const struct tls_clients *clients = ctx->clients;
    struct x509 leaf;
    if (clients == NULL || count == 0 || !x509_read(&leaf, chain[0].data, chain[0].len) ||
        !fill(ctx, &leaf, chain[0], peer)) {
        return REASON_PROTOCOL_ERROR;
    }
    enum reason reason = check_revocation(clients, &leaf);
    if (reason == REASON_NONE && !is_trusted_issuer(clients, leaf.issuer)) {
        reason = check_chain(clients, chain, count, peer);
    }
    if (reason == REASON_NONE && ctx->identity_required && !peer->has_identity) {
        reason = REASON_BAD_IDENTITY;
    }
    peer->presented = reason == REASON_NONE;
    return reason;
}
