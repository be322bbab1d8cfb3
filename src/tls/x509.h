/* Reads certificates in DER, strictly and without allocating: RFC 5280, X.690.
 *
 * It only reads; path.h decides what a certificate is worth. Spans point into the caller's
 * bytes. */
#ifndef POSTERN_TLS_X509_H
#define POSTERN_TLS_X509_H

#include "tls/der.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum x509_key {
    X509_KEY_OTHER,
    X509_KEY_RSA,
    X509_KEY_P256,
    X509_KEY_P384,
    X509_KEY_P521,
    X509_KEY_ED25519
};

enum { X509_SERIAL_MAX = 20 }; /* RFC 5280 4.1.2.2 */

/* Bits of x509.key_usage: those of RFC 5280 4.2.1.3, counted from 0. */
enum { X509_DIGITAL_SIGNATURE = 1 << 0, X509_KEY_CERT_SIGN = 1 << 5, X509_CRL_SIGN = 1 << 6 };

/* What was signed, by which algorithm (whole DER of the AlgorithmIdentifier), and the signature. */
struct x509_signed {
    struct span body, algorithm, signature;
};

struct x509 {
    struct span der;     /* all of it */
    unsigned version;    /* 1, 2 or 3 */
    struct span serial;  /* magnitude, without leading zeros */
    struct span issuer;  /* whole DER of the Name, tag included */
    struct span subject; /* likewise */
    /* Equal names have equal hashes (x509_name.h). */
    uint32_t issuer_hash, subject_hash;
    bool self_issued;              /* issuer and subject are the same name */
    int64_t not_before, not_after; /* seconds since 1970 */
    enum x509_key key;
    unsigned key_bits;
    unsigned exponent_bits;  /* RSA */
    struct span public_key;  /* RSA: the modulus; others: the point */
    bool has_compressed_key; /* the point is in compressed form */
    struct span key_info;    /* whole DER of SubjectPublicKeyInfo */
    struct x509_signed signature;

    struct span subject_key_id, authority_key_id; /* empty: none, or none that can be read */
    struct span alt_names;        /* inside of GeneralNames; data NULL: no such extension */
    struct span name_constraints; /* inside of NameConstraints; likewise */
    bool is_ca;                   /* basicConstraints cA */
    bool has_path_length;
    uint32_t path_length;
    bool has_key_usage;
    unsigned key_usage;
    bool has_purposes;     /* extendedKeyUsage; then: */
    bool for_client_auth;  /* it has clientAuth, or any */
    bool for_server_auth;  /* it has serverAuth, or any */
    bool must_staple;      /* it asks for a stapled OCSP response */
    bool unknown_critical; /* a critical extension that is not understood here */
    /* Something that RFC 5280 forbids: an extension twice, one that cannot be read, one in a
     * certificate that is not version 3, two signature algorithms that differ. */
    bool malformed;
};

/* False if the bytes are not one whole certificate. */
bool x509_read(struct x509 *cert, const uint8_t *der, size_t len);

/* Whether an elliptic curve's point is in compressed form (SEC 1 2.3.3): x, and the parity of y. */
bool x509_is_compressed(struct span point);

/* Whether a CA is trusted to issue clients' certificates by what follows it in a TRUSTED
 * CERTIFICATE (pem_certificate), as OpenSSL reads that (X509_CERT_AUX): by clientAuth among the
 * purposes, if there are any, and not among the rejected ones. True for an empty span; false for
 * one that cannot be read. */
bool x509_trusts_clients(struct span trust);

/* Steps through GeneralNames. `type` is the context tag: */
enum { X509_ALT_EMAIL = 1, X509_ALT_DNS = 2, X509_ALT_NAME = 4, X509_ALT_URI = 6, X509_ALT_IP = 7 };
bool x509_next_alt_name(struct span *rest, unsigned *type, struct span *value);

/* Steps through Extensions: OID, critical, content of the OCTET STRING. */
bool x509_take_extension(struct span *list, struct span *oid, bool *critical, struct span *value);

#endif
