#include "tls/private_key.h"
#include "tls/file_kind.h"
#include "tls/signature.h"

#include <string.h>

#include <wolfssl/wolfcrypt/asn_public.h>
#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/random.h>
#include <wolfssl/wolfcrypt/rsa.h>
#include <wolfssl/wolfcrypt/signature.h>

static const char pkcs8[] = "PRIVATE KEY", sec1[] = "EC PRIVATE KEY";

/* A key as the library is given it. */
struct key {
    const char *label;
    struct span der;
    struct buf made; /* the bytes, where they are not those of the file */
    struct buf text; /* as PEM */
};

static void key_wipe(struct key *key) {
    file_wipe(&key->made);
    file_wipe(&key->text);
}

static const struct pem_block *find(const struct pem *pem, const char *file, struct error *err) {
    const struct pem_block *key = NULL;
    for (size_t i = 0; i < pem->count; i++) {
        if (!pem_is_key(&pem->blocks[i])) {
            continue;
        }
        if (key != NULL) {
            error_set(err, "%s: holds more than one private key", file);
            return NULL;
        }
        key = &pem->blocks[i];
    }
    if (key == NULL) {
        error_set(err, "%s: holds no private key (\"-----BEGIN PRIVATE KEY-----\")%s", file,
                  file_kind_hint(pem, FILE_KEY));
    } else if (pem_is_encrypted(key)) {
        error_set(err,
                  "%s: the private key is encrypted; store it without a pass phrase "
                  "(openssl pkey -in OLD -out NEW) and protect the file instead",
                  file);
        return NULL;
    }
    return key;
}

/* --- compressed points --- */

/* Of the curves that are supported; what is written with them has lengths of one byte. */
enum { SECRET_MAX = 48, CURVE_MAX = 16 };

/* What an ECPrivateKey (RFC 5915 3), alone or in PKCS#8 (RFC 5208 5), is made of. */
struct ec_parts {
    struct span secret;
    struct span curve; /* whole DER of its OID */
    bool compressed;   /* it has its point as well, in compressed form */
};

static bool take_pkcs8(struct span *key, struct span *curve) {
    struct span inner, algorithm, oid, wrapped;
    uint32_t version;
    if (!der_take_tag(key, DER_SEQUENCE, &inner) || !der_take_number(&inner, &version) ||
        !der_take_tag(&inner, DER_SEQUENCE, &algorithm) ||
        !der_take_tag(&algorithm, DER_OID, &oid) || !der_take_whole(&algorithm, DER_OID, curve) ||
        !der_take_tag(&inner, DER_OCTET_STRING, &wrapped)) {
        return false;
    }
    *key = wrapped;
    return true;
}

static bool read_ec(struct ec_parts *parts, const struct pem_block *block) {
    enum { CURVE = DER_CONTEXT_CONSTRUCTED | 0, POINT = DER_CONTEXT_CONSTRUCTED | 1 };
    struct span key = {block->der.data, block->der.len}, inner, wrapped, bits;
    uint32_t version;
    memset(parts, 0, sizeof *parts);
    if (strcmp(block->label, pkcs8) == 0 && !take_pkcs8(&key, &parts->curve)) {
        return false;
    }
    if (!der_take_tag(&key, DER_SEQUENCE, &inner) || !der_take_number(&inner, &version) ||
        !der_take_tag(&inner, DER_OCTET_STRING, &parts->secret)) {
        return false;
    }
    if (der_take_tag(&inner, CURVE, &wrapped) &&
        !der_take_whole(&wrapped, DER_OID, &parts->curve)) {
        return false;
    }
    parts->compressed = der_take_tag(&inner, POINT, &wrapped) &&
                        der_take_tag(&wrapped, DER_BIT_STRING, &bits) && bits.len > 1 &&
                        x509_is_compressed((struct span){bits.data + 1, bits.len - 1});
    return parts->secret.len <= SECRET_MAX && parts->curve.len <= CURVE_MAX;
}

/* The same key without its point. */
static bool write_ec(struct buf *out, const struct ec_parts *parts) {
    size_t secret = parts->secret.len, curve = parts->curve.len;
    const uint8_t head[] = {
        DER_SEQUENCE,   (uint8_t)(3 + 2 + secret + 2 + curve), DER_INTEGER, 1, 1, DER_OCTET_STRING,
        (uint8_t)secret};
    const uint8_t tail[] = {DER_CONTEXT_CONSTRUCTED | 0, (uint8_t)curve};
    return buf_reserve(out, 128, SIZE_MAX) && buf_append(out, head, sizeof head, SIZE_MAX) &&
           buf_append(out, parts->secret.data, secret, SIZE_MAX) &&
           buf_append(out, tail, sizeof tail, SIZE_MAX) &&
           buf_append(out, parts->curve.data, curve, SIZE_MAX);
}

/* The library cannot read compressed points, so one of those is left out: in a private key the
 * point is there for convenience. */
static bool key_prepare(struct key *key, const struct pem_block *block) {
    struct ec_parts parts;
    *key = (struct key){.label = block->label, .der = {block->der.data, block->der.len}};
    if (read_ec(&parts, block) && parts.compressed) {
        if (!write_ec(&key->made, &parts)) {
            return false;
        }
        key->label = sec1;
        key->der = (struct span){key->made.data, key->made.len};
    }
    return pem_write(&key->text, key->label, key->der);
}

/* --- checks --- */

static bool is_sound(const struct key *key) {
    WOLFSSL_CTX *empty = wolfSSL_CTX_new(wolfSSLv23_server_method());
    bool sound = empty != NULL &&
                 wolfSSL_CTX_use_PrivateKey_buffer(empty, key->text.data, (long)key->text.len,
                                                   WOLFSSL_FILETYPE_PEM) == WOLFSSL_SUCCESS;
    wolfSSL_CTX_free(empty);
    return sound;
}

/* How well a key goes with a certificate. */
enum fit { FIT_NOT, FIT_DAMAGED, FIT_GOOD };

/* Whether what the key signs is valid by the certificate. */
static bool rsa_signs(RsaKey *key, const struct x509 *leaf) {
    static const uint8_t body[] = "a text to sign",
                         rsa_sha256[] = {0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
                                         0xf7, 0x0d, 0x01, 0x01, 0x0b, 0x05, 0x00};
    uint8_t signature[512];
    word32 len = sizeof signature;
    WC_RNG rng;
    if (wc_InitRng(&rng) != 0) {
        return false;
    }
    bool is_signed =
        wc_SignatureGenerate(WC_HASH_TYPE_SHA256, WC_SIGNATURE_TYPE_RSA_W_ENC, body, sizeof body,
                             signature, &len, key, sizeof *key, &rng) == 0;
    wc_FreeRng(&rng);
    const struct x509_signed what = {.body = {body, sizeof body},
                                     .algorithm = {rsa_sha256, sizeof rsa_sha256},
                                     .signature = {signature, len}};
    return is_signed && signature_check(&what, leaf) == REASON_NONE;
}

/* Of a damaged key the modulus may be right and all parts decode: only a signature shows it. */
static enum fit rsa_fit(const struct x509 *leaf, struct span der, word32 at) {
    RsaKey key;
    uint8_t e[8], n[512];
    word32 e_len = sizeof e, n_len = sizeof n;
    enum fit fit = FIT_NOT;
    if (wc_InitRsaKey(&key, NULL) != 0) {
        return FIT_NOT;
    }
    if (wc_RsaPrivateKeyDecode(der.data, &at, &key, (word32)der.len) == 0 &&
        wc_RsaFlattenPublicKey(&key, e, &e_len, n, &n_len) == 0 &&
        span_equal(leaf->public_key, (struct span){n, n_len})) {
        fit = rsa_signs(&key, leaf) ? FIT_GOOD : FIT_DAMAGED;
    }
    wc_FreeRsaKey(&key);
    return fit;
}

/* `whole` is uncompressed, as the library writes points; the certificate's need not be. */
static bool is_same_point(const struct x509 *leaf, struct span whole) {
    struct span point = leaf->public_key;
    if (!leaf->has_compressed_key) {
        return span_equal(point, whole);
    }
    return point.len == 1 + whole.len / 2 &&
           memcmp(point.data + 1, whole.data + 1, point.len - 1) == 0 &&
           (point.data[0] & 1) == (whole.data[whole.len - 1] & 1);
}

static enum fit ecc_fit(const struct x509 *leaf, struct span der, word32 at) {
    ecc_key key;
    uint8_t point[1 + 2 * 66];
    word32 point_len = sizeof point;
    if (wc_ecc_init(&key) != 0) {
        return FIT_NOT;
    }
    bool fits = wc_EccPrivateKeyDecode(der.data, &at, &key, (word32)der.len) == 0 &&
                wc_ecc_make_pub(&key, NULL) == 0 &&
                wc_ecc_export_x963(&key, point, &point_len) == 0 &&
                is_same_point(leaf, (struct span){point, point_len});
    wc_ecc_free(&key);
    return fits ? FIT_GOOD : FIT_NOT;
}

/* The library's own check does not compare the keys in every version. */
static enum fit key_fit(const struct x509 *leaf, const struct key *key) {
    word32 at = 0;
    if (strcmp(key->label, pkcs8) == 0 &&
        wc_GetPkcs8TraditionalOffset((byte *)(uintptr_t)key->der.data, &at, (word32)key->der.len) <
            0) {
        return FIT_NOT;
    }
    switch (leaf->key) {
    case X509_KEY_RSA:
        return rsa_fit(leaf, key->der, at);
    case X509_KEY_P256:
    case X509_KEY_P384:
    case X509_KEY_P521:
        return ecc_fit(leaf, key->der, at);
    case X509_KEY_ED25519:
    case X509_KEY_OTHER: /* not for a server's certificate (certificate.c) */
        break;
    }
    return FIT_NOT;
}

static int check(const struct key *key, const char *file, const struct x509 *leaf,
                 const char *owner, struct error *err) {
    if (!is_sound(key)) {
        return error_set(err,
                         "%s: the private key is damaged, or of a kind that is not supported; "
                         "use RSA, ECDSA P-256 or ECDSA P-384",
                         file);
    }
    switch (key_fit(leaf, key)) {
    case FIT_GOOD:
        return 0;
    case FIT_DAMAGED:
        return error_set(err,
                         "%s: the private key is damaged: it belongs to the certificate of %s, but "
                         "its signatures are not valid; openssl pkey -in FILE -check -noout says "
                         "why",
                         file, owner);
    case FIT_NOT:
        break;
    }
    return error_set(err,
                     "%s: the key does not belong to the certificate of %s; install the key and "
                     "the certificate of one renewal together",
                     file, owner);
}

/* The library gets a single block: it cannot read a key that follows EC PARAMETERS. */
int private_key_use(WOLFSSL_CTX *ssl_ctx, const struct pem *pem, const char *file,
                    const struct x509 *leaf, const char *owner, struct error *err) {
    const struct pem_block *block = find(pem, file, err);
    struct key key;
    int result = -1;
    if (block == NULL) {
        return -1;
    }
    if (!key_prepare(&key, block)) {
        error_set(err, "out of memory");
    } else if (check(&key, file, leaf, owner, err) == 0) {
        result = wolfSSL_CTX_use_PrivateKey_buffer(ssl_ctx, key.text.data, (long)key.text.len,
                                                   WOLFSSL_FILETYPE_PEM) == WOLFSSL_SUCCESS
                     ? 0
                     : error_set(err, "%s: the TLS library does not accept the private key", file);
    }
    key_wipe(&key);
    return result;
}
