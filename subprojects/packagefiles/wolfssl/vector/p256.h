/* Parts of an ECDSA signature with P-256 (FIPS 186-5, 6.4.1) on x86-64 processors with AVX-512
 * (processor.h); the others are upstream's (library_sp.c). Words are lowest first. Time and memory
 * accesses depend on no number that is given here. */
#ifndef POSTERN_VECTOR_P256_H
#define POSTERN_VECTOR_P256_H

#include <stdbool.h>
#include <stdint.h>

enum {
    POSTERN_P256_WORDS = 4,
    POSTERN_P256_WINDOW = 7, /* bits of a digit */
    POSTERN_P256_DIGITS = 37,
    POSTERN_P256_MULTIPLES = 64,
};

/* A number below 2^256 is the sum of its digits, times 2^7 to the power of 0, 1, 2... */
struct postern_p256_digit {
    uint8_t size; /* 0 to 64 */
    uint8_t negative;
};

void postern_p256_digits(struct postern_p256_digit digits[POSTERN_P256_DIGITS],
                         const uint64_t number[POSTERN_P256_WORDS]);

/* A point's x and y. */
struct postern_p256_point {
    uint64_t words[2 * POSTERN_P256_WORDS];
};

/* That one of the row's points 0 to 64. */
void postern_p256_choose(struct postern_p256_point *chosen, const struct postern_p256_point *row,
                         unsigned place);

/* z_inverse = 1 / z modulo the field's prime, k_inverse = 1 / k modulo the group's order. Both are
 * reduced. What it leaves on the stack is wiped. */
void postern_p256_invert(uint64_t z_inverse[POSTERN_P256_WORDS],
                         uint64_t k_inverse[POSTERN_P256_WORDS],
                         const uint64_t z[POSTERN_P256_WORDS],
                         const uint64_t k[POSTERN_P256_WORDS]);

/* A signature with this k, by what is above and by upstream: in library_sp.c. */
void postern_p256_sign(uint64_t r[POSTERN_P256_WORDS], uint64_t s[POSTERN_P256_WORDS],
                       const uint64_t hash[POSTERN_P256_WORDS],
                       const uint64_t private_key[POSTERN_P256_WORDS],
                       const uint64_t k[POSTERN_P256_WORDS]);

/* Computes what is known already; false: not to be used on this machine. Before there are threads.
 */
bool postern_p256_self_test(void) __attribute__((warn_unused_result));

#endif
