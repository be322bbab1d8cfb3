/* Who may come in: client certificates, and pre-shared keys beside them.
 *
 * Trust is decided here, by path.h, from the CAs and CRLs of this listener and from what this
 * client sent, and by nothing else. The library's certificate manager stays empty and its verdict
 * does not count. What stays the library's work is proof of possession: that the client has the key
 * of its certificate (CertificateVerify). Keys are matched in psk.h; what is decided about those
 * here is whether they still are in force. */
#ifndef POSTERN_TLS_CLIENT_H
#define POSTERN_TLS_CLIENT_H

#include "tls/internal.h"

/* Makes connections of this WOLFSSL_CTX ask for certificates and check them, and take pre-shared
 * keys, as far as the listener wants either. */
void clients_apply(const struct tls_clients *clients, WOLFSSL_CTX *ssl_ctx);

/* Whether the CAs' keys make it long to check a client: P-521, RSA above 4096 bits. */
bool clients_are_heavy(const struct tls_clients *clients);

/* Decides about a client that sent `chain`, its own certificate first. REASON_NONE, and `peer`
 * filled, or why not. */
enum reason clients_check(const struct tls_context *ctx, const struct span *chain, size_t count,
                          struct client_cert *peer);

/* By what a reload during the handshake brought (peer->newer), once `ctx` let the client in. A
 * client that resumed a session sent no certificate that could be checked again: it may do so only
 * if both contexts ask the same of a full handshake, else REASON_NO_CERTIFICATE_GIVEN. A client
 * with a pre-shared key needs that key, else REASON_UNKNOWN_PSK.
 *
 * It never pauses, and need not: it takes as long as clients_check, 0.1 ms for a usual client, 0.8
 * ms for the longest chain below a CA with P-256, and at most 1.8 ms where the CAs have RSA keys of
 * 8192 bits (bench-client-certs, its rows with a reload). Only handshakes that were under way at a
 * reload come here, each once, and established sessions are served between two of them. */
enum reason clients_check_late(const struct tls_context *ctx, struct client_cert *peer,
                               bool resumed);

/* Of a client that was accepted in an earlier connection, or by an earlier load, without what it
 * sent then: whether none of its own certificate, the CAs that it sent, if those were kept
 * (keeps_issuers), and the CA here that issued the last of them was revoked since, and its entry in
 * client_allow stands. Lists of CAs that clients send do not count: whose they are is not known
 * without those. REASON_NONE, REASON_REVOKED or REASON_NOT_ALLOWED; REASON_NO_CERTIFICATE_GIVEN
 * where pre-shared keys alone count by now. Of a client with a pre-shared key, whether the list has
 * that key for it: REASON_NONE or REASON_UNKNOWN_PSK. */
enum reason clients_recheck(const struct tls_clients *clients, const struct client_cert *peer);

/* Whether a session with this certificate or key, or without either, may be resumed under `ctx`. */
bool clients_resume(const struct tls_context *ctx, const struct client_cert *peer);

void client_chain_free(struct client_chain *chain); /* NULL is fine */

#endif
