/* The groups of the key exchange (RFC 8446 4.2.7). */
#ifndef POSTERN_TLS_GROUPS_H
#define POSTERN_TLS_GROUPS_H

#include "core/error.h"

#include <stddef.h>
#include <stdint.h>

enum { GROUPS_MAX = 8 };

struct groups {
    int list[GROUPS_MAX]; /* the library's numbers (which are IANA's), in order of preference */
    size_t count;
    uint8_t bits; /* enum hello_group */
};

/* From a user's list ("X25519, P-256"; NULL: the default), separated by commas, colons or spaces.
 * 0, or -1 with the list of known names in `err`. */
int groups_read(const char *wanted, struct groups *out, struct error *err)
    __attribute__((warn_unused_result));

/* The group with that name in the library, as a number for groups_name; 0: none of ours. */
uint8_t groups_find(const char *library_name);
/* Its name in the configuration and the log; NULL for 0. Static. */
const char *groups_name(uint8_t found);

#endif
