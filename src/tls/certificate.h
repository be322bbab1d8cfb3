/* One certificate section of the configuration, loaded and checked. */
#ifndef POSTERN_TLS_CERTIFICATE_H
#define POSTERN_TLS_CERTIFICATE_H

#include "core/error.h"
#include "tls/internal.h"

/* Reads certificate, chain and key; checks that they fit; makes the certificate's WOLFSSL_CTX with
 * them in it. 0, or -1 with the reason in `err` (certificate_free frees what was allocated). */
int certificate_load(struct tls_certificate *certificate, const struct config_certificate *section,
                     enum config_tls_version min, enum config_tls_version max, struct error *err)
    __attribute__((warn_unused_result));
/* Only the WOLFSSL_CTX, for a listener without certificates. 0 or -1. */
int certificate_make_bare(struct tls_certificate *bare, enum config_tls_version min,
                          enum config_tls_version max, struct error *err)
    __attribute__((warn_unused_result));
/* Of either; a zeroed one is fine. */
void certificate_free(struct tls_certificate *certificate);

#endif
