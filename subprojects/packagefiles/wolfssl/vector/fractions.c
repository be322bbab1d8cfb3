/* Deleted together with x25519.c. */
#include "vector/fractions.h"

#define POSTERN_FIELD_LANES 8
#include "vector/field25519.h"
#include "vector/inverse.h"

#include <string.h>

enum { BYTES = POSTERN_X25519_BYTES, COUNT = POSTERN_FRACTIONS };

_Static_assert((int)POSTERN_FRACTION_LIMBS == (int)LIMBS, "limbs of field25519.h");

static const struct postern_modulus prime = {
    {INT64_C(0x3fffffffffffffed), INT64_C(0x3fffffffffffffff), INT64_C(0x3fffffffffffffff),
     INT64_C(0x3fffffffffffffff), 0x7f},
    UINT64_C(0x39435e50d79435e5),
};

void postern_fe_from_limbs(fe r, uint64_t limbs[LIMBS]) {
    unsigned char bytes[BYTES];
    bytes_from_limbs(bytes, limbs);
    fe_frombytes(r, bytes);
}

void postern_fe_invert(fe r) {
    unsigned char bytes[BYTES];
    uint64_t words[POSTERN_INVERSE_WORDS];
    fe_tobytes(bytes, r); /* less than the prime */
    memcpy(words, bytes, sizeof words);
    postern_invert(words, words, &prime);
    memcpy(bytes, words, sizeof words);
    fe_frombytes(r, bytes);
}

static void fe_from_lane(fe r, const uint64_t lanes[LIMBS][COUNT], int lane) {
    uint64_t limbs[LIMBS];
    for (int i = 0; i < LIMBS; i++) {
        limbs[i] = lanes[i][lane];
    }
    postern_fe_from_limbs(r, limbs);
}

/* Where x is 0 it becomes 1, so that a product with it is not 0. Returns 0 then, and else 0xff: the
 * mask for the bytes of the quotient. */
static unsigned char avoid_zero(fe x) {
    unsigned char bytes[BYTES];
    unsigned any = 0;
    fe_tobytes(bytes, x);
    for (int i = 0; i < BYTES; i++) {
        any |= bytes[i];
    }
    unsigned char zero = (unsigned char)((any - 1) >> 8);
    bytes[0] |= zero & 1;
    fe_frombytes(x, bytes);
    return (unsigned char)~zero;
}

static void put(unsigned char out[BYTES], const fe x, unsigned char mask) {
    fe_tobytes(out, x);
    for (int i = 0; i < BYTES; i++) {
        out[i] &= mask;
    }
}

/* One inversion for all: that of the product of the denominators. */
void postern_divide(unsigned char out[COUNT][BYTES], const struct postern_fractions *fractions) {
    fe over[COUNT], under[COUNT], products[COUNT], inverse, quotient;
    unsigned char masks[COUNT];
    for (int i = 0; i < COUNT; i++) {
        fe_from_lane(over[i], fractions->over, i);
        fe_from_lane(under[i], fractions->under, i);
        masks[i] = avoid_zero(under[i]);
    }
    fe_copy(products[0], under[0]);
    for (int i = 1; i < COUNT; i++) {
        fe_mul(products[i], products[i - 1], under[i]);
    }
    fe_copy(inverse, products[COUNT - 1]);
    postern_fe_invert(inverse);
    for (int i = COUNT - 1; i > 0; i--) {
        fe_mul(quotient, inverse, products[i - 1]);
        fe_mul(quotient, quotient, over[i]);
        put(out[i], quotient, masks[i]);
        fe_mul(inverse, inverse, under[i]);
    }
    fe_mul(quotient, inverse, over[0]);
    put(out[0], quotient, masks[0]);
}
