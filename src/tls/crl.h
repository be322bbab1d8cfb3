/* Reads certificate revocation lists in DER: RFC 5280 5. Spans point into the caller's bytes. */
#ifndef POSTERN_TLS_CRL_H
#define POSTERN_TLS_CRL_H

#include "tls/x509.h"

struct crl {
    struct span issuer;
    int64_t this_update, next_update; /* next_update 0: none given */
    struct span revoked;              /* inside of revokedCertificates */
    struct x509_signed signature;
    /* What it is complete for (issuingDistributionPoint, RFC 5280 5.2.5). */
    bool covers_users, covers_cas;
    bool special; /* has another critical extension, or is indirect, partial or a delta: no use */
};
bool crl_read(struct crl *crl, const uint8_t *der, size_t len);

/* Steps through the revoked serials. False at the end; `*bad` is set if the list is malformed. */
bool crl_next_revoked(struct span *rest, struct span *serial, bool *bad);

#endif
