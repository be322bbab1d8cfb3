/* What of a listener ends at a date: collected while its files are loaded. */
#ifndef POSTERN_TLS_ENDS_H
#define POSTERN_TLS_ENDS_H

#include "core/error.h"
#include "tls/crl.h"
#include "tls/types.h"

#include <stddef.h>

/* Zeroed is empty. Its strings are its own. */
struct ends {
    struct tls_end *all;
    size_t count;
};

/* 0, or -1 with the reason. A list without nextUpdate never ends and is not added. */
int ends_add_certificate(struct ends *ends, enum tls_end_kind kind, const char *file,
                         const struct x509 *cert, struct error *err)
    __attribute__((warn_unused_result));
int ends_add_crl(struct ends *ends, const char *file, const struct crl *crl, struct error *err)
    __attribute__((warn_unused_result));

void ends_each(const struct ends *ends, void (*visit)(void *arg, const struct tls_end *end),
               void *arg);
void ends_free(struct ends *ends);

#endif
