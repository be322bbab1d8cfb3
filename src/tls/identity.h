/* What names a client: text from its certificate that a broker may rely on. */
#ifndef POSTERN_TLS_IDENTITY_H
#define POSTERN_TLS_IDENTITY_H

#include "config/config.h"
#include "tls/x509.h"

/* Whether text can be a client's name: 1 to 255 bytes of UTF-8, without control characters, NUL,
 * characters that cannot be seen (zero width, bidirectional), '+' and '#' (which widen patterns in
 * access lists). */
bool identity_is_valid(struct span text);

/* SHA-256 of a certificate or a key. False without memory. */
bool identity_hash(struct span der, uint8_t hash[32]) __attribute__((warn_unused_result));

/* Writes the identity as a C string. False, and nothing that may be used, if the certificate has
 * none or several of that kind, or one that is not valid. Never cut. */
bool identity_read(enum config_identity kind, const struct x509 *cert, struct span der,
                   char out[256]);

#endif
