#include "tls/signature.h"
#include "tls/wolfssl.h"

#include <stdlib.h>

#include <wolfssl/wolfcrypt/asn_public.h>
#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/ed25519.h>
#include <wolfssl/wolfcrypt/error-crypt.h>
#include <wolfssl/wolfcrypt/rsa.h>
#include <wolfssl/wolfcrypt/signature.h>

enum { SALT_MAX = 1024 };

enum scheme { SCHEME_RSA, SCHEME_PSS, SCHEME_ECDSA, SCHEME_ED25519 };

struct algorithm {
    enum scheme scheme;
    enum wc_HashType hash;
    int salt_len; /* PSS */
};

struct known {
    const char *oid;
    size_t len;
    enum scheme scheme;
    enum wc_HashType hash; /* WC_HASH_TYPE_NONE: too weak to be supported */
};

#define RSA_OID(last)   "\x2a\x86\x48\x86\xf7\x0d\x01\x01" last, 9
#define ECDSA_OID(last) "\x2a\x86\x48\xce\x3d\x04\x03" last, 8

static const struct known known[] = {
    {RSA_OID("\x0b"), SCHEME_RSA, WC_HASH_TYPE_SHA256},
    {RSA_OID("\x0c"), SCHEME_RSA, WC_HASH_TYPE_SHA384},
    {RSA_OID("\x0d"), SCHEME_RSA, WC_HASH_TYPE_SHA512},
    {RSA_OID("\x0a"), SCHEME_PSS, WC_HASH_TYPE_SHA256}, /* its parameters say which */
    {ECDSA_OID("\x02"), SCHEME_ECDSA, WC_HASH_TYPE_SHA256},
    {ECDSA_OID("\x03"), SCHEME_ECDSA, WC_HASH_TYPE_SHA384},
    {ECDSA_OID("\x04"), SCHEME_ECDSA, WC_HASH_TYPE_SHA512},
    {"\x2b\x65\x70", 3, SCHEME_ED25519, WC_HASH_TYPE_SHA512},
    {RSA_OID("\x02"), SCHEME_RSA, WC_HASH_TYPE_NONE},                     /* MD2 */
    {RSA_OID("\x04"), SCHEME_RSA, WC_HASH_TYPE_NONE},                     /* MD5 */
    {RSA_OID("\x05"), SCHEME_RSA, WC_HASH_TYPE_NONE},                     /* SHA-1 */
    {RSA_OID("\x0e"), SCHEME_RSA, WC_HASH_TYPE_NONE},                     /* SHA-224 */
    {ECDSA_OID("\x01"), SCHEME_ECDSA, WC_HASH_TYPE_NONE},                 /* SHA-224 */
    {"\x2a\x86\x48\xce\x3d\x04\x01", 7, SCHEME_ECDSA, WC_HASH_TYPE_NONE}, /* SHA-1 */
};

/* NULL or nothing: RFC 4055 5 asks for NULL with RSA, RFC 5758 3.2 for nothing with ECDSA. */
static bool has_plain_parameters(struct span rest) {
    struct span content;
    return rest.len == 0 || (der_take_tag(&rest, 0x05, &content) && content.len + rest.len == 0);
}

static enum wc_HashType hash_of(struct span algorithm) {
    struct span inner, oid;
    if (!der_take_tag(&algorithm, DER_SEQUENCE, &inner) || !der_take_tag(&inner, DER_OID, &oid) ||
        !has_plain_parameters(inner) || oid.len != 9 ||
        !der_is_oid((struct span){oid.data, 8}, "\x60\x86\x48\x01\x65\x03\x04\x02", 8)) {
        return WC_HASH_TYPE_NONE;
    }
    switch (oid.data[8]) {
    case 1:
        return WC_HASH_TYPE_SHA256;
    case 2:
        return WC_HASH_TYPE_SHA384;
    case 3:
        return WC_HASH_TYPE_SHA512;
    default:
        return WC_HASH_TYPE_NONE;
    }
}

/* RSASSA-PSS-params (RFC 4055 3.1), as everybody writes them: one hash for both uses. Their default
 * is SHA-1. */
static enum reason read_pss(struct algorithm *out, struct span rest) {
    struct span params, wrapped, mgf, oid, trailer;
    uint32_t salt = 20, field = 1;
    if (!der_take_tag(&rest, DER_SEQUENCE, &params) || rest.len != 0 ||
        !der_take_tag(&params, DER_CONTEXT_CONSTRUCTED | 0, &wrapped)) {
        return REASON_WEAK_SIGNATURE;
    }
    out->hash = hash_of(wrapped);
    if (out->hash == WC_HASH_TYPE_NONE ||
        !der_take_tag(&params, DER_CONTEXT_CONSTRUCTED | 1, &wrapped)) {
        return REASON_WEAK_SIGNATURE;
    }
    if (!der_take_tag(&wrapped, DER_SEQUENCE, &mgf) || !der_take_tag(&mgf, DER_OID, &oid) ||
        !DER_IS_OID(oid, "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x08") || hash_of(mgf) != out->hash) {
        return REASON_KEY_TYPE;
    }
    if (der_take_tag(&params, DER_CONTEXT_CONSTRUCTED | 2, &wrapped) &&
        (!der_take_number(&wrapped, &salt) || salt > SALT_MAX)) {
        return REASON_KEY_TYPE;
    }
    if (der_take_tag(&params, DER_CONTEXT_CONSTRUCTED | 3, &trailer) &&
        !der_take_number(&trailer, &field)) {
        return REASON_KEY_TYPE;
    }
    out->salt_len = (int)salt;
    return field == 1 && params.len == 0 ? REASON_NONE : REASON_KEY_TYPE;
}

static enum reason read_algorithm(struct algorithm *out, struct span whole) {
    struct span rest, oid;
    if (!der_take_tag(&whole, DER_SEQUENCE, &rest) || !der_take_tag(&rest, DER_OID, &oid)) {
        return REASON_KEY_TYPE;
    }
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (!der_is_oid(oid, known[i].oid, known[i].len)) {
            continue;
        }
        *out = (struct algorithm){.scheme = known[i].scheme, .hash = known[i].hash};
        if (known[i].hash == WC_HASH_TYPE_NONE) {
            return REASON_WEAK_SIGNATURE;
        }
        if (known[i].scheme == SCHEME_PSS) {
            return read_pss(out, rest);
        }
        return has_plain_parameters(rest) ? REASON_NONE : REASON_KEY_TYPE;
    }
    return REASON_KEY_TYPE;
}

enum reason signature_algorithm_check(const struct x509_signed *what) {
    struct algorithm algorithm;
    return read_algorithm(&algorithm, what->algorithm);
}

static bool check_pss(const struct algorithm *algorithm, struct span signature,
                      const struct signature_digest *digest, RsaKey *key) {
    uint8_t plain[1024];
    int mgf = algorithm->hash == WC_HASH_TYPE_SHA256   ? WC_MGF1SHA256
              : algorithm->hash == WC_HASH_TYPE_SHA384 ? WC_MGF1SHA384
                                                       : WC_MGF1SHA512;
    if (signature.len > sizeof plain) {
        return false;
    }
    /* The input is only read; before 5.7 its parameter lacks the const. */
    byte *in = (byte *)(uintptr_t)signature.data;
    int len = wc_RsaPSS_Verify_ex(in, (word32)signature.len, plain, sizeof plain, algorithm->hash,
                                  mgf, algorithm->salt_len, key);
    return len > 0 && wc_RsaPSS_CheckPadding_ex(digest->data, (word32)digest->len, plain,
                                                (word32)len, algorithm->hash, algorithm->salt_len,
                                                wc_RsaEncryptSize(key) * 8) == 0;
}

/* PKCS #1 v1.5: the hash with the name of its algorithm in front (RFC 8017 9.2). */
static bool check_pkcs1(const struct algorithm *algorithm, struct span signature,
                        const struct signature_digest *digest, RsaKey *key) {
    uint8_t encoded[sizeof digest->data + 32];
    word32 len = wc_EncodeSignature(encoded, digest->data, (word32)digest->len,
                                    wc_HashGetOID(algorithm->hash));
    return len > digest->len && len <= sizeof encoded &&
           wc_SignatureVerifyHash(algorithm->hash, WC_SIGNATURE_TYPE_RSA_W_ENC, encoded, len,
                                  signature.data, (word32)signature.len, key, sizeof *key) == 0;
}

static enum reason check_rsa(const struct algorithm *algorithm, struct span signature,
                             const struct signature_digest *digest, const struct x509 *issuer) {
    RsaKey *key = malloc(sizeof *key); /* up to 9 KB, more than a second stack should carry */
    word32 at = 0;
    if (key == NULL || wc_InitRsaKey(key, NULL) != 0) {
        free(key);
        return REASON_OUT_OF_MEMORY;
    }
    bool good =
        wc_RsaPublicKeyDecode(issuer->key_info.data, &at, key, (word32)issuer->key_info.len) == 0 &&
        (algorithm->scheme == SCHEME_PSS ? check_pss(algorithm, signature, digest, key)
                                         : check_pkcs1(algorithm, signature, digest, key));
    wc_FreeRsaKey(key);
    free(key);
    return good ? REASON_NONE : REASON_UNKNOWN_CA;
}

static enum reason check_ecdsa(const struct algorithm *algorithm, struct span signature,
                               const struct signature_digest *digest, const struct x509 *issuer) {
    ecc_key *key = malloc(sizeof *key);
    word32 at = 0;
    if (key == NULL || wc_ecc_init(key) != 0) {
        free(key);
        return REASON_OUT_OF_MEMORY;
    }
    bool good =
        wc_EccPublicKeyDecode(issuer->key_info.data, &at, key, (word32)issuer->key_info.len) == 0 &&
        wc_SignatureVerifyHash(algorithm->hash, WC_SIGNATURE_TYPE_ECC, digest->data,
                               (word32)digest->len, signature.data, (word32)signature.len, key,
                               sizeof *key) == 0;
    wc_ecc_free(key);
    free(key);
    return good ? REASON_NONE : REASON_UNKNOWN_CA;
}

static enum reason check_ed25519(const struct x509_signed *what, const struct x509 *issuer) {
    ed25519_key key;
    int is_good = 0;
    if (wc_ed25519_init(&key) != 0) {
        return REASON_OUT_OF_MEMORY;
    }
    bool done = wc_ed25519_import_public(issuer->public_key.data, (word32)issuer->public_key.len,
                                         &key) == 0 &&
                wc_ed25519_verify_msg(what->signature.data, (word32)what->signature.len,
                                      what->body.data, (word32)what->body.len, &is_good, &key) == 0;
    wc_ed25519_free(&key);
    return done && is_good == 1 ? REASON_NONE : REASON_UNKNOWN_CA;
}

static void make_digest(const struct algorithm *algorithm, struct span body,
                        struct signature_digest *digest) {
    int len = wc_HashGetDigestSize(algorithm->hash);
    digest->len = 0;
    if (algorithm->scheme != SCHEME_ED25519 && len > 0 && (size_t)len <= sizeof digest->data &&
        wc_Hash(algorithm->hash, body.data, (word32)body.len, digest->data, (word32)len) == 0) {
        digest->len = (size_t)len;
    }
}

void signature_digest(const struct x509_signed *what, struct signature_digest *digest) {
    struct algorithm algorithm;
    digest->len = 0;
    if (read_algorithm(&algorithm, what->algorithm) == REASON_NONE) {
        make_digest(&algorithm, what->body, digest);
    }
}

static bool is_key_for(const struct algorithm *algorithm, const struct x509 *issuer) {
    const enum scheme scheme = algorithm->scheme;
    switch (issuer->key) {
    case X509_KEY_RSA:
        return scheme == SCHEME_RSA || scheme == SCHEME_PSS;
    case X509_KEY_P256:
    case X509_KEY_P384:
    case X509_KEY_P521:
        return scheme == SCHEME_ECDSA;
    case X509_KEY_ED25519:
        return scheme == SCHEME_ED25519;
    case X509_KEY_OTHER:
        break;
    }
    return false;
}

enum reason signature_check_digest(const struct x509_signed *what,
                                   const struct signature_digest *digest,
                                   const struct x509 *issuer) {
    struct algorithm algorithm;
    struct signature_digest own;
    enum reason reason = read_algorithm(&algorithm, what->algorithm);
    if (reason != REASON_NONE || !is_key_for(&algorithm, issuer)) {
        return reason != REASON_NONE ? reason : REASON_UNKNOWN_CA;
    }
    if (algorithm.scheme == SCHEME_ED25519) {
        return check_ed25519(what, issuer);
    }
    if (digest == NULL || digest->len == 0) {
        make_digest(&algorithm, what->body, &own);
        digest = &own;
    }
    if (digest->len == 0) {
        return REASON_OUT_OF_MEMORY;
    }
    switch (algorithm.scheme) {
    case SCHEME_RSA:
    case SCHEME_PSS:
        return check_rsa(&algorithm, what->signature, digest, issuer);
    case SCHEME_ECDSA:
        return check_ecdsa(&algorithm, what->signature, digest, issuer);
    case SCHEME_ED25519: /* above: it hashes the text itself */
        break;
    }
    return REASON_UNKNOWN_CA;
}

enum reason signature_check(const struct x509_signed *what, const struct x509 *issuer) {
    return signature_check_digest(what, NULL, issuer);
}
