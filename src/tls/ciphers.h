/* The cipher suites we serve, their names in OpenSSL's spelling and in the library's. */
#ifndef POSTERN_TLS_CIPHERS_H
#define POSTERN_TLS_CIPHERS_H

#include "core/error.h"

#include <stdbool.h>
#include <stddef.h>

/* Long enough for every list. */
#define CIPHERS_MAX 1024

/* Writes the library's list for a user's one ("A:B:C", OpenSSL's names, in order of preference;
 * NULL: the default). A list that names no suite of TLS 1.3 leaves those at the default, and
 * likewise for TLS 1.2, as OpenSSL has it; suites of versions that are not served are left out. 0,
 * or -1 with the list of known names in `err`. */
int ciphers_list(const char *wanted, bool tls12, bool tls13, char out[CIPHERS_MAX],
                 struct error *err) __attribute__((warn_unused_result));

/* OpenSSL's name for the library's one; static. */
const char *ciphers_name(const char *library_name);

/* The names of all of them, from 0 on; NULL after the last. Static. */
const char *ciphers_at(size_t number);

#endif
