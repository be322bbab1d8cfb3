/* The cipher suites we serve, their names in OpenSSL's spelling and in the library's. */
#ifndef POSTERN_TLS_CIPHERS_H
#define POSTERN_TLS_CIPHERS_H

#include "core/error.h"

#include <stdbool.h>
#include <stddef.h>

/* Long enough for every list. */
#define CIPHERS_MAX 1024

/* What a listener does. */
struct cipher_use {
    bool tls12, tls13;
    bool certificates; /* false: it has none, so no suite of TLS 1.2 that signs */
    bool psk;          /* suites of TLS 1.2 with pre-shared keys and a key exchange, before those */
    bool psk_plain;    /* and those without, after them (RFC 4279 7.1: no forward secrecy) */
    bool shared;       /* the list is for others as well, who may have keys: what lacks them here is
                          left out */
};

/* Writes the library's list for a user's one ("A:B:C", OpenSSL's names, in order of preference;
 * NULL: the default). A list that names no suite of TLS 1.3 leaves those at the default, as OpenSSL
 * has it, and likewise for those of TLS 1.2 with certificates and those with pre-shared keys;
 * suites of versions that are not served, and of certificates where there are none, are left out.
 * 0, or -1 in `err` with the list of known names, or with what a suite with pre-shared keys lacks.
 */
int ciphers_list(const char *wanted, const struct cipher_use *use, char out[CIPHERS_MAX],
                 struct error *err) __attribute__((warn_unused_result));

/* OpenSSL's name for the library's one; static. */
const char *ciphers_name(const char *library_name);

/* The names of all of them, from 0 on; NULL after the last. Static. */
const char *ciphers_at(size_t number);

#endif
