/* What of a client's hello counts until its handshake is over: its server name and its protocols
 * (ALPN, RFC 7301). For src/tls alone. */
#ifndef POSTERN_TLS_HELLO_H
#define POSTERN_TLS_HELLO_H

#include "config/types.h"
#include "core/error.h"
#include "tls/internal.h"

/* Stores the listener's protocols in the context. 0, or -1 without memory, or where the library
 * cannot do what the listener asks for. */
int hello_load(struct tls_context *ctx, const struct config_listener *listener, struct error *err)
    __attribute__((warn_unused_result));

/* Makes the library answer with what hello_note chose; and, in our own build, refuse a second hello
 * (RFC 8446 4.1.2) whose name or protocols differ. The distribution's library takes that one. */
void hello_attach(WOLFSSL_CTX *ssl_ctx);

/* Stores in `peer` what tickets are tied to, what a second hello must repeat, and the first of the
 * context's protocols that the client offers, anew in each connection: a session that is resumed
 * does not bring its own. 0 or -1. */
int hello_note(struct client_cert *peer, const struct tls_context *ctx,
               const struct client_hello *hello) __attribute__((warn_unused_result));

/* After hello_note: what the library need not be asked about. It would report no common suite, ask
 * for a group that the client does not have, or not look at all. REASON_NONE: the handshake can
 * begin. */
enum reason hello_obstacle(const struct client_cert *peer, const struct tls_context *ctx,
                           const struct client_hello *hello);

/* Whether it is one of those that hello_obstacle finds. */
bool hello_is_obstacle(enum reason reason);

#endif
