/* wolfSSL merged X25519 by AVX-512 IFMA after 5.9.2 (pull request 11043). With the first release
 * that has it this file is deleted.
 *
 * The Montgomery ladder of RFC 7748, four field multiplications at a time.
 *
 * A number is five limbs of 51 bits, and four numbers are five vectors: vector i has limb i of
 * each. The letters are those of RFC 7748, 5. A limb that is multiplied must be less than 2^52.
 * After a multiplication or `carry` it is less than 2^51 + 2^15, so the sum of two, or a difference
 * with twice the prime added, must be carried before it is multiplied. */
#include "vector/x25519.h"
#include "vector/intrinsics.h"
#include "vector/wipe.h"

#include <stdint.h>
#include <string.h>

#include "user_settings.h"
#include <wolfssl/wolfcrypt/fe_operations.h>
#include <wolfssl/wolfcrypt/types.h>

enum { LIMBS = 5, LIMB_BITS = 51, TOP_BIT = 254, A24 = 121665 };

#define LIMB_MASK ((UINT64_C(1) << LIMB_BITS) - 1)
#define IFMA      POSTERN_IFMA
#define INLINE    static inline __attribute__((always_inline))
#define EACH_LIMB _Pragma("GCC unroll 5") for (int i = 0; i < LIMBS; i++)

typedef __m256i vector;

/* For _mm256_permute4x64_epi64: where the new lanes 0 to 3 come from. */
#define LANES(a, b, c, d) ((a) | (b) << 2 | (c) << 4 | (d) << 6)
/* Masks of lanes. */
enum { LANE_0 = 1, LANE_1 = 2, LANE_2 = 4, LANE_3 = 8 };

struct four {
    vector limb[LIMBS];
};

/* --- fields of four --- */

INLINE IFMA vector each(uint64_t value) {
    return _mm256_set1_epi64x((long long)value);
}

/* Twice the prime, limb by limb larger than what is subtracted. */
INLINE IFMA vector twice_prime(int limb) {
    return each(limb == 0 ? 2 * (LIMB_MASK - 18) : 2 * LIMB_MASK);
}

/* What is above 51 bits goes to the next limb, and from the last to the first: 2^255 is 19. */
INLINE IFMA void carry(struct four *x) {
    const vector mask = each(LIMB_MASK);
    vector over[LIMBS];
    EACH_LIMB {
        over[i] = _mm256_srli_epi64(x->limb[i], LIMB_BITS);
        x->limb[i] = _mm256_and_si256(x->limb[i], mask);
    }
    EACH_LIMB {
        if (i > 0) {
            x->limb[i] = _mm256_add_epi64(x->limb[i], over[i - 1]);
        }
    }
    x->limb[0] = _mm256_madd52lo_epu64(x->limb[0], over[LIMBS - 1], each(19));
}

INLINE IFMA vector times_19(vector x) {
    vector twice = _mm256_slli_epi64(x, 1), sixteenfold = _mm256_slli_epi64(x, 4);
    return _mm256_add_epi64(_mm256_add_epi64(x, twice), sixteenfold);
}

/* The high half of a product counts 2^52, which is twice the weight of the next limb. */
INLINE IFMA void multiply(struct four *r, const struct four *a, const struct four *b) {
    const vector zero = _mm256_setzero_si256();
    vector low[2 * LIMBS], high[2 * LIMBS], sum[2 * LIMBS];
    _Pragma("GCC unroll 10") for (int k = 0; k < 2 * LIMBS; k++) {
        low[k] = high[k] = zero;
    }
    EACH_LIMB {
        _Pragma("GCC unroll 5") for (int j = 0; j < LIMBS; j++) {
            low[i + j] = _mm256_madd52lo_epu64(low[i + j], a->limb[i], b->limb[j]);
            high[i + j + 1] = _mm256_madd52hi_epu64(high[i + j + 1], a->limb[i], b->limb[j]);
        }
    }
    _Pragma("GCC unroll 10") for (int k = 0; k < 2 * LIMBS; k++) {
        sum[k] = _mm256_add_epi64(low[k], _mm256_slli_epi64(high[k], 1));
    }
    EACH_LIMB {
        r->limb[i] = _mm256_add_epi64(sum[i], times_19(sum[i + LIMBS]));
    }
    carry(r);
}

/* --- the ladder --- */

/* One step for points (x2 : z2) and (x3 : z3), which are the lanes of `points`; with `swap` 1 they
 * are exchanged first. x1 is in lane 3 of `x1`. */
INLINE IFMA void ladder_step(struct four *points, const struct four *x1, uint64_t swap) {
    const vector x_lanes = _mm256_xor_si256(_mm256_set_epi64x(2, 2, 0, 0), each(2 * swap));
    const vector z_lanes = _mm256_xor_si256(_mm256_set_epi64x(3, 3, 1, 1), each(2 * swap));
    struct four sums, left, right, first, second, third;
    EACH_LIMB { /* A = x2 + z2, B = x2 - z2, C = x3 + z3, D = x3 - z3 */
        vector x = _mm256_permutexvar_epi64(x_lanes, points->limb[i]);
        vector z = _mm256_permutexvar_epi64(z_lanes, points->limb[i]);
        z = _mm256_mask_sub_epi64(z, LANE_1 | LANE_3, twice_prime(i), z);
        sums.limb[i] = _mm256_add_epi64(x, z);
    }
    carry(&sums);
    EACH_LIMB {
        left.limb[i] = _mm256_permute4x64_epi64(sums.limb[i], LANES(0, 1, 3, 2));
        right.limb[i] = _mm256_permute4x64_epi64(sums.limb[i], LANES(0, 1, 0, 1));
    }
    multiply(&first, &left, &right); /* AA, BB, DA, CB */
    EACH_LIMB {                      /* E = AA - BB, AA, DA + CB, DA - CB */
        vector p = _mm256_permute4x64_epi64(first.limb[i], LANES(0, 0, 2, 2));
        vector q = _mm256_permute4x64_epi64(first.limb[i], LANES(1, 1, 3, 3));
        vector signed_q = _mm256_mask_sub_epi64(q, LANE_0 | LANE_3, twice_prime(i), q);
        signed_q = _mm256_maskz_mov_epi64(LANE_0 | LANE_2 | LANE_3, signed_q);
        left.limb[i] = _mm256_add_epi64(p, signed_q);
        right.limb[i] = q;
    }
    carry(&left);
    EACH_LIMB { /* a24, BB, DA + CB, DA - CB */
        right.limb[i] = _mm256_mask_mov_epi64(right.limb[i], LANE_2 | LANE_3, left.limb[i]);
        right.limb[i] = _mm256_mask_mov_epi64(right.limb[i], LANE_0, each(i == 0 ? A24 : 0));
    }
    sums = left;
    multiply(&second, &left, &right); /* a24 E, x2 = AA BB, x3 = (DA + CB)^2, (DA - CB)^2 */
    EACH_LIMB {                       /* AA + a24 E, -, -, - */
        vector aa = _mm256_permute4x64_epi64(sums.limb[i], LANES(1, 1, 1, 1));
        right.limb[i] = _mm256_add_epi64(second.limb[i], aa);
    }
    carry(&right);
    EACH_LIMB {
        left.limb[i] = _mm256_mask_mov_epi64(second.limb[i], LANE_0, sums.limb[i]);
        right.limb[i] = _mm256_mask_mov_epi64(right.limb[i], LANE_3, x1->limb[i]);
    }
    multiply(&third, &left, &right); /* z2 = E (AA + a24 E), -, -, z3 = x1 (DA - CB)^2 */
    EACH_LIMB {
        vector x = _mm256_permute4x64_epi64(second.limb[i], LANES(1, 1, 2, 2));
        vector z = _mm256_permute4x64_epi64(third.limb[i], LANES(0, 0, 3, 3));
        points->limb[i] = _mm256_mask_mov_epi64(x, LANE_1 | LANE_3, z);
    }
}

/* --- in and out --- */

static void limbs_from_bytes(uint64_t limbs[LIMBS], const unsigned char bytes[32]) {
    uint64_t words[4];
    memcpy(words, bytes, sizeof words);
    limbs[0] = words[0] & LIMB_MASK;
    limbs[1] = (words[0] >> 51 | words[1] << 13) & LIMB_MASK;
    limbs[2] = (words[1] >> 38 | words[2] << 26) & LIMB_MASK;
    limbs[3] = (words[2] >> 25 | words[3] << 39) & LIMB_MASK;
    limbs[4] = words[3] >> 12 & LIMB_MASK;
}

/* Of limbs below 2^52; the result is below 2^255 and may still be the prime or more. */
static void bytes_from_limbs(unsigned char bytes[32], uint64_t limbs[LIMBS]) {
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < LIMBS - 1; i++) {
            limbs[i + 1] += limbs[i] >> LIMB_BITS;
            limbs[i] &= LIMB_MASK;
        }
        limbs[0] += 19 * (limbs[LIMBS - 1] >> LIMB_BITS);
        limbs[LIMBS - 1] &= LIMB_MASK;
    }
    limbs[1] += limbs[0] >> LIMB_BITS; /* at most 18 more than 51 bits, once */
    limbs[0] &= LIMB_MASK;
    uint64_t words[4] = {
        limbs[0] | limbs[1] << 51,
        limbs[1] >> 13 | limbs[2] << 38,
        limbs[2] >> 26 | limbs[3] << 25,
        limbs[3] >> 39 | limbs[4] << 12,
    };
    memcpy(bytes, words, sizeof words);
}

/* Everything secret that lives in memory. */
struct work {
    _Alignas(32) uint64_t lanes[LIMBS][4];
    struct four points, x1;
    uint64_t x[LIMBS], z[LIMBS];
    unsigned char bytes[32];
    fe numerator, denominator;
};

/* The points at the start: (1 : 0) and (u : 1). */
IFMA static void begin(struct work *w, const unsigned char *point) {
    limbs_from_bytes(w->x, point);
    for (int i = 0; i < LIMBS; i++) {
        uint64_t one = i == 0;
        w->points.limb[i] =
            _mm256_set_epi64x((long long)one, (long long)w->x[i], 0, (long long)one);
        w->x1.limb[i] = _mm256_set_epi64x((long long)w->x[i], 0, 0, 0);
    }
}

IFMA static void climb(struct work *w, const unsigned char *scalar) {
    struct four points = w->points;
    uint64_t swap = 0;
    for (int t = TOP_BIT; t >= 0; t--) {
        uint64_t bit = scalar[t / 8] >> t % 8 & 1;
        ladder_step(&points, &w->x1, swap ^ bit);
        swap = bit;
    }
    for (int i = 0; i < LIMBS; i++) {
        _mm256_store_si256((vector *)w->lanes[i], points.limb[i]);
        uint64_t second = 0 - swap;
        w->x[i] = (w->lanes[i][0] & ~second) | (w->lanes[i][2] & second);
        w->z[i] = (w->lanes[i][1] & ~second) | (w->lanes[i][3] & second);
    }
}

static POSTERN_NOINLINE void compute(unsigned char *out, const unsigned char *scalar,
                                     const unsigned char *point) {
    struct work w;
    begin(&w, point);
    climb(&w, scalar);
    bytes_from_limbs(w.bytes, w.x);
    fe_frombytes(w.numerator, w.bytes);
    bytes_from_limbs(w.bytes, w.z);
    fe_frombytes(w.denominator, w.bytes);
    fe_invert(w.denominator, w.denominator);
    fe_mul(w.numerator, w.numerator, w.denominator);
    fe_tobytes(out, w.numerator);
}

/* All frames of `compute` and of what it calls, the library's inversion included. */
POSTERN_DEFINE_WIPE_STACK(sizeof(struct work) + 2048)

void postern_x25519(unsigned char out[POSTERN_X25519_BYTES],
                    const unsigned char scalar[POSTERN_X25519_BYTES],
                    const unsigned char point[POSTERN_X25519_BYTES]) {
    compute(out, scalar, point);
    postern_wipe_stack();
}
