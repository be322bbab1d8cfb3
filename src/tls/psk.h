/* External pre-shared keys in a handshake (RFC 4279 and RFC 8446 2.2): what the library asks of a
 * listener's psk_list, and what becomes of a client that has a key. For src/tls alone.
 *
 * With a key that nobody has, a client fails as with a wrong one: with the same alert, after the
 * same work. In TLS 1.2 every unknown identity gets one, in TLS 1.3 those on a listener without
 * certificates; with them, an unknown identity may be another server's ticket, and is passed over.
 */
#ifndef POSTERN_TLS_PSK_H
#define POSTERN_TLS_PSK_H

#include "tls/internal.h"

/* 0, or -1 where the library cannot do what the listener asks for: the distribution's. */
int psk_check_library(const struct config_listener *listener, struct error *err)
    __attribute__((warn_unused_result));

/* Makes connections of this WOLFSSL_CTX take the keys of their context's clients, in TLS 1.3 with a
 * key exchange only. */
void psk_attach(WOLFSSL_CTX *ssl_ctx);

/* Within a handshake, when the client has proved that it has the key, if it uses one: the peer then
 * is who the key belongs to, and nobody else whom a ticket named that was not used in the end. Not
 * for sessions that are resumed, which have their peer from there. May be called again. */
void psk_settle(struct engine *e);

/* Why a handshake failed with this error of the library, if that was the key: REASON_UNKNOWN_PSK or
 * REASON_BAD_PSK, and the identity is in the peer's text. Else REASON_NONE. */
enum reason psk_failure(struct engine *e, int code);

void psk_attempt_free(struct psk_attempt *attempt); /* wipes; NULL is fine */

#endif
