/* What names a client: text from its certificate that a broker may rely on. */
#ifndef POSTERN_TLS_IDENTITY_H
#define POSTERN_TLS_IDENTITY_H

#include "config/config.h"
#include "tls/x509.h"

/* Writes the identity as a C string. False, and nothing that may be used, if the certificate has
 * none or several of that kind, or one that is empty, longer than 255 bytes, not UTF-8, or holds a
 * control character, NUL, a character that cannot be seen (zero width, bidirectional), '+' or '#'
 * (which widen patterns in access lists). Never cut. */
bool identity_read(enum config_identity kind, const struct x509 *cert, struct span der,
                   char out[256]);

#endif
