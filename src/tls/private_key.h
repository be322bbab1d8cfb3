/* The private key of a certificate section. */
#ifndef POSTERN_TLS_PRIVATE_KEY_H
#define POSTERN_TLS_PRIVATE_KEY_H

#include "core/error.h"
#include "tls/pem.h"
#include "tls/wolfssl.h"
#include "tls/x509.h"

/* Gives the one key in the file to the library: when it was seen that it belongs to `leaf` and that
 * signatures made with it are valid. 0, or -1 with the file's name in `err`; `owner` describes the
 * certificate there. */
int private_key_use(WOLFSSL_CTX *ssl_ctx, const struct pem *pem, const char *file,
                    const struct x509 *leaf, const char *owner, struct error *err)
    __attribute__((warn_unused_result));

#endif
