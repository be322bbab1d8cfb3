/* Certificates with name constraints, made by OpenSSL. Apart from the test, because OpenSSL's and
 * the library's headers cannot be included together. Every failure aborts the test. */
#ifndef POSTERN_TEST_CONSTRAINED_H
#define POSTERN_TEST_CONSTRAINED_H

#include <stdbool.h>

struct constrained_spec {
    const char *cn, *alt;    /* alt: "DNS:a.example,URI:urn:x"; NULL: none */
    const char *constraints; /* "critical,permitted;DNS:example"; NULL: none */
    bool ca;
    bool no_key_id; /* neither subjectKeyIdentifier nor authorityKeyIdentifier */
};

struct constrained {
    struct x509_st *cert;
    struct evp_pkey_st *key;
    unsigned char *der;
    long len;
};

/* A certificate by `issuer`, or a root with NULL. */
struct constrained constrained_make(struct constrained_spec spec, const struct constrained *issuer);
void constrained_free(struct constrained *made);

#endif
