#include "tls/client_store.h"
#include "core/log.h"
#include "tls/file_kind.h"
#include "tls/path.h"
#include "tls/pem.h"
#include "tls/signature.h"
#include "tls/x509_name.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <wolfssl/wolfcrypt/sha256.h>

enum { SUBJECT_TEXT = 160 };

/* --- CAs --- */

/* Why a CA cannot be used, for the log; NULL if it can, or could at another time. */
static const char *unusable(const struct x509 *cert) {
    switch (path_anchor_check(cert, cert->not_before)) {
    case REASON_NONE:
    case REASON_EXPIRED:
        return NULL;
    case REASON_UNKNOWN_CA:
        return "is not the certificate of a CA (no basicConstraints CA:TRUE); client_ca takes "
               "those that sign clients' certificates, not the clients' own";
    case REASON_V1_CERTIFICATE:
        return "is not an X.509 version 3 certificate, so it cannot say that it is a CA";
    case REASON_WRONG_USAGE:
        return "is a CA that may not issue client certificates (keyUsage without keyCertSign, or "
               "extendedKeyUsage without clientAuth)";
    case REASON_CRITICAL_EXTENSION:
        return "has a critical extension that is not supported";
    case REASON_KEY_TYPE:
        return "has a key of a type that is not supported (RSA, ECDSA with P-256, P-384 and P-521 "
               "and uncompressed points, and Ed25519 are)";
    case REASON_WEAK_KEY:
        return "has an RSA key below 2048 bits";
    case REASON_TOO_LARGE:
        return "has an RSA key above 8192 bits, or one with an exponent above 64 bits";
    default:
        return "is not encoded as RFC 5280 asks";
    }
}

static void warn_dates(const struct x509 *cert, const char *file, const char *subject) {
    int64_t now = (int64_t)time(NULL);
    if (now > cert->not_after) {
        log_message(
            LOG_LEVEL_WARNING, "certificate expired",
            "%s: the CA \"%s\" is expired: its clients are refused; renew it, or set the clock",
            file, subject);
    } else if (now < cert->not_before) {
        log_message(LOG_LEVEL_WARNING, "certificate not yet valid",
                    "%s: the CA \"%s\" is not valid yet; is the clock right?", file, subject);
    }
}

/* Takes the block's bytes over. What cannot be used is left in `why`. */
static int add_ca(struct tls_clients *clients, struct pem_block *block, const char *file,
                  struct error *why) {
    struct ca ca = {.der = block->der};
    char subject[SUBJECT_TEXT];
    struct span trust, der = pem_certificate(block, &trust);
    if (!x509_read(&ca.cert, der.data, der.len)) {
        return error_set(why, "%s: a certificate in it is damaged", file);
    }
    x509_name_text(ca.cert.subject, subject, sizeof subject);
    const char *fault = unusable(&ca.cert);
    if (fault == NULL && !x509_trusts_clients(trust)) {
        fault = "is marked as not trusted to issue client certificates; openssl x509 -in OLD -out "
                "NEW removes the mark";
    }
    if (fault != NULL) {
        return error_set(why, "%s: \"%s\" %s", file, subject, fault);
    }
    if (!revocation_hash(&ca.cert, ca.hash)) {
        return error_set(why, "out of memory");
    }
    if (expiries_add_certificate(&clients->expiries, TLS_EXPIRY_CA, file, &ca.cert, why) != 0) {
        return -1;
    }
    struct ca *more = realloc(clients->cas, (clients->ca_count + 1) * sizeof *more);
    if (more == NULL) {
        return error_set(why, "out of memory");
    }
    block->der = (struct buf){0};
    clients->cas = more;
    more[clients->ca_count++] = ca;
    warn_dates(&ca.cert, file, subject);
    return 0;
}

static int list_anchors(struct tls_clients *clients, struct error *err) {
    clients->anchors = calloc(clients->ca_count, sizeof *clients->anchors);
    if (clients->anchors == NULL) {
        return error_set(err, "out of memory");
    }
    for (size_t i = 0; i < clients->ca_count; i++) {
        clients->anchors[i] = &clients->cas[i].cert;
    }
    return 0;
}

static void warn_ignored(const struct error *why) {
    if (why->text[0] != '\0') {
        log_message(LOG_LEVEL_WARNING, "ca ignored", "%s", why->text);
    }
}

/* A CA that cannot be used is ignored, as long as there is another. The last such CA is reported
 * when it is known whether it is the error or a warning, and only once. */
static int load_cas(struct tls_clients *clients, const char *file, struct error *err) {
    struct pem pem;
    size_t found = 0;
    struct error why = {""}, last = {""};
    if (pem_read(&pem, file, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < pem.count; i++) {
        if (!pem_is_certificate(&pem.blocks[i])) {
            continue;
        }
        found++;
        if (add_ca(clients, &pem.blocks[i], file, &why) != 0) {
            warn_ignored(&last);
            last = why;
        }
    }
    const char *hint = file_kind_hint(&pem, FILE_CERTIFICATES);
    pem_free(&pem);
    if (found == 0) {
        return error_set(err, "%s: holds no certificate (\"-----BEGIN CERTIFICATE-----\")%s", file,
                         hint);
    }
    if (clients->ca_count == 0) {
        *err = last;
        return -1;
    }
    warn_ignored(&last);
    return list_anchors(clients, err);
}

/* --- CRLs --- */

bool clients_may_sign_lists(const struct x509 *cert) {
    return !cert->has_key_usage || (cert->key_usage & X509_CRL_SIGN) != 0;
}

/* Without a digest, for each check. */
static unsigned reading_work(const struct held_crl *held) {
    enum { BYTES_A_MICROSECOND = 250 }; /* of SHA-512, rounded down */
    return held->digest.len > 0 ? 0
                                : (unsigned)(held->crl.signature.body.len / BYTES_A_MICROSECOND);
}

unsigned clients_list_work(const struct held_crl *held, const struct x509 *issuer) {
    return path_work(issuer) + (issuer->key == X509_KEY_ED25519 ? reading_work(held) : 0);
}

/* Which of our CAs signed the list. There may be several of one name, with the keys of different
 * years. */
static const struct x509 *find_signer(const struct tls_clients *clients, const struct crl *crl,
                                      bool *known) {
    *known = false;
    for (size_t i = 0; i < clients->ca_count; i++) {
        const struct x509 *cert = &clients->cas[i].cert;
        if (!x509_name_equal(cert->subject, crl->issuer)) {
            continue;
        }
        *known = true;
        if (clients_may_sign_lists(cert) && signature_check(&crl->signature, cert) == REASON_NONE) {
            return cert;
        }
    }
    return NULL;
}

static void warn_stale(const struct tls_clients *clients, const struct crl *crl, const char *file,
                       const char *issuer) {
    if (crl->next_update != 0 && crl->next_update < (int64_t)time(NULL)) {
        log_message(LOG_LEVEL_WARNING, "crl expired",
                    "%s: the revocation list of \"%s\" is expired (older than it allows itself to "
                    "be); %s",
                    file, issuer,
                    clients->refuse_expired_crl
                        ? "crl_expired = refuse: no client of this CA is let in"
                        : "what it lists stays refused, what was revoked since is let in");
    }
}

/* Takes the block's bytes over. The list is checked when a client brings its CA. */
static int hold_crl(struct tls_clients *clients, struct pem_block *block, const char *file,
                    const char *issuer, struct error *err) {
    struct held_crl *more = realloc(clients->held, (clients->held_count + 1) * sizeof *more);
    if (more == NULL) {
        return error_set(err, "out of memory");
    }
    clients->held = more;
    struct held_crl *held = &more[clients->held_count];
    memset(held, 0, sizeof *held);
    held->der = block->der;
    block->der = (struct buf){0};
    atomic_init(&held->is_signed, false);
    (void)crl_read(&held->crl, held->der.data, held->der.len); /* it was read before */
    signature_digest(&held->crl.signature, &held->digest);
    clients->held_work += reading_work(held);
    log_message(LOG_LEVEL_WARNING, "crl of another ca",
                "%s: has a list by \"%s\", which is not in client_ca; it counts for clients that "
                "send a CA of that name along",
                file, issuer);
    return revocation_hold(&clients->revocation, &held->crl, (uint32_t)clients->held_count++, err);
}

static int add_signed_crl(struct tls_clients *clients, const struct crl *crl,
                          const struct x509 *signer, struct error *err) {
    if (revocation_add(&clients->revocation, crl, signer, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < clients->ca_count; i++) {
        const struct x509 *same = &clients->cas[i].cert;
        if (x509_name_equal(same->subject, crl->issuer) &&
            revocation_share(&clients->revocation, crl, signer, same, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int add_crl(struct tls_clients *clients, struct pem_block *block, const char *file,
                   struct error *err) {
    struct crl crl;
    bool known;
    char issuer[SUBJECT_TEXT];
    if (!crl_read(&crl, block->der.data, block->der.len)) {
        return error_set(err, "a list in it is damaged");
    }
    x509_name_text(crl.issuer, issuer, sizeof issuer);
    if (crl.special) {
        return error_set(err,
                         "the list of \"%s\" is a partial or indirect one (it has a critical "
                         "extension); only complete ones can be used",
                         issuer);
    }
    warn_stale(clients, &crl, file, issuer);
    if (expiries_add_crl(&clients->expiries, file, &crl, err) != 0) {
        return -1;
    }
    const struct x509 *signer = find_signer(clients, &crl, &known);
    if (signer != NULL) {
        return add_signed_crl(clients, &crl, signer, err);
    }
    if (known) {
        return error_set(err,
                         "the list of \"%s\" is not signed by the CA of that name in client_ca, or "
                         "that may not sign lists (keyUsage without cRLSign)",
                         issuer);
    }
    return hold_crl(clients, block, file, issuer, err);
}

/* A CA without a list: what it signed is refused, as its state cannot be known. */
static void warn_missing(const struct tls_clients *clients, const char *file) {
    for (size_t i = 0; i < clients->ca_count; i++) {
        static const uint8_t one[] = {1};
        struct cert_id id;
        int64_t next_update;
        char subject[SUBJECT_TEXT];
        const struct x509 *cert = &clients->cas[i].cert;
        if (revocation_id(&id, cert, (struct span){one, 1}) &&
            !revocation_by(&clients->revocation, &id, false, &next_update)) {
            x509_name_text(cert->subject, subject, sizeof subject);
            log_message(LOG_LEVEL_WARNING, "crl missing",
                        "%s: has no list by the CA \"%s\"; "
                        "certificates that it signed will be refused",
                        file, subject);
        }
    }
}

/* Whether one CA here issued another, by name; wrong guesses only refuse. */
static bool is_below(const struct ca *ca, const struct ca *issuer) {
    return ca != issuer && !ca->cert.self_issued &&
           x509_name_equal(ca->cert.issuer, issuer->cert.subject);
}

/* Marks CAs that a list of another CA here revokes, and those below them. */
static void mark_revoked(struct tls_clients *clients) {
    bool changed = true;
    while (changed) {
        changed = false;
        for (size_t i = 0; i < clients->ca_count; i++) {
            struct ca *ca = &clients->cas[i];
            for (size_t j = 0; j < clients->ca_count && !ca->revoked; j++) {
                const struct ca *issuer = &clients->cas[j];
                struct cert_id id;
                if (!is_below(ca, issuer)) {
                    continue;
                }
                ca->revoked =
                    issuer->revoked || (revocation_id(&id, &issuer->cert, ca->cert.serial) &&
                                        revocation_lists(&clients->revocation, &id));
                changed |= ca->revoked;
            }
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
        result = add_crl(clients, &pem.blocks[i], file, err);
        if (result != 0) {
            error_prefix(err, "%s", file);
        }
    }
    const char *hint = file_kind_hint(&pem, FILE_LISTS);
    pem_free(&pem);
    if (result == 0 && found == 0) {
        return error_set(err, "%s: holds no revocation list (\"-----BEGIN X509 CRL-----\")%s", file,
                         hint);
    }
    if (result == 0) {
        revocation_sort(&clients->revocation);
        mark_revoked(clients);
        warn_missing(clients, file);
    }
    clients->has_crl = true;
    return result;
}

/* --- all of it --- */

/* Field by field: what lies between them may be anything. */
static void hash_issuer(wc_Sha256 *sha, const struct revocation_issuer *issuer) {
    const uint8_t covers[] = {issuer->users, issuer->cas};
    wc_Sha256Update(sha, issuer->hash, sizeof issuer->hash);
    wc_Sha256Update(sha, issuer->signer, sizeof issuer->signer);
    wc_Sha256Update(sha, (const byte *)&issuer->next_update, sizeof issuer->next_update);
    wc_Sha256Update(sha, covers, sizeof covers);
}

static int make_hash(struct tls_clients *clients, struct error *err) {
    const struct revocation *r = &clients->revocation;
    const uint8_t policy[] = {clients->has_crl, clients->refuse_expired_crl, clients->accept_v1,
                              clients->allow != NULL};
    wc_Sha256 sha;
    if (wc_InitSha256(&sha) != 0) {
        return error_set(err, "out of memory");
    }
    wc_Sha256Update(&sha, policy, sizeof policy);
    if (clients->psk != NULL) { /* without one, tickets of earlier releases stay good */
        static const char label[] = "psk_file";
        wc_Sha256Update(&sha, (const byte *)label, sizeof label);
        /* Who came in beside keys is to show one where there is nothing else any more. */
        wc_Sha256Update(&sha, &(const byte){clients->required}, 1);
    }
    for (size_t i = 0; i < clients->ca_count; i++) {
        wc_Sha256Update(&sha, clients->cas[i].der.data, (word32)clients->cas[i].der.len);
    }
    for (size_t i = 0; i < r->issuer_count; i++) {
        hash_issuer(&sha, &r->issuers[i]);
    }
    for (size_t i = 0; i < clients->held_count; i++) {
        wc_Sha256Update(&sha, clients->held[i].der.data, (word32)clients->held[i].der.len);
    }
    for (size_t i = 0; i < r->id_count; i++) {
        wc_Sha256Update(&sha, (const byte *)&r->ids[i], sizeof r->ids[i]);
    }
    wc_Sha256Final(&sha, clients->hash);
    wc_Sha256Free(&sha);
    return 0;
}

static int load_allow(struct tls_clients *clients, const char *file, struct error *err) {
    clients->allow = allow_list_read(file, clients->ca_count > 0, err);
    return clients->allow != NULL ? 0 : -1;
}

/* Loads the file of one key, if there is one; a failure names the key. */
static int load_file(struct tls_clients *clients, const char *key, const char *file,
                     int (*load)(struct tls_clients *clients, const char *file, struct error *err),
                     struct error *err) {
    return file == NULL || load(clients, file, err) == 0 ? 0 : error_prefix(err, "%s", key);
}

static int load_psk(struct tls_clients *clients, const struct config_listener *listener,
                    struct error *err) {
    if (listener->psk_file == NULL) {
        return 0;
    }
    clients->psk = psk_list_read(listener->psk_file, config_gives_names(listener), err);
    return clients->psk != NULL ? 0 : error_prefix(err, "psk_file");
}

static int load_files(struct tls_clients *clients, const struct config_listener *listener,
                      struct error *err) {
    if (load_psk(clients, listener, err) != 0) {
        return -1;
    }
    if (!clients->asks) {
        return 0;
    }
    if (listener->client_ca == NULL && listener->client_allow == NULL) {
        return error_set(err, "client_auth asks for certificates, but neither client_ca nor "
                              "client_allow says whose");
    }
    if (load_file(clients, "client_ca", listener->client_ca, load_cas, err) != 0 ||
        load_file(clients, "client_crl", listener->client_crl, load_crls, err) != 0) {
        return -1;
    }
    return load_file(clients, "client_allow", listener->client_allow, load_allow, err);
}

struct tls_clients *clients_load(const struct config_listener *listener, struct error *err) {
    struct tls_clients *clients = calloc(1, sizeof *clients);
    if (clients == NULL) {
        error_set(err, "out of memory");
        return NULL;
    }
    pthread_mutex_init(&clients->held_lock, NULL);
    clients->asks = listener->client_auth != CLIENT_AUTH_NONE && listener->certificate_count > 0;
    clients->required =
        listener->client_auth == CLIENT_AUTH_REQUIRED || listener->certificate_count == 0;
    clients->accept_v1 = listener->client_x509_v1 == X509_V1_ACCEPT;
    atomic_init(&clients->v1_seen, false);
    clients->refuse_expired_crl = listener->crl_expired == CRL_EXPIRED_REFUSE;
    if (load_files(clients, listener, err) == 0 && make_hash(clients, err) == 0) {
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
    for (size_t i = 0; i < clients->held_count; i++) {
        buf_free(&clients->held[i].der);
    }
    free(clients->held);
    pthread_mutex_destroy(&clients->held_lock);
    free(clients->anchors);
    allow_list_free(clients->allow);
    psk_list_free(clients->psk);
    revocation_free(&clients->revocation);
    expiries_free(&clients->expiries);
    free(clients);
}

const uint8_t *clients_hash(const struct tls_clients *clients) {
    return clients->hash;
}
