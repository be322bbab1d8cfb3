/* Name constraints (RFC 5280 4.2.1.10): which names the certificates below a CA may have. */
#ifndef POSTERN_TLS_CONSTRAINTS_H
#define POSTERN_TLS_CONSTRAINTS_H

#include "core/reason.h"
#include "tls/x509.h"

/* Whether every name of `cert` (alternative names, subject, its emailAddress attributes, and common
 * names that look like host names) keeps within `constraints`, the inside of the extension.
 * REASON_NAME_CONSTRAINT if one does not, and if a constraint cannot be read or cannot be applied
 * to a name of its kind. Reading and comparing take from `budget_ns`, by the length of what is
 * read, about the nanoseconds that they need; REASON_TOO_LARGE when none are left. */
enum reason constraints_check(struct span constraints, const struct x509 *cert,
                              unsigned *budget_ns);

#endif
