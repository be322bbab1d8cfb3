/* wolfSSL merged X25519 by AVX-512 IFMA after 5.9.2 (pull request 11043). With the first release
 * that has it this file is deleted.
 *
 * The Montgomery ladder of RFC 7748, four field multiplications at a time.
 * The letters are those of RFC 7748, 5. */
#include "vector/x25519.h"
#include "vector/fractions.h"
#include "vector/wipe.h"
#define POSTERN_FIELD_LANES 4
#include "vector/field25519.h"

#include <stdint.h>
#include <string.h>

#include "user_settings.h"
#include <wolfssl/wolfcrypt/fe_operations.h>
#include <wolfssl/wolfcrypt/types.h>

enum { TOP_BIT = 254, A24 = 121665 };

/* For _mm256_permute4x64_epi64: where the new lanes 0 to 3 come from. */
#define LANES(a, b, c, d) ((a) | (b) << 2 | (c) << 4 | (d) << 6)
/* Masks of lanes. */
enum { LANE_0 = 1, LANE_1 = 2, LANE_2 = 4, LANE_3 = 8 };

/* --- the ladder --- */

/* One step for points (x2 : z2) and (x3 : z3), which are the lanes of `points`; with `swap` 1 they
 * are exchanged first. x1 is in lane 3 of `x1`. */
INLINE IFMA void ladder_step(struct numbers *points, const struct numbers *x1, uint64_t swap) {
    const vector x_lanes = _mm256_xor_si256(_mm256_set_epi64x(2, 2, 0, 0), EACH(2 * swap));
    const vector z_lanes = _mm256_xor_si256(_mm256_set_epi64x(3, 3, 1, 1), EACH(2 * swap));
    struct numbers sums, left, right, first, second, third;
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
        right.limb[i] = _mm256_mask_mov_epi64(right.limb[i], LANE_0, EACH(i == 0 ? A24 : 0));
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

/* Everything secret that lives in memory. */
struct work {
    _Alignas(32) uint64_t lanes[LIMBS][4];
    struct numbers points, x1;
    uint64_t x[LIMBS], z[LIMBS];
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
    struct numbers points = w->points;
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
    postern_fe_from_limbs(w.numerator, w.x);
    postern_fe_from_limbs(w.denominator, w.z);
    postern_fe_invert(w.denominator);
    fe_mul(w.numerator, w.numerator, w.denominator);
    fe_tobytes(out, w.numerator);
}

/* All frames of `compute` and of what it calls. */
POSTERN_DEFINE_WIPE_STACK(sizeof(struct work) + 4096)

void postern_x25519(unsigned char out[POSTERN_X25519_BYTES],
                    const unsigned char scalar[POSTERN_X25519_BYTES],
                    const unsigned char point[POSTERN_X25519_BYTES]) {
    compute(out, scalar, point);
    postern_wipe_stack();
}
