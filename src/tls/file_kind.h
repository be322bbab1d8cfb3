/* What a file is that is not what its key in the configuration asks for. */
#ifndef POSTERN_TLS_FILE_KIND_H
#define POSTERN_TLS_FILE_KIND_H

#include "tls/pem.h"

enum file_wanted { FILE_CERTIFICATES, FILE_KEY, FILE_LISTS, FILE_WANTED_COUNT };

/* For the end of an error message about a file without what was wanted: "; " and what it is, with
 * the command that converts it where there is one; "" if that cannot be seen. Static text. */
const char *file_kind_hint(const struct pem *pem, enum file_wanted wanted);

#endif
