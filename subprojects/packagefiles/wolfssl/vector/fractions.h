/* Fractions modulo 2^255 - 19, for results in affine coordinates; numbers of upstream's type fe. */
#ifndef POSTERN_VECTOR_FRACTIONS_H
#define POSTERN_VECTOR_FRACTIONS_H

#include "vector/x25519.h"

#include <stdint.h>

#include "user_settings.h"
#include <wolfssl/wolfcrypt/types.h>

#include <wolfssl/wolfcrypt/fe_operations.h>

enum { POSTERN_FRACTIONS = 8, POSTERN_FRACTION_LIMBS = 5 };

/* [i][lane] is limb i of that lane's number: it counts 2^(51 i), and is less than 2^52. */
struct postern_fractions {
    _Alignas(64) uint64_t over[POSTERN_FRACTION_LIMBS][POSTERN_FRACTIONS];
    _Alignas(64) uint64_t under[POSTERN_FRACTION_LIMBS][POSTERN_FRACTIONS];
};

/* Of all three: time and memory accesses do not depend on the numbers. They leave what they
 * computed on the stack: the caller wipes it. */

/* Each out = over / under, lowest byte first, and less than the prime; 0 where under is 0. */
void postern_divide(unsigned char out[POSTERN_FRACTIONS][POSTERN_X25519_BYTES],
                    const struct postern_fractions *fractions);

/* r = 1 / r, and 0 of 0. */
void postern_fe_invert(fe r);

/* Of limbs as above, which it changes. */
void postern_fe_from_limbs(fe r, uint64_t limbs[POSTERN_FRACTION_LIMBS]);

#endif
