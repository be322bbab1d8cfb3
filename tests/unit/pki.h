/* Certificates, keys and CRLs made by OpenSSL while the test runs. Every failure aborts the
 * test. */
#ifndef POSTERN_TEST_PKI_H
#define POSTERN_TEST_PKI_H

#include <openssl/evp.h>
#include <openssl/x509.h>

enum pki_key {
    PKI_P256,
    PKI_P384,
    PKI_RSA2048,
    PKI_RSA3072,
    PKI_RSA4096,
    PKI_RSA1024,
    PKI_RSA2048_LARGE_EXPONENT, /* of 65 bits */
    PKI_RSA8192,                /* the same key each time */
    PKI_P521,
    PKI_ED25519,
    PKI_ED448,
    PKI_SECP256K1
};

struct pki_spec {
    const char *cn; /* several, separated by '|', make several attributes; NULL: none */
    enum pki_key key;
    const char *alt;   /* "DNS:a.example,URI:urn:x"; NULL: none */
    const char *usage; /* extendedKeyUsage, "clientAuth"; NULL: none */
    int ca;            /* basicConstraints CA:TRUE, keyUsage keyCertSign and cRLSign */
    long from_day;     /* days from now; 0 means an hour ago */
    long to_day;       /* 0 means 30 */
    long to_seconds;   /* from now; instead of to_day */
    /* Values of extensions as openssl's configuration writes them, instead of the usual ones;
     * "none" leaves an extension out, NULL is the usual. */
    const char *basic, *key_usage, *key_id, *issuer_key_id, *constraints;
    const char *extra;        /* "OID=value" */
    const struct pki *key_of; /* its key, instead of a new one */
    const char *serial;       /* in hex; NULL: the next one */
    const char *hash;         /* NULL: SHA256 */
    int pss, pss_salt;        /* signed by RSA-PSS; the salt's length, -1: the hash's */
    int version1;             /* X.509 version 1, without extensions */
};

struct pki {
    X509 *cert;
    EVP_PKEY *key;
};

/* A certificate by `issuer`, or self-signed with NULL. */
struct pki pki_make(struct pki_spec spec, const struct pki *issuer);
void pki_free(struct pki *p);

/* The path of a file with these certificates; of the key; of a CRL. All in one temporary folder,
 * which pki_clean removes. The strings live until then. */
const char *pki_certs(const char *name, const struct pki *first, ...); /* up to NULL */
const char *pki_key(const char *name, const struct pki *p);
const char *pki_text(const char *name, const char *text);
const char *pki_joined(const char *name, const char *a, const char *b); /* two of them in one */
/* Revokes `listed` (may be NULL); next update in `days` (negative: expired). */
const char *pki_crl(const char *name, const struct pki *issuer, const struct pki *listed,
                    long days);
/* The same for five days, with so many serials that nobody has. */
const char *pki_crl_long(const char *name, const struct pki *issuer, int count);
/* The same for five days, with a critical issuingDistributionPoint; signed by RSA-PSS. */
const char *pki_crl_for(const char *name, const struct pki *issuer, const struct pki *listed,
                        const char *point);
const char *pki_crl_pss(const char *name, const struct pki *issuer, const struct pki *listed);
void pki_clean(void);

#endif
