/* Reads what we need from certificates and CRLs in DER: names, dates, serials, kinds of key.
 *
 * Verifying certificates is the library's work; this only reads, strictly, and never allocates.
 * Spans point into the caller's bytes. RFC 5280, X.690. */
#ifndef POSTERN_TLS_X509_H
#define POSTERN_TLS_X509_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct span {
    const uint8_t *data;
    size_t len;
};

enum x509_key { X509_KEY_OTHER, X509_KEY_RSA, X509_KEY_P256, X509_KEY_P384 };

struct x509 {
    struct span serial;            /* magnitude, without leading zeros */
    struct span issuer;            /* whole DER of the Name, tag included */
    struct span subject;           /* likewise */
    int64_t not_before, not_after; /* seconds since 1970 */
    enum x509_key key;
    unsigned key_bits;
    struct span public_key; /* RSA: the modulus; ECDSA: the point */
    struct span key_info;   /* whole DER of SubjectPublicKeyInfo */
    struct span alt_names;  /* inside of GeneralNames; empty: no such extension */
    bool is_ca;             /* basicConstraints cA */
};

/* False if the bytes are not one whole certificate. */
bool x509_read(struct x509 *cert, const uint8_t *der, size_t len);

/* Steps through subjectAltName. `type` is the context tag: */
enum { X509_ALT_DNS = 2, X509_ALT_URI = 6, X509_ALT_IP = 7 };
bool x509_next_alt_name(struct span *rest, unsigned *type, struct span *value);

/* How many commonName attributes the Name has; `value` is set to the first, `tag` to its ASN.1
 * string type. */
size_t x509_common_name(struct span name, struct span *value, uint8_t *tag);

/* "CN=mqtt.example.org, O=Example", cut to fit; what is not printable ASCII becomes '?'. */
void x509_name_text(struct span name, char *out, size_t cap);

struct x509_crl {
    struct span issuer;
    int64_t this_update, next_update; /* next_update 0: none given */
    struct span revoked;              /* inside of revokedCertificates */
    struct span signed_part, signature_oid, signature;
    bool special; /* has a critical extension (partial, indirect or delta CRL): cannot be used */
};
bool x509_read_crl(struct x509_crl *crl, const uint8_t *der, size_t len);
/* Whether the list was signed with that key (RSA PKCS #1 or ECDSA, with SHA-2). */
bool x509_crl_signed_by(const struct x509_crl *crl, const struct x509 *issuer);
/* Steps through the revoked serials. False at the end; `*bad` tells whether it was a fault. */
bool x509_next_revoked(struct span *rest, struct span *serial, bool *bad);

#endif
