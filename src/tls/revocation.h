/* The serials that CRLs list, by issuer.
 *
 * An issuer is a name with a key: a CA that somebody else calls by the same name is another one. */
#ifndef POSTERN_TLS_REVOCATION_H
#define POSTERN_TLS_REVOCATION_H

#include "core/error.h"
#include "tls/crl.h"
#include "tls/internal.h"

/* A list counts for its issuer, and where a CA changed its key, for the same CA with another. */
struct revocation_issuer {
    uint8_t hash[TLS_ISSUER_HASH_SIZE];   /* of whom the list speaks */
    uint8_t signer[TLS_ISSUER_HASH_SIZE]; /* who signed it: the hash in its ids */
    int64_t next_update;                  /* INT64_MAX: never */
    bool users, cas;                      /* of which of its certificates */
};

/* Zeroed is empty. */
struct revocation {
    struct cert_id *ids; /* sorted once revocation_sort was called */
    size_t id_count, id_room;
    struct revocation_issuer *issuers;
    size_t issuer_count;
};

/* Adds all of a CRL that `signer` signed; several of one issuer add up. */
int revocation_add(struct revocation *r, const struct crl *crl, const struct x509 *signer,
                   struct error *err) __attribute__((warn_unused_result));
/* From here on the lists of `signer` count for certificates of `issuer`, too. */
int revocation_share(struct revocation *r, const struct crl *crl, const struct x509 *signer,
                     const struct x509 *issuer, struct error *err)
    __attribute__((warn_unused_result));
/* Adds the serials of a CRL whose signer is not known yet, under a number of the caller's. */
int revocation_hold(struct revocation *r, const struct crl *crl, uint32_t number, struct error *err)
    __attribute__((warn_unused_result));
bool revocation_held_lists(const struct revocation *r, uint32_t number, const struct cert_id *id);
void revocation_sort(struct revocation *r);
void revocation_free(struct revocation *r);

/* What names an issuer in ids: of its name and key. False without memory. */
bool revocation_hash(const struct x509 *issuer, uint8_t out[TLS_ISSUER_HASH_SIZE]);
/* The id of a certificate. False if its serial is longer than RFC 5280 4.1.2.2 allows. */
bool revocation_id(struct cert_id *id, const struct x509 *issuer, struct span serial);
bool revocation_lists(const struct revocation *r, const struct cert_id *id);
/* When the newest list ends that counts for certificates of that issuer and kind. False without
 * one. */
bool revocation_by(const struct revocation *r, const struct cert_id *id, bool is_ca,
                   int64_t *next_update);

#endif
