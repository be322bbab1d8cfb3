/* What client certificates are checked against: CAs and CRLs of one listener.
 *
 * The library verifies signatures, dates and usage. Revocation is looked up here: its own check
 * refuses an expired CRL before it looks for the serial, walks a linked list, and differs between
 * versions. Immutable once loaded. */
#ifndef POSTERN_TLS_CLIENT_H
#define POSTERN_TLS_CLIENT_H

#include "tls/internal.h"

/* Reads client_ca and client_crl. NULL with the reason in `err`. */
struct tls_clients *clients_load(const struct config_listener *listener, struct error *err)
    __attribute__((warn_unused_result));
void clients_free(struct tls_clients *clients); /* NULL is fine */

/* Makes connections of this WOLFSSL_CTX ask for certificates and check them; and takes the CAs out
 * of it again. */
int clients_apply(const struct tls_clients *clients, WOLFSSL_CTX *ssl_ctx, struct error *err)
    __attribute__((warn_unused_result));
void clients_unload(WOLFSSL_CTX *ssl_ctx);

/* SHA-256 over all CAs and CRLs. */
const uint8_t *clients_hash(const struct tls_clients *clients);

bool clients_revoke(const struct tls_clients *clients, const struct cert_id *id);

/* Fills the peer from a certificate that the library verified, and does the checks it does not:
 * `chain` is what the client sent, its own certificate first. REASON_NONE or why not. */
enum reason clients_check(const struct tls_context *ctx, const struct span *chain, size_t count,
                          struct client_cert *peer);

#endif
