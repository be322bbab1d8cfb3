/* Upstream inverts by a power (Fermat), which takes two to three times as long. Deleted together
 * with p256.c and x25519.c.
 *
 * "Fast constant-time gcd computation and modular inversion" (Bernstein, Yang 2019), with the
 * variant of half a delta, for which 590 steps are enough for 256 bits (Wuille, "The safegcd
 * implementation in libsecp256k1 explained", 2021).
 *
 * A step makes (f, g) of (f, g), where f is odd: g is made even by adding f or subtracting it,
 * halved, and the two change places now and then. What is decided looks only at the lowest bits and
 * at theta, so 59 steps are done on words, written down as a matrix, and then applied to the whole
 * numbers. At the end g is 0 and f is 1 or -1; d and e have gone along, so that d x = f and e x = g
 * modulo M. Signed numbers, whose limbs are of 62 bits but for the highest. */
#include "vector/inverse.h"

#include <string.h>

enum { WORDS = POSTERN_INVERSE_WORDS, LIMBS = POSTERN_INVERSE_LIMBS, MOST = 2 };
enum { LIMB_BITS = 62, STEPS = 59, BATCHES = 10 };

#define LIMB_MASK ((UINT64_C(1) << LIMB_BITS) - 1)
#define INLINE    static inline __attribute__((always_inline))

typedef __int128 wide;

struct number {
    int64_t limbs[LIMBS];
};

/* 2^62 times what 59 steps do: f = (u f + v g) / 2^62, g = (q f + r g) / 2^62. */
struct matrix {
    int64_t u, v, q, r;
};

struct inversion {
    const struct postern_modulus *modulus;
    struct number d, e, f, g;
    uint64_t theta; /* half a delta, less one half, negated */
    struct matrix matrix;
};

/* --- steps --- */

/* Everything modulo 2^64, where only the bits count that are not shifted out. */
struct words {
    uint64_t f, g, u, v, q, r, theta;
};

INLINE void step(struct words *w) {
    const uint64_t swap = 0 - (w->theta >> 63), odd = 0 - (w->g & 1);
    /* Where g is odd, f is added, or subtracted if they are to change places: g - f. */
    w->g += ((w->f ^ swap) - swap) & odd;
    w->q += ((w->u ^ swap) - swap) & odd;
    w->r += ((w->v ^ swap) - swap) & odd;
    /* And f becomes the g that was: f + (g - f). */
    const uint64_t both = swap & odd;
    w->theta = (w->theta ^ both) - 1;
    w->f += w->g & both;
    w->u += w->q & both;
    w->v += w->r & both;
    w->g >>= 1;
    w->u <<= 1;
    w->v <<= 1;
}

/* Two chains of steps, side by side, are hardly slower than one. */
INLINE void many_steps(struct inversion *inversions, int count) {
    struct words w[MOST];
    for (int i = 0; i < count; i++) {
        const struct inversion *x = &inversions[i];
        w[i] = (struct words){.f = (uint64_t)x->f.limbs[0],
                              .g = (uint64_t)x->g.limbs[0],
                              .u = UINT64_C(1) << (LIMB_BITS - STEPS),
                              .r = UINT64_C(1) << (LIMB_BITS - STEPS),
                              .theta = x->theta};
    }
    for (int n = 0; n < STEPS; n++) {
        _Pragma("GCC unroll 2") for (int i = 0; i < count; i++) {
            step(&w[i]);
        }
    }
    for (int i = 0; i < count; i++) {
        inversions[i].theta = w[i].theta;
        inversions[i].matrix =
            (struct matrix){(int64_t)w[i].u, (int64_t)w[i].v, (int64_t)w[i].q, (int64_t)w[i].r};
    }
}

/* --- whole numbers --- */

/* The lowest limb is zero then, and left out: that divides by 2^62. */
static void apply_to_f_and_g(struct inversion *x) {
    const struct matrix *m = &x->matrix;
    wide f = 0, g = 0;
    for (int i = 0; i < LIMBS; i++) {
        const int64_t old_f = x->f.limbs[i], old_g = x->g.limbs[i];
        f += (wide)m->u * old_f + (wide)m->v * old_g;
        g += (wide)m->q * old_f + (wide)m->r * old_g;
        if (i > 0) {
            x->f.limbs[i - 1] = (int64_t)((uint64_t)f & LIMB_MASK);
            x->g.limbs[i - 1] = (int64_t)((uint64_t)g & LIMB_MASK);
        }
        f >>= LIMB_BITS;
        g >>= LIMB_BITS;
    }
    x->f.limbs[LIMBS - 1] = (int64_t)f;
    x->g.limbs[LIMBS - 1] = (int64_t)g;
}

/* How often the modulus is added so that the lowest limb becomes zero, at least `least` times less
 * 2^62. */
static int64_t times_modulus(const struct postern_modulus *modulus, wide lowest, int64_t least) {
    return least - (int64_t)((modulus->inverse * (uint64_t)lowest + (uint64_t)least) & LIMB_MASK);
}

/* Both are and stay above -2M and below M: the modulus is added to what is negative first. */
static void apply_to_d_and_e(struct inversion *x) {
    const struct matrix *m = &x->matrix;
    const int64_t *modulus = x->modulus->limbs;
    const int64_t d_negative = x->d.limbs[LIMBS - 1] >> 63;
    const int64_t e_negative = x->e.limbs[LIMBS - 1] >> 63;
    wide d = (wide)m->u * x->d.limbs[0] + (wide)m->v * x->e.limbs[0];
    wide e = (wide)m->q * x->d.limbs[0] + (wide)m->r * x->e.limbs[0];
    const int64_t to_d = times_modulus(x->modulus, d, (m->u & d_negative) + (m->v & e_negative));
    const int64_t to_e = times_modulus(x->modulus, e, (m->q & d_negative) + (m->r & e_negative));
    d = (d + (wide)modulus[0] * to_d) >> LIMB_BITS;
    e = (e + (wide)modulus[0] * to_e) >> LIMB_BITS;
    for (int i = 1; i < LIMBS; i++) {
        const int64_t old_d = x->d.limbs[i], old_e = x->e.limbs[i];
        d += (wide)m->u * old_d + (wide)m->v * old_e + (wide)modulus[i] * to_d;
        e += (wide)m->q * old_d + (wide)m->r * old_e + (wide)modulus[i] * to_e;
        x->d.limbs[i - 1] = (int64_t)((uint64_t)d & LIMB_MASK);
        x->e.limbs[i - 1] = (int64_t)((uint64_t)e & LIMB_MASK);
        d >>= LIMB_BITS;
        e >>= LIMB_BITS;
    }
    x->d.limbs[LIMBS - 1] = (int64_t)d;
    x->e.limbs[LIMBS - 1] = (int64_t)e;
}

static void carry(struct number *n) {
    for (int i = 0; i < LIMBS - 1; i++) {
        n->limbs[i + 1] += n->limbs[i] >> LIMB_BITS;
        n->limbs[i] = (int64_t)((uint64_t)n->limbs[i] & LIMB_MASK);
    }
}

static void add_if_negative(struct number *n, const struct postern_modulus *modulus) {
    const int64_t negative = n->limbs[LIMBS - 1] >> 63;
    for (int i = 0; i < LIMBS; i++) {
        n->limbs[i] += modulus->limbs[i] & negative;
    }
    carry(n);
}

/* d has the sign of f too much, and may be negative by as much as 2M. */
static void finish(struct inversion *x) {
    const int64_t negative = x->f.limbs[LIMBS - 1] >> 63;
    add_if_negative(&x->d, x->modulus);
    for (int i = 0; i < LIMBS; i++) {
        x->d.limbs[i] = (x->d.limbs[i] ^ negative) - negative;
    }
    carry(&x->d);
    add_if_negative(&x->d, x->modulus);
}

/* --- in and out --- */

static struct number number_from_words(const uint64_t w[WORDS]) {
    const uint64_t limbs[LIMBS] = {w[0], w[0] >> 62 | w[1] << 2, w[1] >> 60 | w[2] << 4,
                                   w[2] >> 58 | w[3] << 6, w[3] >> 56};
    struct number n;
    for (int i = 0; i < LIMBS; i++) {
        n.limbs[i] = (int64_t)(limbs[i] & LIMB_MASK);
    }
    return n;
}

static void words_from_number(uint64_t w[WORDS], const struct number *n) {
    uint64_t limbs[LIMBS];
    memcpy(limbs, n->limbs, sizeof limbs);
    w[0] = limbs[0] | limbs[1] << 62;
    w[1] = limbs[1] >> 2 | limbs[2] << 60;
    w[2] = limbs[2] >> 4 | limbs[3] << 58;
    w[3] = limbs[3] >> 6 | limbs[4] << 56;
}

INLINE void invert(struct inversion *inversions, int count) {
    for (int n = 0; n < BATCHES; n++) {
        many_steps(inversions, count);
        for (int i = 0; i < count; i++) {
            apply_to_d_and_e(&inversions[i]);
            apply_to_f_and_g(&inversions[i]);
        }
    }
    for (int i = 0; i < count; i++) {
        finish(&inversions[i]);
    }
}

static struct inversion begin(const uint64_t x[WORDS], const struct postern_modulus *modulus) {
    struct inversion inversion = {
        .modulus = modulus, .e = {{1}}, .g = number_from_words(x), .theta = UINT64_MAX};
    memcpy(inversion.f.limbs, modulus->limbs, sizeof inversion.f.limbs);
    return inversion;
}

void postern_invert(uint64_t r[WORDS], const uint64_t x[WORDS],
                    const struct postern_modulus *modulus) {
    struct inversion inversion = begin(x, modulus);
    invert(&inversion, 1);
    words_from_number(r, &inversion.d);
}

void postern_invert_two(uint64_t r[2][WORDS], const uint64_t x[2][WORDS],
                        const struct postern_modulus *const moduli[2]) {
    struct inversion inversions[2] = {begin(x[0], moduli[0]), begin(x[1], moduli[1])};
    invert(inversions, 2);
    words_from_number(r[0], &inversions[0].d);
    words_from_number(r[1], &inversions[1].d);
}
