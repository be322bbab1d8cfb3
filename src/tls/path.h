/* Decides whether a client certificate is trusted: looks for a path from it to one of the
 * listener's CAs through the certificates that this client sent, and checks everything along it
 * (RFC 5280 6.1, RFC 4158).
 *
 * A pure function over certificates that were read already: the clock, the signature check and the
 * revocation lists are handed in. It remembers nothing, allocates nothing, and what it does is
 * bounded, whatever the client sent. */
#ifndef POSTERN_TLS_PATH_H
#define POSTERN_TLS_PATH_H

#include "core/reason.h"
#include "tls/x509.h"

enum {
    PATH_SENT_MAX = 16,       /* certificates of one client */
    PATH_SIGNATURES_MAX = 32, /* signatures checked for one client */
    PATH_FAILURES_MAX = 16,   /* of these, bad ones */
    PATH_STEPS_MAX = 256,     /* issuers of the right name looked at */
    /* What all of it may take, in microseconds of a processor of 2023: signatures, the client's own
     * in the handshake among them, comparing names, and asking about revocation. Three signatures
     * of the costliest anchor come on top, as those are the operator's choice. */
    PATH_WORK_MAX = 750,
    PATH_RSA_BITS_MIN = 2048,
    PATH_RSA_BITS_MAX = 8192,
    PATH_EXPONENT_BITS_MAX = 64
};

struct path_rules {
    const struct x509 *const *anchors; /* each passes path_anchor_check, dates apart */
    size_t anchor_count;
    int64_t now;    /* seconds since 1970 */
    bool accept_v1; /* a client's own certificate may be X.509 version 1 */
    /* Whether `cert` is signed with the issuer's key: REASON_NONE or why not. */
    enum reason (*signed_by)(void *arg, const struct x509 *cert, const struct x509 *issuer);
    /* Whether `cert`, which its issuer signed, was not revoked since; with issuer NULL, whether an
     * anchor was not. Asked about paths that are good otherwise. NULL: nothing is ever revoked. */
    enum reason (*revoked)(void *arg, const struct x509 *cert, const struct x509 *issuer);
    void *arg;
};

struct path {
    const struct x509 *certs[PATH_SENT_MAX + 1]; /* the client's own first, an anchor last */
    size_t count;
    int64_t not_after; /* when the first of them expires */
    /* After a refusal: the certificate that was found wanting, and how far it is from the client's
     * own. */
    const struct x509 *blamed;
    size_t depth;
};

/* `sent` are the client's certificates, its own first; the others in any order and of any use.
 * REASON_NONE, and the path; or the reason that the attempt that came farthest failed with. */
enum reason path_build(const struct path_rules *rules, const struct x509 *sent, size_t count,
                       struct path *path);

/* For a certificate that client_allow trusts, whoever signed it. Everything is checked that
 * path_build checks of a client's own certificate, except its signature; the work for its key has
 * the same bound. REASON_NONE, and a path of this certificate alone; or why it is refused. */
enum reason path_pinned(const struct path_rules *rules, const struct x509 *cert, struct path *path);

/* What it takes to check a signature by this issuer, in microseconds of a processor of 2023. */
unsigned path_work(const struct x509 *issuer);

/* Whether the certificate can be an anchor at all, at a given time: REASON_NONE or why not. */
enum reason path_anchor_check(const struct x509 *cert, int64_t now);

#endif
