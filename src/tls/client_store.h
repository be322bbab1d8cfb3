/* What one listener's clients are checked against, their certificates and their pre-shared keys, as
 * it was loaded: client.c and psk.c decide by it, client_store.c loads it. Immutable once loaded.
 */
#ifndef POSTERN_TLS_CLIENT_STORE_H
#define POSTERN_TLS_CLIENT_STORE_H

#include "core/error.h"
#include "tls/allow_list.h"
#include "tls/expiries.h"
#include "tls/psk_list.h"
#include "tls/revocation.h"
#include "tls/signature.h"

#include <pthread.h>
#include <stdatomic.h>

struct ca {
    struct buf der;
    struct x509 cert; /* points into der */
    bool revoked;     /* by the list of another CA here */
    uint8_t hash[TLS_ISSUER_HASH_SIZE];
};

/* A list by a CA that is not in client_ca: clients may send that one along. */
struct held_crl {
    struct buf der;
    struct crl crl; /* points into der */
    struct signature_digest digest;
    /* Whom it was found to be signed by, once it was; written once, under the lock. */
    atomic_bool is_signed;
    uint8_t signer[TLS_ISSUER_HASH_SIZE];
};

struct tls_clients {
    struct psk_list *psk; /* NULL: no psk_file */
    bool asks;            /* for certificates; else all that follows is empty */
    struct ca *cas;
    size_t ca_count;             /* 0: no client_ca, so only what is pinned in `allow` */
    const struct x509 **anchors; /* the certificates of all of them */
    struct revocation revocation;
    struct held_crl *held; /* in `revocation` under their numbers here */
    size_t held_count;
    unsigned held_work;       /* what it takes to read those once that have no digest */
    struct allow_list *allow; /* NULL: no client_allow */
    pthread_mutex_t held_lock;
    bool has_crl, refuse_expired_crl, accept_v1;
    atomic_bool v1_seen;      /* a client of version 1 was let in, and logged */
    bool required;            /* every client has a certificate or a key */
    struct expiries expiries; /* of the CAs and lists */
    uint8_t hash[TLS_HASH_SIZE];
};

/* keyUsage cRLSign, or no keyUsage. */
bool clients_may_sign_lists(const struct x509 *cert);

/* What it takes to check whether the list is by this CA, in the unit of path_work. */
unsigned clients_list_work(const struct held_crl *held, const struct x509 *issuer);

/* Reads psk_file and, if the listener asks for certificates, client_ca, client_crl and
 * client_allow, of which the first or the last must be there. NULL with the reason in `err`. A CA
 * that cannot be used is logged and left out; without one that can, there is nothing to load.
 * Immutable. */
struct tls_clients *clients_load(const struct config_listener *listener, struct error *err)
    __attribute__((warn_unused_result));
void clients_free(struct tls_clients *clients); /* NULL is fine */

/* SHA-256 over all CAs and CRLs, and over whether there is a client_allow and a psk_file: what
 * those say is looked up at each resumption, so that a new entry costs nobody a full handshake. */
const uint8_t *clients_hash(const struct tls_clients *clients);

#endif
