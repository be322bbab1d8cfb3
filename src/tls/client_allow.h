/* What client_allow says of one client: of the certificate that it presents, and later of what is
 * remembered of it, in sessions that are resumed or still run. Without client_allow all are
 * allowed.
 *
 * An entry narrows what client_ca accepts and never widens it: where there are CAs, a path to one
 * of them was found before. Without CAs there are only entries for certificates and keys, and these
 * are all that vouches for a client. */
#ifndef POSTERN_TLS_CLIENT_ALLOW_H
#define POSTERN_TLS_CLIENT_ALLOW_H

#include "tls/client_store.h"

/* Looks for the entry of a certificate. In `peer` is its own name, if it may count: not without
 * client_ca. REASON_NONE: `peer` then has the name that the entry gives, and what the calls below
 * need. REASON_NOT_ALLOWED, or REASON_OUT_OF_MEMORY. */
enum reason client_allow_check(const struct tls_clients *clients, const struct x509 *leaf,
                               struct client_cert *peer);

/* Whether a client that came in before, perhaps by another list, would still come in and have the
 * same name. */
bool client_allow_still(const struct tls_clients *clients, const struct client_cert *peer);

/* Appends " cert-sha256:HEX" to the text of a refusal, to be copied into the file. */
void client_allow_append_hint(const struct x509 *leaf, struct client_cert *peer);

#endif
