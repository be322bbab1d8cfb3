/* The Montgomery ladder of RFC 7748 for eight scalars and points at a time, each in a lane of its
 * own; deleted together with x25519.c. The letters are those of RFC 7748, 5. */
#include "vector/x25519_eight.h"

#include "vector/fractions.h"
#include "vector/wipe.h"
#define POSTERN_FIELD_LANES 8
#include "vector/field25519.h"

#include <stdint.h>
#include <string.h>

enum { BATCH = POSTERN_X25519_BATCH, BYTES = POSTERN_X25519_BYTES, TOP_BIT = 254, A24 = 121665 };

/* Everything secret that lives in memory. */
struct work {
    struct numbers x1, x2, z2, x3, z3;
    __mmask8 bits[TOP_BIT + 1]; /* of the scalars: one of each lane */
    _Alignas(64) uint64_t words[BYTES / 8][BATCH];
    struct postern_fractions fractions;
};

/* --- the ladder --- */

/* x2 with x3, and z2 with z3, in those lanes. */
INLINE IFMA void swap(struct work *w, __mmask8 lanes) {
    EACH_LIMB {
        vector x = w->x2.limb[i], z = w->z2.limb[i];
        w->x2.limb[i] = _mm512_mask_mov_epi64(x, lanes, w->x3.limb[i]);
        w->x3.limb[i] = _mm512_mask_mov_epi64(w->x3.limb[i], lanes, x);
        w->z2.limb[i] = _mm512_mask_mov_epi64(z, lanes, w->z3.limb[i]);
        w->z3.limb[i] = _mm512_mask_mov_epi64(w->z3.limb[i], lanes, z);
    }
}

/* r = aa + a24 e */
INLINE IFMA void add_multiple(struct numbers *r, const struct numbers *aa,
                              const struct numbers *e) {
    const vector a24 = EACH(A24);
    vector high[LIMBS];
    EACH_LIMB {
        r->limb[i] = ADD_LOW(aa->limb[i], e->limb[i], a24);
        high[i] = ADD_HIGH(ZERO(), e->limb[i], a24);
    }
    EACH_LIMB { /* counts 2^52, twice the next limb's weight; from the last to the first 19 times */
        vector below = LEFT(high[(i + LIMBS - 1) % LIMBS], 1);
        r->limb[i] = ADD(r->limb[i], i == 0 ? times_19(below) : below);
    }
    carry(r);
}

/* One step of the ladder for the points (x2 : z2) and (x3 : z3). */
INLINE IFMA void step(struct work *w) {
    struct numbers a, b, c, d, e, sum, difference;
    add(&a, &w->x2, &w->z2);
    subtract(&b, &w->x2, &w->z2);
    add(&c, &w->x3, &w->z3);
    subtract(&d, &w->x3, &w->z3);
    multiply(&d, &d, &a); /* DA */
    multiply(&c, &c, &b); /* CB */
    add(&sum, &d, &c);
    subtract(&difference, &d, &c);
    square(&w->x3, &sum); /* (DA + CB)^2 */
    square(&difference, &difference);
    multiply(&w->z3, &difference, &w->x1); /* x1 (DA - CB)^2 */
    square(&a, &a);                        /* AA */
    square(&b, &b);                        /* BB */
    multiply(&w->x2, &a, &b);              /* AA BB */
    subtract(&e, &a, &b);                  /* E = AA - BB */
    add_multiple(&a, &a, &e);              /* AA + a24 E */
    multiply(&w->z2, &a, &e);              /* E (AA + a24 E) */
}

/* The points at the start: (1 : 0) and (u : 1). */
IFMA static void begin(struct work *w, const unsigned char points[BATCH][BYTES]) {
    vector words[BYTES / 8];
    for (int lane = 0; lane < BATCH; lane++) {
        for (int i = 0; i < BYTES / 8; i++) {
            memcpy(&w->words[i][lane], points[lane] + 8 * i, 8);
        }
    }
    for (int i = 0; i < BYTES / 8; i++) {
        words[i] = _mm512_load_si512(w->words[i]);
    }
    words[3] = AND(words[3], EACH(INT64_MAX)); /* bit 255 does not count */
    numbers_from_words(&w->x1, words);
    EACH_LIMB {
        w->x3.limb[i] = w->x1.limb[i];
        w->x2.limb[i] = w->z3.limb[i] = EACH(i == 0 ? 1 : 0);
        w->z2.limb[i] = ZERO();
    }
}

static void read_bits(struct work *w, const unsigned char scalars[BATCH][BYTES]) {
    for (int t = 0; t <= TOP_BIT; t++) {
        unsigned bits = 0;
        for (int lane = 0; lane < BATCH; lane++) {
            unsigned byte = scalars[lane][t / 8];
            bits |= (byte >> t % 8 & 1) << lane;
        }
        w->bits[t] = (__mmask8)bits;
    }
}

IFMA static void climb(struct work *w) {
    __mmask8 swapped = 0;
    for (int t = TOP_BIT; t >= 0; t--) {
        swap(w, w->bits[t] ^ swapped);
        swapped = w->bits[t];
        step(w);
    }
    swap(w, swapped);
    EACH_LIMB {
        _mm512_store_si512(w->fractions.over[i], w->x2.limb[i]);
        _mm512_store_si512(w->fractions.under[i], w->z2.limb[i]);
    }
}

static POSTERN_NOINLINE void compute(unsigned char out[BATCH][BYTES],
                                     const unsigned char scalars[BATCH][BYTES],
                                     const unsigned char points[BATCH][BYTES]) {
    struct work w;
    begin(&w, points);
    read_bits(&w, scalars);
    climb(&w);
    postern_divide(out, &w.fractions);
}

/* All frames of `compute` and of what it calls. */
POSTERN_DEFINE_WIPE_STACK(sizeof(struct work) + 8192)

void postern_x25519_eight(unsigned char out[BATCH][BYTES],
                          const unsigned char scalars[BATCH][BYTES],
                          const unsigned char points[BATCH][BYTES]) {
    compute(out, scalars, points);
    postern_wipe_stack();
}
