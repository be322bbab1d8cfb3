#include "tls/client.h"
#include "core/log.h"
#include "tls/client_allow.h"
#include "tls/client_store.h"
#include "tls/identity.h"
#include "tls/path.h"
#include "tls/psk.h"
#include "tls/quirks.h"
#include "tls/signature.h"
#include "tls/x509_name.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <wolfssl/error-ssl.h>
#include <wolfssl/wolfcrypt/error-crypt.h>

enum { SUBJECT_TEXT = 160, LISTS_WORK_MAX = 1200 };

/* --- the decision --- */

/* One client's. The signatures of lists are paid for apart from those of certificates; to read each
 * list once is added, as how long they are is the operator's choice. */
struct decision {
    struct tls_clients *clients;
    unsigned lists_work; /* path_work that is left for them */
    /* When the first of the lists ends that the last path was checked by and that must not. */
    int64_t lists_end;
};

static enum reason check_signature(void *arg, const struct x509 *cert, const struct x509 *issuer) {
    (void)arg;
    quirks_may_pause();
    return signature_check(&cert->signature, issuer);
}

static enum reason check_anchor(const struct tls_clients *clients, const struct x509 *anchor) {
    for (size_t i = 0; i < clients->ca_count; i++) {
        if (&clients->cas[i].cert == anchor && clients->cas[i].revoked) {
            return REASON_REVOKED;
        }
    }
    return REASON_NONE;
}

/* Whether a list that was held can be by this CA, which a client sent along. */
static bool is_list_for(const struct held_crl *held, const struct x509 *cert,
                        const struct x509 *issuer) {
    return (cert->is_ca ? held->crl.covers_cas : held->crl.covers_users) &&
           x509_name_equal(held->crl.issuer, issuer->subject) && clients_may_sign_lists(issuer);
}

/* Whether it is. That it is, is remembered for the first that was found; that it is not is never
 * concluded from that: the same CA can have its name written in another way, and anybody can
 * certify its key. */
static bool is_list_of(struct tls_clients *clients, struct held_crl *held,
                       const struct x509 *issuer, const struct cert_id *id) {
    if (atomic_load(&held->is_signed) &&
        memcmp(held->signer, id->issuer_hash, TLS_ISSUER_HASH_SIZE) == 0) {
        return true;
    }
    quirks_may_pause();
    if (signature_check_digest(&held->crl.signature, &held->digest, issuer) != REASON_NONE) {
        return false;
    }
    pthread_mutex_lock(&clients->held_lock);
    if (!atomic_load(&held->is_signed)) {
        memcpy(held->signer, id->issuer_hash, TLS_ISSUER_HASH_SIZE);
        atomic_store(&held->is_signed, true);
    }
    pthread_mutex_unlock(&clients->held_lock);
    return true;
}

/* The client chose the CA's key, so it may be an expensive one. It pays for a list that was checked
 * before as well: what is remembered must not change a decision. */
static bool pay_for_list(struct decision *decision, const struct held_crl *held,
                         const struct x509 *issuer) {
    unsigned work = clients_list_work(held, issuer);
    bool enough = work <= decision->lists_work;
    decision->lists_work = enough ? decision->lists_work - work : 0;
    return enough;
}

/* With the list, of several the last, by which a certificate is not revoked. */
static enum reason check_end(struct decision *decision, int64_t next_update) {
    if (!decision->clients->refuse_expired_crl) {
        return REASON_NONE;
    }
    if (next_update < (int64_t)time(NULL)) {
        return REASON_NO_CRL;
    }
    decision->lists_end = next_update < decision->lists_end ? next_update : decision->lists_end;
    return REASON_NONE;
}

/* By the lists of CAs that clients bring. */
static enum reason check_held(struct decision *decision, const struct x509 *cert,
                              const struct x509 *issuer, const struct cert_id *id) {
    struct tls_clients *clients = decision->clients;
    bool found = false;
    int64_t last = INT64_MIN;
    for (size_t i = 0; i < clients->held_count; i++) {
        struct held_crl *held = &clients->held[i];
        int64_t next_update = held->crl.next_update != 0 ? held->crl.next_update : INT64_MAX;
        if (!is_list_for(held, cert, issuer)) {
            continue;
        }
        if (!pay_for_list(decision, held, issuer)) {
            return REASON_TOO_LARGE;
        }
        if (!is_list_of(clients, held, issuer, id)) {
            continue;
        }
        if (revocation_held_lists(&clients->revocation, (uint32_t)i, id)) {
            return REASON_REVOKED;
        }
        found = true;
        last = next_update > last ? next_update : last;
    }
    return found ? check_end(decision, last) : REASON_NO_CRL;
}

static enum reason check_revocation(void *arg, const struct x509 *cert, const struct x509 *issuer) {
    struct decision *decision = arg;
    struct tls_clients *clients = decision->clients;
    struct cert_id id;
    int64_t next_update;
    if (!clients->has_crl) {
        return REASON_NONE;
    }
    if (issuer == NULL) { /* a path is asked about from here on */
        decision->lists_end = INT64_MAX;
        return check_anchor(clients, cert);
    }
    if (!revocation_id(&id, issuer, cert->serial) || revocation_lists(&clients->revocation, &id)) {
        return REASON_REVOKED;
    }
    if (!revocation_by(&clients->revocation, &id, cert->is_ca, &next_update)) {
        return check_held(decision, cert, issuer, &id);
    }
    return check_end(decision, next_update);
}

_Static_assert(TLS_ISSUERS_MAX == PATH_SENT_MAX - 1, "as many CAs as a client may send");

/* The CAs that the client sent: those of the path but for the anchor. */
static enum reason keep_issuers(const struct path *path, struct client_cert *peer) {
    for (size_t i = 1; i + 1 < path->count; i++) {
        struct cert_id id;
        if (!revocation_id(&id, path->certs[i + 1], path->certs[i]->serial)) {
            return REASON_OUT_OF_MEMORY; /* the serial is short enough, as it is in a path */
        }
        client_cert_add_issuer(peer, &id);
    }
    return REASON_NONE;
}

static enum reason fill(const struct tls_context *ctx, const struct path *path, int64_t lists_end,
                        struct client_cert *peer) {
    const struct tls_clients *clients = ctx->clients;
    const struct x509 *leaf = path->certs[0];
    const struct x509 *issuer = path->count > 1 ? path->certs[1] : leaf;
    peer->issuer_count = 0;
    peer->has_identity =
        clients->ca_count > 0 && identity_read(ctx->identity, leaf, leaf->der, peer->text);
    peer->not_after = path->not_after < lists_end ? path->not_after : lists_end;
    if (!revocation_id(&peer->id, issuer, leaf->serial)) {
        return REASON_BAD_ENCODING;
    }
    enum reason reason = client_allow_check(clients, leaf, peer);
    bool nameless = ctx->identity_required && !peer->has_identity;
    if (reason == REASON_NONE && nameless) {
        return REASON_BAD_IDENTITY;
    }
    return reason == REASON_NONE && ctx->keeps_issuers ? keep_issuers(path, peer) : reason;
}

/* Anybody may have made one of version 1 a CA, as it cannot say that it is none; so it is never an
 * issuer here. Still it is a sign of tools that should be looked at. */
static void warn_v1(struct tls_clients *clients, const struct x509 *leaf) {
    char subject[SUBJECT_TEXT];
    if (leaf->version == 1 && !atomic_exchange(&clients->v1_seen, true)) {
        x509_name_text(leaf->subject, subject, sizeof subject);
        log_message(
            LOG_LEVEL_WARNING, "client certificate version 1",
            "a client has an X.509 version 1 certificate (\"%s\"), which says nothing about "
            "its use; issue certificates with extensions (extendedKeyUsage = clientAuth), "
            "then set client_x509_v1 = refuse",
            subject);
    }
}

/* "CN=device, O=Example (depth 0)" */
static void name_blamed(const struct path *path, struct client_cert *peer) {
    if (path->blamed != NULL) {
        char subject[SUBJECT_TEXT];
        x509_name_text(path->blamed->subject, subject, sizeof subject);
        snprintf(peer->text, TLS_IDENTITY_MAX + 1, "%s (depth %zu)", subject, path->depth);
        peer->has_detail = true;
    }
}

static enum reason decide(const struct tls_context *ctx, const struct x509 *sent, size_t count,
                          struct client_cert *peer) {
    struct tls_clients *clients = ctx->clients;
    struct decision decision = {.clients = clients,
                                .lists_work = LISTS_WORK_MAX + clients->held_work,
                                .lists_end = INT64_MAX};
    struct path_rules rules = {.anchors = clients->anchors,
                               .anchor_count = clients->ca_count,
                               .now = (int64_t)time(NULL),
                               .accept_v1 = clients->accept_v1,
                               .signed_by = check_signature,
                               .revoked = check_revocation,
                               .arg = &decision};
    struct path path;
    enum reason reason = clients->ca_count > 0 ? path_build(&rules, sent, count, &path)
                                               : path_pinned(&rules, sent, &path);
    if (reason == REASON_NONE) {
        reason = fill(ctx, &path, decision.lists_end, peer);
        path.blamed = path.certs[0];
    }
    if (reason == REASON_NONE) {
        warn_v1(clients, &sent[0]);
    } else {
        peer->has_identity = false;
        peer->issuer_count = 0;
        name_blamed(&path, peer);
    }
    if (reason == REASON_NOT_ALLOWED) {
        client_allow_append_hint(sent, peer);
    }
    return reason;
}

enum reason clients_check(const struct tls_context *ctx, const struct span *chain, size_t count,
                          struct client_cert *peer) {
    if (ctx->clients == NULL || count == 0) {
        return REASON_PROTOCOL_ERROR;
    }
    if (count > PATH_SENT_MAX) {
        return REASON_TOO_LARGE;
    }
    struct x509 *sent = calloc(count, sizeof *sent);
    size_t read = 0;
    enum reason reason = REASON_BAD_ENCODING;
    if (sent == NULL) {
        return REASON_OUT_OF_MEMORY;
    }
    /* One that cannot be read cannot be part of a path; without the client's own there is none. */
    for (size_t i = 0; i < count && (i == 0 || read > 0); i++) {
        read += x509_read(&sent[read], chain[i].data, chain[i].len);
    }
    if (read > 0) {
        reason = decide(ctx, sent, read, peer);
    }
    free(sent);
    peer->presented = reason == REASON_NONE;
    return reason;
}

/* --- again --- */

struct client_chain {
    size_t count;
    struct span certs[]; /* they point into what follows the last of them */
};

/* NULL without memory. */
static struct client_chain *copy_chain(const struct span *certs, size_t count) {
    size_t head = sizeof(struct client_chain) + count * sizeof *certs, size = head;
    for (size_t i = 0; i < count; i++) {
        size += certs[i].len;
    }
    struct client_chain *chain = malloc(size);
    if (chain == NULL) {
        return NULL;
    }
    uint8_t *at = (uint8_t *)chain + head;
    chain->count = count;
    for (size_t i = 0; i < count; i++) {
        memcpy(at, certs[i].data, certs[i].len);
        chain->certs[i] = (struct span){at, certs[i].len};
        at += certs[i].len;
    }
    return chain;
}

void client_chain_free(struct client_chain *chain) {
    free(chain);
}

/* Whether its issuer is in client_ca and revoked, in every certificate that it has there. */
static bool is_issuer_revoked(const struct tls_clients *clients, const struct cert_id *id) {
    bool revoked = false;
    for (size_t i = 0; i < clients->ca_count; i++) {
        const struct ca *ca = &clients->cas[i];
        if (memcmp(ca->hash, id->issuer_hash, sizeof ca->hash) == 0) {
            if (!ca->revoked) {
                return false;
            }
            revoked = true;
        }
    }
    return revoked;
}

static bool is_revoked(const struct tls_clients *clients, const struct cert_id *id) {
    return revocation_lists(&clients->revocation, id) || is_issuer_revoked(clients, id);
}

enum reason clients_recheck(const struct tls_clients *clients, const struct client_cert *peer) {
    if (peer->psk) {
        bool stands =
            clients->psk != NULL && psk_list_has(clients->psk, peer->text, peer->key_hash);
        return stands ? REASON_NONE : REASON_UNKNOWN_PSK;
    }
    if (!clients->asks) {
        return clients->required ? REASON_NO_CERTIFICATE_GIVEN : REASON_NONE;
    }
    const struct cert_id *issuers = client_cert_issuers(peer);
    bool revoked = is_revoked(clients, &peer->id);
    for (size_t i = 0; i < peer->issuer_count && !revoked; i++) {
        revoked = is_revoked(clients, &issuers[i]);
    }
    if (revoked) {
        return REASON_REVOKED;
    }
    return client_allow_still(clients, peer) ? REASON_NONE : REASON_NOT_ALLOWED;
}

enum reason clients_check_late(const struct tls_context *ctx, struct client_cert *peer,
                               bool resumed) {
    const struct tls_context *newer = peer->newer;
    enum reason reason;
    if (newer == NULL || (newer->clients == NULL && !peer->psk)) {
        return REASON_NONE;
    }
    if (peer->psk) {
        bool has_keys = newer->clients != NULL;
        reason = has_keys ? clients_recheck(newer->clients, peer) : REASON_UNKNOWN_PSK;
        peer->has_detail = reason != REASON_NONE;
        return reason;
    }
    if (!newer->clients->asks) {
        return newer->clients->required ? REASON_NO_CERTIFICATE_GIVEN : REASON_NONE;
    }
    if (peer->presented) {
        return clients_check(newer, peer->chain->certs, peer->chain->count, peer);
    }
    if (!resumed || peer->id.serial_len == 0) {
        return newer->clients->required ? REASON_NO_CERTIFICATE_GIVEN : REASON_NONE;
    }
    reason = clients_recheck(newer->clients, peer);
    bool same = memcmp(newer->policy, ctx->policy, sizeof ctx->policy) == 0;
    return reason == REASON_NONE && !same ? REASON_NO_CERTIFICATE_GIVEN : reason;
}

bool clients_resume(const struct tls_context *ctx, const struct client_cert *peer) {
    if (!peer->psk && (ctx->clients == NULL || peer->id.serial_len == 0)) {
        return true;
    }
    return ctx->clients != NULL && clients_recheck(ctx->clients, peer) == REASON_NONE;
}

/* --- the library's callback --- */

/* Without the first, certificates that the library likes would not be shown to us; without the
 * second, it would keep intermediates for later clients. Debian's build has both. */
#if !defined(WOLFSSL_ALWAYS_VERIFY_CB) || !defined(WOLFSSL_ALT_CERT_CHAINS)
#error "wolfSSL must be built with WOLFSSL_ALWAYS_VERIFY_CB and WOLFSSL_ALT_CERT_CHAINS"
#endif

static void send_alert(struct engine *e, enum reason reason) {
    uint8_t alert = failure_alert(reason);
    if (alert != 0 && quirks_send_alert(e->ssl, alert)) {
        e->alert = alert;
    }
}

/* What the library says of any certificate when its certificate manager is empty, which it is: it
 * knows no issuer. With any other error it may not have the client's key, and about a CA it might
 * then keep it (ProcessPeerCerts in its internal.c: with WOLFSSL_ALT_CERT_CHAINS these two are the
 * errors after which nothing is kept). */
static bool is_missing_issuer(int code) {
#ifdef OPENSSL_COMPATIBLE_DEFAULTS /* then it is given in OpenSSL's numbers, as in Debian's build  \
                                    */
    enum { SELF_SIGNED = 18, NO_SIGNER = 20 };
    if (code == NO_SIGNER || code == SELF_SIGNED) {
        return true;
    }
#endif
    return code == ASN_NO_SIGNER_E || code == ASN_SELF_SIGNED_E;
}

/* What the library could not read, for whichever reason. */
static enum reason unreadable_reason(int code) {
    enum reason reason = failure_of(code).reason;
    return reason == REASON_PROTOCOL_ERROR ? REASON_BAD_ENCODING : reason;
}

static bool refuse(struct engine *e, enum reason reason) {
    e->peer->presented = false;
    if (e->peer->refusal == REASON_NONE) {
        e->peer->refusal = reason;
        send_alert(e, reason);
    }
    return false;
}

/* The library calls this for certificates that came with the client's own (depth above 0) only
 * where they do not please it, and for the client's own last of all: when it could not verify it,
 * which it never can, and again when it has read the key. */
static int on_verify(int verified, WOLFSSL_X509_STORE_CTX *store) {
    struct span chain[PATH_SENT_MAX];
    struct engine *e = store->userCtx;
    /* It is called for an empty list too; whether that will do is the library's decision. */
    if (store->totalCerts == 0) {
        return verified;
    }
    if (!verified && !is_missing_issuer(store->error)) {
        return refuse(e, unreadable_reason(store->error));
    }
    if (store->error_depth != 0 || e->peer->presented) {
        return true;
    }
    if (e->peer->refusal != REASON_NONE || store->totalCerts > PATH_SENT_MAX) {
        return refuse(e, REASON_TOO_LARGE);
    }
    for (int i = 0; i < store->totalCerts; i++) {
        chain[i] = (struct span){store->certs[i].buffer, store->certs[i].length};
    }
    enum reason reason = clients_check(e->ctx, chain, (size_t)store->totalCerts, e->peer);
    if (reason == REASON_NONE) {
        e->peer->chain = copy_chain(chain, (size_t)store->totalCerts);
        reason = e->peer->chain != NULL ? REASON_NONE : REASON_OUT_OF_MEMORY;
    }
    return reason == REASON_NONE || refuse(e, reason);
}

bool clients_are_heavy(const struct tls_clients *clients) {
    enum { HEAVY = 200 };
    for (size_t i = 0; i < clients->ca_count; i++) {
        if (path_work(&clients->cas[i].cert) > HEAVY) {
            return true;
        }
    }
    return false;
}

void clients_apply(const struct tls_clients *clients, WOLFSSL_CTX *ssl_ctx) {
    if (clients->psk != NULL) {
        psk_attach(ssl_ctx);
    }
    if (!clients->asks) {
        wolfSSL_CTX_set_verify(ssl_ctx, WOLFSSL_VERIFY_NONE, NULL);
        return;
    }
    wolfSSL_CTX_set_verify(ssl_ctx,
                           WOLFSSL_VERIFY_PEER |
                               (clients->required ? WOLFSSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
                           on_verify);
}
