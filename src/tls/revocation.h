/* The serials that CRLs list, by issuer. */
#ifndef POSTERN_TLS_REVOCATION_H
#define POSTERN_TLS_REVOCATION_H

#include "tls/internal.h"

struct revocation_issuer {
    uint8_t hash[TLS_ISSUER_HASH_SIZE];
    int64_t next_update; /* INT64_MAX: never */
};

/* Zeroed is empty. */
struct revocation {
    struct cert_id *ids; /* sorted once revocation_sort was called */
    size_t id_count, id_room;
    struct revocation_issuer *issuers;
    size_t issuer_count;
};

/* Adds all of a CRL; several of one issuer add up. */
int revocation_add(struct revocation *r, const struct x509_crl *crl, struct error *err)
    __attribute__((warn_unused_result));
void revocation_sort(struct revocation *r);
void revocation_free(struct revocation *r);

/* The id of a certificate. False if its serial is longer than 20 bytes (RFC 5280 4.1.2.2). */
bool revocation_id(struct cert_id *id, struct span issuer, struct span serial);
bool revocation_lists(const struct revocation *r, const struct cert_id *id);
/* What is known of an issuer; NULL without a CRL by it. */
const struct revocation_issuer *revocation_by(const struct revocation *r, const struct cert_id *id);

#endif
