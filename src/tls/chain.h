/* The certificates of a certificate section: the server's own, and those that lead to its root. */
#ifndef POSTERN_TLS_CHAIN_H
#define POSTERN_TLS_CHAIN_H

#include "config/types.h"
#include "core/error.h"
#include "tls/pem.h"
#include "tls/x509.h"

enum { CHAIN_MAX = 9 };

struct chain_cert {
    struct x509 cert; /* its spans point into the blocks that it was read from */
    const char *file; /* where it was */
};

/* In the order in which they are sent. */
struct chain {
    struct chain_cert certs[CHAIN_MAX];
    size_t count;
};

/* `cert` is what section->cert has, `more` what section->chain has, if there is one. The first
 * certificate is the server's, each further one the issuer of the one before. A root at the end is
 * left out, for a client that trusts it has it already. What plays no part (an unrelated
 * certificate, another signing of an intermediate) is left out with a warning. 0, or -1 with the
 * file's name in `err`: there is none, one is damaged, there are too many, or they are in the wrong
 * order. */
int chain_build(struct chain *chain, const struct config_certificate *section,
                const struct pem *cert, const struct pem *more, struct error *err)
    __attribute__((warn_unused_result));

#endif
