/* Public keys of X25519, eight at a time; deleted together with x25519.c.
 *
 * The base point times a scalar is the sum of one point for each four bits of the scalar, which are
 * taken from a table. The table is upstream's, for Ed25519, whose curve is the same in other
 * coordinates: u = (1 + y) / (1 - y). What is added is chosen by looking at every entry. Each of
 * the eight lanes of a vector has a scalar of its own.
 *
 * Points are in extended coordinates (x = X / Z, y = Y / Z, X Y = Z T), and the letters those of
 * "Twisted Edwards Curves Revisited" (Hisil, Wong, Carter, Dawson 2008), 3.1; these formulas hold
 * for all points. No scalar is a multiple of the base point's order, so no denominator is zero. */
#include "vector/x25519_base.h"
#include "vector/fractions.h"
#include "vector/library_ge.h"
#include "vector/wipe.h"
#define POSTERN_FIELD_LANES 8
#include "vector/field25519.h"

#include <stdint.h>
#include <string.h>

enum { BATCH = POSTERN_X25519_BATCH, BYTES = POSTERN_X25519_BYTES, WINDOWS = 64, WORDS = 4 };

struct point {
    struct numbers x, y, z, t;
};

/* A point of the table: y + x, y - x, and 2dxy, or 2xy in the table's first row. */
struct summand {
    struct numbers plus, minus, product;
};

/* Everything secret that lives in memory. */
struct work {
    _Alignas(64) uint64_t size[WINDOWS][BATCH]; /* of the digits */
    unsigned char negative[WINDOWS];            /* a bit for each lane */
    struct postern_fractions fractions;
};

/* Digits from -8 to 8, the lowest first. */
static void recode(struct work *w, int lane, const unsigned char *scalar) {
    unsigned above = 0;
    for (int i = 0; i < WINDOWS; i++) {
        unsigned digit = (scalar[i / 2] >> 4 * (i % 2) & 15) + above;
        above = i < WINDOWS - 1 ? (digit + 8) >> 4 : 0;
        digit -= above << 4;
        w->size[i][lane] = (digit ^ (0 - above)) + above;
        w->negative[i] = (unsigned char)(w->negative[i] | above << lane);
    }
}

/* --- the sum --- */

/* Where the digit is 0: the neutral element (0, 1). */
INLINE IFMA void choose(struct summand *s, const struct postern_multiple *row, vector size,
                        __mmask8 negative) {
    vector plus[WORDS], minus[WORDS], product[WORDS];
    for (int i = 0; i < WORDS; i++) {
        plus[i] = minus[i] = EACH(i == 0 ? 1 : 0);
        product[i] = ZERO();
    }
    for (int n = 0; n < POSTERN_MULTIPLES; n++) {
        __mmask8 this = _mm512_cmpeq_epu64_mask(size, EACH(n + 1));
        for (int i = 0; i < WORDS; i++) { /* an entry */
            plus[i] = _mm512_mask_mov_epi64(plus[i], this, EACH(row[n].plus[i]));
            minus[i] = _mm512_mask_mov_epi64(minus[i], this, EACH(row[n].minus[i]));
            product[i] = _mm512_mask_mov_epi64(product[i], this, EACH(row[n].product[i]));
        }
    }
    for (int i = 0; i < WORDS; i++) { /* (-x, y) */
        vector positive = plus[i];
        plus[i] = _mm512_mask_mov_epi64(plus[i], negative, minus[i]);
        minus[i] = _mm512_mask_mov_epi64(minus[i], negative, positive);
    }
    numbers_from_words(&s->plus, plus);
    numbers_from_words(&s->minus, minus);
    numbers_from_words(&s->product, product);
    EACH_LIMB { /* less than 2^52 */
        vector *limb = &s->product.limb[i];
        *limb = _mm512_mask_sub_epi64(*limb, negative, twice_prime(i), *limb);
    }
}

/* Of a point of the first row; Z = 2. */
INLINE IFMA void point_from_summand(struct point *p, const struct summand *s) {
    subtract(&p->x, &s->plus, &s->minus);
    add(&p->y, &s->plus, &s->minus);
    EACH_LIMB {
        p->z.limb[i] = EACH(i == 0 ? 2 : 0);
    }
    p->t = s->product;
}

INLINE IFMA void point_add(struct point *p, const struct summand *s) {
    struct numbers a, b, c, d, e, f, g, h;
    subtract(&a, &p->y, &p->x);
    add(&b, &p->y, &p->x);
    multiply(&a, &a, &s->minus);
    multiply(&b, &b, &s->plus);
    multiply(&c, &p->t, &s->product);
    add(&d, &p->z, &p->z);
    subtract(&e, &b, &a);
    subtract(&f, &d, &c);
    add(&g, &d, &c);
    add(&h, &b, &a);
    multiply(&p->x, &e, &f);
    multiply(&p->y, &g, &h);
    multiply(&p->t, &e, &h);
    multiply(&p->z, &f, &g);
}

IFMA static void sum_up(struct work *w) {
    struct point p;
    struct summand s;
    struct numbers over, under;
    choose(&s, postern_multiples(0), _mm512_load_si512(w->size[0]), w->negative[0]);
    point_from_summand(&p, &s);
    for (int i = 1; i < WINDOWS; i++) {
        choose(&s, postern_multiples(i), _mm512_load_si512(w->size[i]), w->negative[i]);
        point_add(&p, &s);
    }
    add(&over, &p.z, &p.y);
    subtract(&under, &p.z, &p.y);
    EACH_LIMB {
        _mm512_store_si512(w->fractions.over[i], over.limb[i]);
        _mm512_store_si512(w->fractions.under[i], under.limb[i]);
    }
}

static POSTERN_NOINLINE void compute(unsigned char out[BATCH][BYTES],
                                     const unsigned char scalars[BATCH][BYTES]) {
    struct work w;
    memset(w.negative, 0, sizeof w.negative);
    for (int i = 0; i < BATCH; i++) {
        recode(&w, i, scalars[i]);
    }
    sum_up(&w);
    postern_divide(out, &w.fractions);
}

/* All frames of `compute` and of what it calls. */
POSTERN_DEFINE_WIPE_STACK(sizeof(struct work) + 8192)

void postern_x25519_base(unsigned char out[BATCH][BYTES],
                         const unsigned char scalars[BATCH][BYTES]) {
    compute(out, scalars);
    postern_wipe_stack();
}
