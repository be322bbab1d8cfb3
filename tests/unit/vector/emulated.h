/* The intrinsics of the vector code in plain C (POSTERN_EMULATED_INTRINSICS of
 * vector/intrinsics.h), from Intel's description of each. No branch and no address depends on a
 * vector or a mask, but for those masks and orders that the kernels take from lengths or write as
 * constants: what valgrind finds is the kernel's own. For little-endian machines. */
#ifndef POSTERN_TEST_EMULATED_H
#define POSTERN_TEST_EMULATED_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define POSTERN_IFMA
#define POSTERN_VAES
#define POSTERN_SETTLE_5(v) (void)(v)

#define EMULATED static inline __attribute__((unused))

typedef struct {
    _Alignas(16) uint64_t q[2];
} __attribute__((may_alias)) __m128i;
typedef struct {
    _Alignas(32) uint64_t q[4];
} __attribute__((may_alias)) __m256i;
typedef struct {
    _Alignas(64) uint64_t q[8];
} __attribute__((may_alias)) __m512i;
typedef uint8_t __mmask8;
typedef uint64_t __mmask64;
typedef int _MM_PERM_ENUM;

/* What a cast to a wider vector leaves undefined. */
#define EMULATED_GARBAGE UINT64_C(0xdeadbeefdeadbeef)

/* --- words --- */

/* All ones where bit `i` of the mask is set. */
EMULATED uint64_t emulated_lane(uint64_t mask, int i) {
    return 0 - (mask >> i & 1);
}

/* 1 where they are equal. */
EMULATED uint64_t emulated_equal(uint64_t a, uint64_t b) {
    uint64_t difference = a ^ b;
    return ((difference | (0 - difference)) >> 63) ^ 1;
}

/* 1 where a is larger. */
EMULATED uint64_t emulated_larger(uint64_t a, uint64_t b) {
    return ((~b & a) | (~(b ^ a) & (b - a))) >> 63;
}

EMULATED unsigned __int128 emulated_product_52(uint64_t a, uint64_t b) {
    const uint64_t mask = (UINT64_C(1) << 52) - 1;
    return (unsigned __int128)(a & mask) * (b & mask);
}

/* --- 256 bits --- */

#define EMULATED_256(name, parameters, expression)                                                 \
    EMULATED __m256i name parameters {                                                             \
        __m256i r;                                                                                 \
        for (int i = 0; i < 4; i++) {                                                              \
            r.q[i] = (expression);                                                                 \
        }                                                                                          \
        return r;                                                                                  \
    }

EMULATED_256(_mm256_setzero_si256, (void), 0)
EMULATED_256(_mm256_set1_epi64x, (long long x), (uint64_t)x)
EMULATED_256(_mm256_add_epi64, (__m256i a, __m256i b), a.q[i] + b.q[i])
EMULATED_256(_mm256_and_si256, (__m256i a, __m256i b), a.q[i] & b.q[i])
EMULATED_256(_mm256_or_si256, (__m256i a, __m256i b), a.q[i] | b.q[i])
EMULATED_256(_mm256_xor_si256, (__m256i a, __m256i b), a.q[i] ^ b.q[i])
EMULATED_256(_mm256_slli_epi64, (__m256i a, int n), a.q[i] << n)
EMULATED_256(_mm256_srli_epi64, (__m256i a, int n), a.q[i] >> n)
EMULATED_256(_mm256_cmpeq_epi64, (__m256i a, __m256i b), 0 - emulated_equal(a.q[i], b.q[i]))
EMULATED_256(_mm256_broadcastq_epi64, (__m128i a), a.q[0])
EMULATED_256(_mm256_set_m128i, (__m128i high, __m128i low), i < 2 ? low.q[i] : high.q[i - 2])
EMULATED_256(_mm256_alignr_epi64, (__m256i high, __m256i low, int n),
             i + n < 4 ? low.q[i + n] : high.q[i + n - 4])
EMULATED_256(_mm256_permute4x64_epi64, (__m256i a, int order), a.q[order >> 2 * i & 3])
EMULATED_256(_mm256_madd52lo_epu64, (__m256i sum, __m256i a, __m256i b),
             sum.q[i] + ((uint64_t)emulated_product_52(a.q[i], b.q[i]) & (UINT64_MAX >> 12)))
EMULATED_256(_mm256_madd52hi_epu64, (__m256i sum, __m256i a, __m256i b),
             sum.q[i] + (uint64_t)(emulated_product_52(a.q[i], b.q[i]) >> 52))
EMULATED_256(_mm256_mask_mov_epi64, (__m256i other, __mmask8 k, __m256i a),
             (a.q[i] & emulated_lane(k, i)) | (other.q[i] & ~emulated_lane(k, i)))
EMULATED_256(_mm256_maskz_mov_epi64, (__mmask8 k, __m256i a), a.q[i] & emulated_lane(k, i))
EMULATED_256(_mm256_maskz_srli_epi64, (__mmask8 k, __m256i a, int n),
             a.q[i] >> n & emulated_lane(k, i))

/* The order is a secret: every word is looked at for every place. */
EMULATED_256(_mm256_permutexvar_epi64, (__m256i order, __m256i a),
             (a.q[0] & (0 - emulated_equal(order.q[i] & 3, 0))) |
                 (a.q[1] & (0 - emulated_equal(order.q[i] & 3, 1))) |
                 (a.q[2] & (0 - emulated_equal(order.q[i] & 3, 2))) |
                 (a.q[3] & (0 - emulated_equal(order.q[i] & 3, 3))))

EMULATED __m256i _mm256_mask_add_epi64(__m256i other, __mmask8 k, __m256i a, __m256i b) {
    return _mm256_mask_mov_epi64(other, k, _mm256_add_epi64(a, b));
}

EMULATED_256(_mm256_sub_epi64, (__m256i a, __m256i b), a.q[i] - b.q[i])

EMULATED __m256i _mm256_mask_sub_epi64(__m256i other, __mmask8 k, __m256i a, __m256i b) {
    return _mm256_mask_mov_epi64(other, k, _mm256_sub_epi64(a, b));
}

EMULATED __mmask8 _mm256_cmpeq_epu64_mask(__m256i a, __m256i b) {
    uint64_t mask = 0;
    for (int i = 0; i < 4; i++) {
        mask |= emulated_equal(a.q[i], b.q[i]) << i;
    }
    return (__mmask8)mask;
}

EMULATED __mmask8 _mm256_cmpgt_epu64_mask(__m256i a, __m256i b) {
    uint64_t mask = 0;
    for (int i = 0; i < 4; i++) {
        mask |= emulated_larger(a.q[i], b.q[i]) << i;
    }
    return (__mmask8)mask;
}

EMULATED __m256i _mm256_set_epi64x(long long q3, long long q2, long long q1, long long q0) {
    return (__m256i){{(uint64_t)q0, (uint64_t)q1, (uint64_t)q2, (uint64_t)q3}};
}

EMULATED __m256i _mm256_load_si256(const __m256i *at) {
    return *at;
}

EMULATED void _mm256_store_si256(__m256i *at, __m256i a) {
    *at = a;
}

EMULATED __m128i _mm256_castsi256_si128(__m256i a) {
    return (__m128i){{a.q[0], a.q[1]}};
}

EMULATED __m128i _mm256_extracti128_si256(__m256i a, int n) {
    return (__m128i){{a.q[2 * n], a.q[2 * n + 1]}};
}

/* --- 128 bits --- */

EMULATED __m128i _mm_setzero_si128(void) {
    return (__m128i){{0, 0}};
}

EMULATED __m128i _mm_set_epi64x(long long q1, long long q0) {
    return (__m128i){{(uint64_t)q0, (uint64_t)q1}};
}

EMULATED __m128i _mm_xor_si128(__m128i a, __m128i b) {
    return (__m128i){{a.q[0] ^ b.q[0], a.q[1] ^ b.q[1]}};
}

EMULATED __m128i _mm_loadu_si128(const __m128i *at) {
    __m128i a;
    memcpy(&a, (const void *)at, sizeof a);
    return a;
}

EMULATED void _mm_storeu_si128(__m128i *at, __m128i a) {
    memcpy((void *)at, &a, sizeof a);
}

EMULATED __m128i emulated_bytes(const char bytes[16]) {
    __m128i a;
    memcpy(&a, bytes, sizeof a);
    return a;
}

#define _mm_set_epi8(bf, be, bd, bc, bb, ba, b9, b8, b7, b6, b5, b4, b3, b2, b1, b0)               \
    emulated_bytes((const char[16]){b0, b1, b2, b3, b4, b5, b6, b7, b8, b9, ba, bb, bc, bd, be, bf})

/* --- 512 bits --- */

#define EMULATED_512(name, parameters, expression)                                                 \
    EMULATED __m512i name parameters {                                                             \
        __m512i r;                                                                                 \
        for (int i = 0; i < 8; i++) {                                                              \
            r.q[i] = (expression);                                                                 \
        }                                                                                          \
        return r;                                                                                  \
    }

EMULATED_512(_mm512_setzero_si512, (void), 0)
EMULATED_512(_mm512_set1_epi64, (long long x), (uint64_t)x)
EMULATED_512(_mm512_add_epi64, (__m512i a, __m512i b), a.q[i] + b.q[i])
EMULATED_512(_mm512_sub_epi64, (__m512i a, __m512i b), a.q[i] - b.q[i])
EMULATED_512(_mm512_and_si512, (__m512i a, __m512i b), a.q[i] & b.q[i])
EMULATED_512(_mm512_slli_epi64, (__m512i a, unsigned n), a.q[i] << n)
EMULATED_512(_mm512_srli_epi64, (__m512i a, unsigned n), a.q[i] >> n)
EMULATED_512(_mm512_madd52lo_epu64, (__m512i sum, __m512i a, __m512i b),
             sum.q[i] + ((uint64_t)emulated_product_52(a.q[i], b.q[i]) & (UINT64_MAX >> 12)))
EMULATED_512(_mm512_madd52hi_epu64, (__m512i sum, __m512i a, __m512i b),
             sum.q[i] + (uint64_t)(emulated_product_52(a.q[i], b.q[i]) >> 52))
EMULATED_512(_mm512_mask_mov_epi64, (__m512i other, __mmask8 k, __m512i a),
             (a.q[i] & emulated_lane(k, i)) | (other.q[i] & ~emulated_lane(k, i)))
EMULATED_512(_mm512_xor_si512, (__m512i a, __m512i b), a.q[i] ^ b.q[i])
EMULATED_512(_mm512_broadcast_i32x4, (__m128i a), a.q[i % 2])
EMULATED_512(_mm512_castsi128_si512, (__m128i a), i < 2 ? a.q[i] : EMULATED_GARBAGE)
EMULATED_512(_mm512_zextsi128_si512, (__m128i a), i < 2 ? a.q[i] : 0)
EMULATED_512(_mm512_castsi256_si512, (__m256i a), i < 4 ? a.q[i] : EMULATED_GARBAGE)
EMULATED_512(_mm512_inserti64x4, (__m512i a, __m256i b, int n), i / 4 == n ? b.q[i % 4] : a.q[i])
EMULATED_512(_mm512_maskz_mov_epi64, (__mmask8 k, __m512i a), a.q[i] & emulated_lane(k, i))

EMULATED __m512i _mm512_mask_sub_epi64(__m512i other, __mmask8 k, __m512i a, __m512i b) {
    return _mm512_mask_mov_epi64(other, k, _mm512_sub_epi64(a, b));
}

EMULATED __mmask8 _mm512_cmpeq_epu64_mask(__m512i a, __m512i b) {
    uint64_t mask = 0;
    for (int i = 0; i < 8; i++) {
        mask |= emulated_equal(a.q[i], b.q[i]) << i;
    }
    return (__mmask8)mask;
}

EMULATED uint64_t emulated_ternary(uint64_t a, uint64_t b, uint64_t c, int table) {
    uint64_t r = 0;
    for (int row = 0; row < 8; row++) {
        uint64_t hit = (row & 4 ? a : ~a) & (row & 2 ? b : ~b) & (row & 1 ? c : ~c);
        r |= hit & emulated_lane((uint64_t)table, row);
    }
    return r;
}

EMULATED_512(_mm512_ternarylogic_epi64, (__m512i a, __m512i b, __m512i c, int table),
             emulated_ternary(a.q[i], b.q[i], c.q[i], table))

EMULATED __m512i _mm512_add_epi32(__m512i a, __m512i b) {
    for (int i = 0; i < 8; i++) {
        uint64_t low = (uint32_t)(a.q[i] + b.q[i]);
        a.q[i] = ((a.q[i] >> 32) + (b.q[i] >> 32)) << 32 | low;
    }
    return a;
}

EMULATED __m512i emulated_dwords(const uint32_t dwords[16]) {
    __m512i a;
    memcpy(&a, dwords, sizeof a);
    return a;
}

#define _mm512_set_epi32(df, de, dd, dc, db, da, d9, d8, d7, d6, d5, d4, d3, d2, d1, d0)           \
    emulated_dwords(                                                                               \
        (const uint32_t[16]){d0, d1, d2, d3, d4, d5, d6, d7, d8, d9, da, db, dc, dd, de, df})

EMULATED __m128i _mm512_castsi512_si128(__m512i a) {
    return (__m128i){{a.q[0], a.q[1]}};
}

EMULATED __m256i _mm512_castsi512_si256(__m512i a) {
    return (__m256i){{a.q[0], a.q[1], a.q[2], a.q[3]}};
}

EMULATED __m128i _mm512_extracti32x4_epi32(__m512i a, int n) {
    return (__m128i){{a.q[2 * n], a.q[2 * n + 1]}};
}

EMULATED __m256i _mm512_extracti64x4_epi64(__m512i a, int n) {
    return (__m256i){{a.q[4 * n], a.q[4 * n + 1], a.q[4 * n + 2], a.q[4 * n + 3]}};
}

EMULATED __m512i _mm512_load_si512(const void *at) {
    return *(const __m512i *)at;
}

EMULATED void _mm512_store_si512(void *at, __m512i a) {
    *(__m512i *)at = a;
}

EMULATED __m512i _mm512_loadu_si512(const void *at) {
    __m512i a;
    memcpy(&a, at, sizeof a);
    return a;
}

EMULATED void _mm512_storeu_si512(void *at, __m512i a) {
    memcpy(at, &a, sizeof a);
}

/* The masks of bytes come from lengths. */

EMULATED __m512i _mm512_maskz_loadu_epi8(__mmask64 k, const void *at) {
    __m512i a = _mm512_setzero_si512();
    for (int i = 0; i < 64; i++) {
        if (k >> i & 1) {
            memcpy((char *)&a + i, (const char *)at + i, 1);
        }
    }
    return a;
}

EMULATED void _mm512_mask_storeu_epi8(void *at, __mmask64 k, __m512i a) {
    for (int i = 0; i < 64; i++) {
        if (k >> i & 1) {
            memcpy((char *)at + i, (const char *)&a + i, 1);
        }
    }
}

EMULATED __m512i _mm512_maskz_mov_epi8(__mmask64 k, __m512i a) {
    return _mm512_maskz_loadu_epi8(k, &a);
}

EMULATED __m512i _mm512_shuffle_epi8(__m512i a, __m512i order) {
    const uint8_t *from = (const uint8_t *)&a, *places = (const uint8_t *)&order;
    uint8_t bytes[64];
    for (int i = 0; i < 64; i++) {
        bytes[i] = places[i] & 0x80 ? 0 : from[i / 16 * 16 + (places[i] & 15)];
    }
    return _mm512_loadu_si512(bytes);
}

EMULATED __m512i _mm512_shuffle_epi32(__m512i a, int order) {
    uint32_t from[16], dwords[16];
    memcpy(from, &a, sizeof from);
    for (int i = 0; i < 16; i++) {
        dwords[i] = from[i / 4 * 4 + (order >> 2 * (i % 4) & 3)];
    }
    return emulated_dwords(dwords);
}

/* Without carries. */
EMULATED unsigned __int128 emulated_carryless(uint64_t a, uint64_t b) {
    unsigned __int128 product = 0;
    for (int i = 0; i < 64; i++) {
        product ^= (unsigned __int128)(a & emulated_lane(b, i)) << i;
    }
    return product;
}

EMULATED __m512i _mm512_clmulepi64_epi128(__m512i a, __m512i b, int which) {
    __m512i r;
    for (int i = 0; i < 8; i += 2) {
        unsigned __int128 product =
            emulated_carryless(a.q[i + (which & 1)], b.q[i + (which >> 4 & 1)]);
        r.q[i] = (uint64_t)product;
        r.q[i + 1] = (uint64_t)(product >> 64);
    }
    return r;
}

/* --- AES, eight bytes at a time, its S-box computed (FIPS 197, 5.1) --- */

#define EMULATED_EACH_BYTE UINT64_C(0x0101010101010101)

EMULATED uint64_t emulated_times_x(uint64_t bytes) {
    uint64_t over = bytes >> 7 & EMULATED_EACH_BYTE;
    return (bytes & (0x7f * EMULATED_EACH_BYTE)) << 1 ^ over * 0x1b;
}

EMULATED uint64_t emulated_field_product(uint64_t a, uint64_t b) {
    uint64_t product = 0;
    for (int bit = 0; bit < 8; bit++) {
        product ^= a & (b >> bit & EMULATED_EACH_BYTE) * 0xff;
        a = emulated_times_x(a);
    }
    return product;
}

EMULATED uint64_t emulated_rotate_bytes(uint64_t bytes, int n) {
    uint64_t low = (0xffu >> (8 - n)) * EMULATED_EACH_BYTE;
    return (bytes << n & ~low) | (bytes >> (8 - n) & low);
}

/* The inverse is the 254th power. */
EMULATED uint64_t emulated_substitute(uint64_t bytes) {
    uint64_t inverse = 0x01 * EMULATED_EACH_BYTE, square = bytes;
    for (int bit = 1; bit < 8; bit++) {
        square = emulated_field_product(square, square);
        inverse = emulated_field_product(inverse, square);
    }
    return inverse ^ emulated_rotate_bytes(inverse, 1) ^ emulated_rotate_bytes(inverse, 2) ^
           emulated_rotate_bytes(inverse, 3) ^ emulated_rotate_bytes(inverse, 4) ^
           0x63 * EMULATED_EACH_BYTE;
}

/* Byte i is row i % 4 of column i / 4, in both. */
EMULATED void emulated_shift_rows(uint8_t to[16], const uint8_t from[16]) {
    for (int i = 0; i < 16; i++) {
        to[i] = from[(i + 4 * (i % 4)) % 16];
    }
}

EMULATED void emulated_mix_columns(uint8_t to[16], const uint8_t from[16]) {
    uint64_t words[2], doubled[2];
    memcpy(words, from, sizeof words);
    doubled[0] = emulated_times_x(words[0]);
    doubled[1] = emulated_times_x(words[1]);
    const uint8_t *twice = (const uint8_t *)doubled;
    for (int i = 0; i < 16; i++) {
        int column = i / 4 * 4, row = i % 4;
        int next = column + (row + 1) % 4;
        to[i] = (uint8_t)(twice[i] ^ twice[next] ^ from[next] ^ from[column + (row + 2) % 4] ^
                          from[column + (row + 3) % 4]);
    }
}

EMULATED __m512i emulated_round(__m512i a, __m512i key, bool last) {
    for (int lane = 0; lane < 8; lane += 2) {
        uint8_t shifted[16], mixed[16];
        emulated_shift_rows(shifted, (const uint8_t *)&a.q[lane]);
        memcpy(&a.q[lane], shifted, sizeof shifted);
        a.q[lane] = emulated_substitute(a.q[lane]);
        a.q[lane + 1] = emulated_substitute(a.q[lane + 1]);
        if (!last) {
            emulated_mix_columns(mixed, (const uint8_t *)&a.q[lane]);
            memcpy(&a.q[lane], mixed, sizeof mixed);
        }
    }
    return _mm512_xor_si512(a, key);
}

EMULATED __m512i _mm512_aesenc_epi128(__m512i a, __m512i key) {
    return emulated_round(a, key, false);
}

EMULATED __m512i _mm512_aesenclast_epi128(__m512i a, __m512i key) {
    return emulated_round(a, key, true);
}

#endif
