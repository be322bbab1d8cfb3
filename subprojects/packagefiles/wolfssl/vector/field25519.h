/* Arithmetic modulo 2^255 - 19, the prime of X25519, with several numbers at a time (AVX-512 IFMA):
 * four where POSTERN_FIELD_LANES, which the including file defines, is 4, and eight where it is 8.
 *
 * A number is five limbs of 51 bits, and several numbers are five vectors: vector i has limb i of
 * each. A limb that is multiplied must be less than 2^52. After a multiplication or `carry` it is
 * less than 2^51 + 2^15, so the sum of two, or a difference with twice the prime added, must be
 * carried before it is multiplied. */
#ifndef POSTERN_VECTOR_FIELD25519_H
#define POSTERN_VECTOR_FIELD25519_H

#include "vector/intrinsics.h"

#include <stdint.h>
#include <string.h>

enum { LIMBS = 5, LIMB_BITS = 51 };

#define LIMB_MASK ((UINT64_C(1) << LIMB_BITS) - 1)
#define IFMA      POSTERN_IFMA
#define INLINE    static inline __attribute__((always_inline))
#define EACH_LIMB _Pragma("GCC unroll 5") for (int i = 0; i < LIMBS; i++)

#if POSTERN_FIELD_LANES == 4
typedef __m256i vector;
#define EACH(value)         _mm256_set1_epi64x((long long)(value))
#define ZERO()              _mm256_setzero_si256()
#define AND(a, b)           _mm256_and_si256(a, b)
#define ADD(a, b)           _mm256_add_epi64(a, b)
#define SUBTRACT(a, b)      _mm256_sub_epi64(a, b)
#define LEFT(a, n)          _mm256_slli_epi64(a, n)
#define RIGHT(a, n)         _mm256_srli_epi64(a, n)
#define ADD_LOW(sum, a, b)  _mm256_madd52lo_epu64(sum, a, b)
#define ADD_HIGH(sum, a, b) _mm256_madd52hi_epu64(sum, a, b)
#else
typedef __m512i vector;
#define EACH(value)         _mm512_set1_epi64((long long)(value))
#define ZERO()              _mm512_setzero_si512()
#define AND(a, b)           _mm512_and_si512(a, b)
#define ADD(a, b)           _mm512_add_epi64(a, b)
#define SUBTRACT(a, b)      _mm512_sub_epi64(a, b)
#define LEFT(a, n)          _mm512_slli_epi64(a, n)
#define RIGHT(a, n)         _mm512_srli_epi64(a, n)
#define ADD_LOW(sum, a, b)  _mm512_madd52lo_epu64(sum, a, b)
#define ADD_HIGH(sum, a, b) _mm512_madd52hi_epu64(sum, a, b)
#endif

struct numbers {
    vector limb[LIMBS];
};

/* Twice the prime, limb by limb larger than what is subtracted. */
INLINE IFMA vector twice_prime(int limb) {
    return EACH(limb == 0 ? 2 * (LIMB_MASK - 18) : 2 * LIMB_MASK);
}

/* What is above 51 bits goes to the next limb, and from the last to the first: 2^255 is 19. */
INLINE IFMA void carry(struct numbers *x) {
    const vector mask = EACH(LIMB_MASK);
    vector over[LIMBS];
    EACH_LIMB {
        over[i] = RIGHT(x->limb[i], LIMB_BITS);
        x->limb[i] = AND(x->limb[i], mask);
    }
    EACH_LIMB {
        if (i > 0) {
            x->limb[i] = ADD(x->limb[i], over[i - 1]);
        }
    }
    x->limb[0] = ADD_LOW(x->limb[0], over[LIMBS - 1], EACH(19));
}

INLINE IFMA void add(struct numbers *r, const struct numbers *a, const struct numbers *b) {
    EACH_LIMB {
        r->limb[i] = ADD(a->limb[i], b->limb[i]);
    }
    carry(r);
}

INLINE IFMA void subtract(struct numbers *r, const struct numbers *a, const struct numbers *b) {
    EACH_LIMB {
        r->limb[i] = ADD(a->limb[i], SUBTRACT(twice_prime(i), b->limb[i]));
    }
    carry(r);
}

INLINE IFMA vector times_19(vector x) {
    vector twice = LEFT(x, 1), sixteenfold = LEFT(x, 4);
    return ADD(ADD(x, twice), sixteenfold);
}

/* Of sums of the halves of products. The high half counts 2^52, which is twice the weight of the
 * next limb. */
INLINE IFMA void reduce(struct numbers *r, const vector low[2 * LIMBS],
                        const vector high[2 * LIMBS]) {
    vector sum[2 * LIMBS];
    _Pragma("GCC unroll 10") for (int k = 0; k < 2 * LIMBS; k++) {
        sum[k] = ADD(low[k], LEFT(high[k], 1));
    }
    EACH_LIMB {
        r->limb[i] = ADD(sum[i], times_19(sum[i + LIMBS]));
    }
    carry(r);
}

INLINE IFMA void multiply(struct numbers *r, const struct numbers *a, const struct numbers *b) {
    const vector zero = ZERO();
    vector low[2 * LIMBS], high[2 * LIMBS];
    _Pragma("GCC unroll 10") for (int k = 0; k < 2 * LIMBS; k++) {
        low[k] = high[k] = zero;
    }
    EACH_LIMB {
        _Pragma("GCC unroll 5") for (int j = 0; j < LIMBS; j++) {
            low[i + j] = ADD_LOW(low[i + j], a->limb[i], b->limb[j]);
            high[i + j + 1] = ADD_HIGH(high[i + j + 1], a->limb[i], b->limb[j]);
        }
    }
    reduce(r, low, high);
}

/* The same as multiply(r, a, a), with fewer instructions. */
INLINE IFMA void square(struct numbers *r, const struct numbers *a) {
    vector low[2 * LIMBS], high[2 * LIMBS];
    _Pragma("GCC unroll 10") for (int k = 0; k < 2 * LIMBS; k++) {
        low[k] = high[k] = ZERO();
    }
    EACH_LIMB { /* each product of two different limbs is there twice */
        _Pragma("GCC unroll 5") for (int j = i + 1; j < LIMBS; j++) {
            low[i + j] = ADD_LOW(low[i + j], a->limb[i], a->limb[j]);
            high[i + j + 1] = ADD_HIGH(high[i + j + 1], a->limb[i], a->limb[j]);
        }
    }
    _Pragma("GCC unroll 10") for (int k = 0; k < 2 * LIMBS; k++) {
        low[k] = LEFT(low[k], 1);
        high[k] = LEFT(high[k], 1);
    }
    EACH_LIMB {
        low[2 * i] = ADD_LOW(low[2 * i], a->limb[i], a->limb[i]);
        high[2 * i + 1] = ADD_HIGH(high[2 * i + 1], a->limb[i], a->limb[i]);
    }
    reduce(r, low, high);
}

/* Four words of each number, lowest first. */
INLINE IFMA void numbers_from_words(struct numbers *r, const vector words[4]) {
    const vector mask = EACH(LIMB_MASK);
    r->limb[0] = AND(words[0], mask);
    r->limb[1] = AND(ADD(RIGHT(words[0], 51), LEFT(words[1], 13)), mask);
    r->limb[2] = AND(ADD(RIGHT(words[1], 38), LEFT(words[2], 26)), mask);
    r->limb[3] = AND(ADD(RIGHT(words[2], 25), LEFT(words[3], 39)), mask);
    r->limb[4] = RIGHT(words[3], 12);
}

/* Of limbs below 2^52; the result is below 2^255 and may still be the prime or more. */
static inline void bytes_from_limbs(unsigned char bytes[32], uint64_t limbs[LIMBS]) {
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

#endif
