/* What one listener's client certificates are checked against, as it was loaded: client.c decides
 * by it, client_store.c loads it. Immutable once loaded. */
#ifndef POSTERN_TLS_CLIENT_STORE_H
#define POSTERN_TLS_CLIENT_STORE_H

#include "tls/revocation.h"

struct ca {
    struct buf der;
    struct x509 cert; /* points into der */
    bool revoked;     /* by the list of another CA here */
};

struct tls_clients {
    struct ca *cas;
    size_t ca_count;
    const struct x509 **anchors; /* the certificates of all of them */
    struct revocation revocation;
    bool has_crl, refuse_expired_crl, accept_v1;
    atomic_bool v1_seen; /* a client of version 1 was let in, and logged */
    bool required;
    uint8_t hash[TLS_HASH_SIZE];
};

#endif
