/* Names of certificates (RFC 5280 4.1.2.4): reading and comparing them. */
#ifndef POSTERN_TLS_X509_NAME_H
#define POSTERN_TLS_X509_NAME_H

#include "tls/der.h"

/* Whether two names, each a whole DER Name, are the same by RFC 5280 7.1: text compares without
 * regard to its string type, to the case of ASCII letters, and to how many blanks are around or
 * between its words. */
bool x509_name_equal(struct span a, struct span b);

/* Equal names have equal hashes. False if any part of the name cannot be read; then `hash` is of
 * what comes before. */
bool x509_name_hash(struct span name, uint32_t *hash);

/* Whether `name` begins with all RDNs of `base`, as a directoryName constraint asks. */
bool x509_name_within(struct span name, struct span base);

/* How many commonName attributes the Name has; `value` is set to the first, `tag` to its ASN.1
 * string type. */
size_t x509_common_name(struct span name, struct span *value, uint8_t *tag);

/* Steps through the emailAddress or commonName attributes of a Name; begin with `at` zeroed. */
struct x509_name_at {
    struct span rdns, set;
    bool begun;
};
bool x509_next_email(struct span name, struct x509_name_at *at, struct span *value);
bool x509_next_common_name(struct span name, struct x509_name_at *at, struct span *value);

/* "CN=mqtt.example.org, O=Example", cut to fit; what is not printable ASCII becomes '?'. */
void x509_name_text(struct span name, char *out, size_t cap);

#endif
