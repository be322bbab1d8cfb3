/* What of a listener expires: collected while its files are loaded. */
#ifndef POSTERN_TLS_EXPIRIES_H
#define POSTERN_TLS_EXPIRIES_H

#include "core/error.h"
#include "tls/crl.h"
#include "tls/types.h"

#include <stddef.h>

/* Zeroed is empty. Its strings are its own. */
struct expiries {
    struct tls_expiry *all;
    size_t count;
};

/* 0, or -1 with the reason. A list without nextUpdate never expires and is not added. */
int expiries_add_certificate(struct expiries *expiries, enum tls_expiry_kind kind, const char *file,
                             const struct x509 *cert, struct error *err)
    __attribute__((warn_unused_result));
int expiries_add_crl(struct expiries *expiries, const char *file, const struct crl *crl,
                     struct error *err) __attribute__((warn_unused_result));

void expiries_each(const struct expiries *expiries,
                   void (*visit)(void *arg, const struct tls_expiry *expiry), void *arg);
void expiries_free(struct expiries *expiries);

#endif
