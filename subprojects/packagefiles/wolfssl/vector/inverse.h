/* Inverses modulo an odd number of up to 256 bits, in constant time; plain C for processors that
 * multiply 64 bits. */
#ifndef POSTERN_VECTOR_INVERSE_H
#define POSTERN_VECTOR_INVERSE_H

#include <stdint.h>

enum { POSTERN_INVERSE_WORDS = 4, POSTERN_INVERSE_LIMBS = 5 };

struct postern_modulus {
    int64_t limbs[POSTERN_INVERSE_LIMBS]; /* of 62 bits each, lowest first */
    uint64_t inverse;                     /* of the lowest, modulo 2^62 */
};

/* r = 1 / x, and 0 of 0; words lowest first. x is less than the modulus. Time and memory accesses
 * do not depend on x. Leaves what it computed on the stack: the caller wipes it. */
void postern_invert(uint64_t r[POSTERN_INVERSE_WORDS], const uint64_t x[POSTERN_INVERSE_WORDS],
                    const struct postern_modulus *modulus);

/* The same for two numbers, which takes 1.6 times as long as for one. */
void postern_invert_two(uint64_t r[2][POSTERN_INVERSE_WORDS],
                        const uint64_t x[2][POSTERN_INVERSE_WORDS],
                        const struct postern_modulus *const moduli[2]);

#endif
