#include "tls/chain.h"
#include "core/log.h"
#include "tls/file_kind.h"
#include "tls/signature.h"
#include "tls/x509_name.h"

#include <string.h>

enum { FOUND_MAX = 32, SUBJECT_TEXT = 120 };

/* What the files have, in their order, each certificate once. */
struct found {
    struct chain_cert certs[FOUND_MAX];
    size_t count;
};

static bool is_found(const struct found *found, struct span der) {
    for (size_t i = 0; i < found->count; i++) {
        if (span_equal(found->certs[i].cert.der, der)) {
            return true; /* a full chain as certificate, and the chain named as well */
        }
    }
    return false;
}

static int add_block(struct found *found, const struct pem_block *block, const char *file,
                     size_t number, struct error *err) {
    struct span trust, der = pem_certificate(block, &trust);
    if (is_found(found, der)) {
        return 0;
    }
    if (found->count == FOUND_MAX) {
        return error_set(err, "%s: more than %d certificates", file, FOUND_MAX);
    }
    struct chain_cert *added = &found->certs[found->count];
    if (!x509_read(&added->cert, der.data, der.len)) {
        return error_set(err, "%s: certificate %zu is damaged", file, number);
    }
    added->file = file;
    found->count++;
    return 0;
}

static int add_file(struct found *found, const struct pem *pem, const char *file,
                    struct error *err) {
    size_t number = 0;
    for (size_t i = 0; i < pem->count; i++) {
        if (pem_is_certificate(&pem->blocks[i]) &&
            add_block(found, &pem->blocks[i], file, ++number, err) != 0) {
            return -1;
        }
    }
    if (number == 0) {
        return error_set(err, "%s: holds no certificate (\"-----BEGIN CERTIFICATE-----\")%s", file,
                         file_kind_hint(pem, FILE_CERTIFICATES));
    }
    return 0;
}

/* Keys that the library cannot use here may be those of a CA all the same. */
static bool can_check_with(const struct x509 *issuer) {
    switch (issuer->key) {
    case X509_KEY_RSA:
        return issuer->key_bits >= 2048 && issuer->key_bits <= 4096;
    case X509_KEY_P256:
    case X509_KEY_P384:
    case X509_KEY_P521:
        return !issuer->has_compressed_key;
    case X509_KEY_ED25519:
        return true;
    case X509_KEY_OTHER:
        break;
    }
    return false;
}

/* The name is not enough: a CA may have had other keys under the same name. */
static bool is_issuer(const struct x509 *issuer, const struct x509 *cert) {
    return x509_name_equal(issuer->subject, cert->issuer) &&
           (!can_check_with(issuer) ||
            signature_check(&cert->signature, issuer) != REASON_UNKNOWN_CA);
}

static bool has_twin(const struct chain *chain, const struct x509 *cert) {
    for (size_t i = 0; i < chain->count; i++) {
        if (x509_name_equal(chain->certs[i].cert.subject, cert->subject) &&
            span_equal(chain->certs[i].cert.key_info, cert->key_info)) {
            return true;
        }
    }
    return false;
}

static int refuse_order(const struct chain_cert *before, const struct chain_cert *found,
                        struct error *err) {
    char subject[SUBJECT_TEXT], issuer[SUBJECT_TEXT], next[SUBJECT_TEXT];
    x509_name_text(before->cert.subject, subject, sizeof subject);
    x509_name_text(before->cert.issuer, issuer, sizeof issuer);
    x509_name_text(found->cert.subject, next, sizeof next);
    return error_set(err,
                     "%s: the chain is in the wrong order: \"%s\" must be followed by its "
                     "issuer \"%s\", but \"%s\" comes next; the right order is the server's "
                     "certificate first, then each one's issuer",
                     found->file, subject, issuer, next);
}

/* `before`: the last certificate of the chain when this one came. */
static int leave_out(const struct chain *chain, const struct chain_cert *cert,
                     const struct chain_cert *before, struct error *err) {
    const struct x509 *last = &chain->certs[chain->count - 1].cert;
    char subject[SUBJECT_TEXT], child[SUBJECT_TEXT];
    x509_name_text(cert->cert.subject, subject, sizeof subject);
    if (has_twin(chain, &cert->cert)) {
        log_message(LOG_LEVEL_WARNING, "certificate ignored",
                    "%s: \"%s\" is not sent, as one with the same name and key comes before it; "
                    "remove it",
                    cert->file, subject);
        return 0;
    }
    if (is_issuer(&cert->cert, last) || is_issuer(&chain->certs[0].cert, &cert->cert)) {
        return refuse_order(before, cert, err);
    }
    x509_name_text(before->cert.subject, child, sizeof child);
    log_message(LOG_LEVEL_WARNING, "certificate ignored",
                "%s: \"%s\" is not sent, as it is not the issuer of \"%s\" before it; remove it",
                cert->file, subject, child);
    return 0;
}

static int order(struct chain *chain, const struct found *found, struct error *err) {
    /* How long the chain was when that certificate came; 0: it is part of it. */
    size_t length_at[FOUND_MAX] = {0};
    chain->certs[0] = found->certs[0];
    chain->count = 1;
    for (size_t i = 1; i < found->count; i++) {
        const struct chain_cert *next = &found->certs[i];
        length_at[i] = chain->count;
        if (has_twin(chain, &next->cert) ||
            !is_issuer(&next->cert, &chain->certs[chain->count - 1].cert)) {
            continue;
        }
        if (chain->count == CHAIN_MAX) {
            return error_set(err, "%s: the chain has more than %d certificates", next->file,
                             CHAIN_MAX);
        }
        length_at[i] = 0;
        chain->certs[chain->count++] = *next;
    }
    for (size_t i = 1; i < found->count; i++) {
        if (length_at[i] > 0 &&
            leave_out(chain, &found->certs[i], &chain->certs[length_at[i] - 1], err) != 0) {
            return -1;
        }
    }
    return 0;
}

int chain_build(struct chain *chain, const struct config_certificate *section,
                const struct pem *cert, const struct pem *more, struct error *err) {
    struct found found = {0};
    if (add_file(&found, cert, section->cert, err) != 0) {
        bool is_key = found.count == 0 && cert->count > 0 && pem_is_key(&cert->blocks[0]);
        bool is_twice = strcmp(section->cert, section->key) == 0;
        return !is_key ? -1
                       : error_append(err, is_twice ? "; name the file of the certificate in cert"
                                                    : "; exchange cert and key");
    }
    if ((section->chain != NULL && add_file(&found, more, section->chain, err) != 0) ||
        order(chain, &found, err) != 0) {
        return -1;
    }
    if (chain->count > 1 && chain->certs[chain->count - 1].cert.self_issued) {
        chain->count--;
    }
    return 0;
}
