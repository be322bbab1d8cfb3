/* Upstream's table of multiples of the base point of Ed25519, which is that of X25519 in other
 * coordinates. */
#ifndef POSTERN_VECTOR_LIBRARY_GE_H
#define POSTERN_VECTOR_LIBRARY_GE_H

#include <stdint.h>

#include "user_settings.h"
#include <wolfssl/wolfcrypt/types.h>

#include <wolfssl/wolfcrypt/fe_operations.h>

enum { POSTERN_MULTIPLES = 8 };

/* y + x, y - x, and 2dxy of a point (in row 0: 2xy), four words each, lowest first, less than the
 * prime. */
struct postern_multiple {
    uint64_t plus[4], minus[4], product[4];
};

/* The base point times 1 to 8 times 16^row; row is from 0 to 63. */
const struct postern_multiple *postern_multiples(int row) __attribute__((const));

#endif
