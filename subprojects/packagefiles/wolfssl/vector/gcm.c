/* wolfSSL merged AES-GCM by VAES and AVX-512 after 5.9.2 (pull requests 10756 and 10825). With the
 * first release that has them this file is deleted.
 *
 * Blocks are kept byte-reversed for GHASH, so that a polynomial's coefficients stand in the order
 * of an integer's bits but for their direction; the powers of H are multiplied by x once, which
 * makes up for the bit by which a product of reflected polynomials is short. So a product needs no
 * shift, and two more multiplications reduce it (S. Gueron, M. Kounavis: Intel Carry-Less
 * Multiplication Instruction and its Usage for Computing the GCM Mode, 2014). */
#include "vector/gcm.h"
#include "vector/intrinsics.h"
#include "vector/wipe.h"

#include <stdint.h>
#include <string.h>

/* A piece is encrypted at once. A group is two pieces whose hash is reduced once: the next group
 * has to wait for each reduction. */
enum { BLOCK = POSTERN_GCM_BLOCK, VECTOR = 4 * BLOCK, VECTORS = 4, PIECE = VECTORS * VECTOR };
enum { GROUP = 2 * PIECE, POWERS = GROUP / BLOCK, PADDING = 3, MAX_ROUNDS = 14 };

#define VAES        POSTERN_VAES
#define INLINE      static inline __attribute__((always_inline))
#define EACH_VECTOR _Pragma("GCC unroll 4") for (int v = 0; v < VECTORS; v++)

struct work {
    __m512i keys[MAX_ROUNDS + 1]; /* each round's key four times */
    int rounds;
    /* H^32 down to H^1, then zeros: the powers for n blocks begin with H^n. */
    _Alignas(64) unsigned char powers[(POWERS + PADDING) * BLOCK];
    __m512i counters; /* of the next four blocks, byte-reversed */
    __m128i hash;
};

/* The parts of a product before its reduction. */
struct product {
    __m512i low, middle, high;
};

/* --- GHASH --- */

INLINE VAES __m512i reverse_bytes(__m512i blocks) {
    const __m128i order = _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    return _mm512_shuffle_epi8(blocks, _mm512_broadcast_i32x4(order));
}

INLINE VAES __m128i reverse_block(__m128i block) {
    return _mm512_castsi512_si128(reverse_bytes(_mm512_castsi128_si512(block)));
}

INLINE VAES void add_product(struct product *sum, __m512i a, __m512i b) {
    __m512i middle = _mm512_clmulepi64_epi128(a, b, 0x01);
    sum->low = _mm512_xor_si512(sum->low, _mm512_clmulepi64_epi128(a, b, 0x00));
    sum->high = _mm512_xor_si512(sum->high, _mm512_clmulepi64_epi128(a, b, 0x11));
    sum->middle =
        _mm512_ternarylogic_epi64(sum->middle, middle, _mm512_clmulepi64_epi128(a, b, 0x10), 0x96);
}

/* Of each lane by itself. */
INLINE VAES __m512i reduce(const struct product *p) {
    const __m512i polynomial =
        _mm512_broadcast_i32x4(_mm_set_epi64x((long long)(0xc2ull << 56), 1));
    __m512i low = _mm512_clmulepi64_epi128(polynomial, p->low, 0x01);
    __m512i middle = _mm512_ternarylogic_epi64(
        p->middle, _mm512_shuffle_epi32(p->low, (_MM_PERM_ENUM)0x4e), low, 0x96);
    __m512i folded = _mm512_clmulepi64_epi128(polynomial, middle, 0x01);
    return _mm512_ternarylogic_epi64(p->high, _mm512_shuffle_epi32(middle, (_MM_PERM_ENUM)0x4e),
                                     folded, 0x96);
}

INLINE VAES __m512i multiply(__m512i a, __m512i b) {
    struct product p = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512()};
    add_product(&p, a, b);
    return reduce(&p);
}

INLINE VAES __m128i multiply_block(__m128i a, __m128i b) {
    return _mm512_castsi512_si128(multiply(_mm512_castsi128_si512(a), _mm512_castsi128_si512(b)));
}

INLINE VAES __m128i sum_of_lanes(__m512i x) {
    __m256i half = _mm256_xor_si256(_mm512_castsi512_si256(x), _mm512_extracti64x4_epi64(x, 1));
    return _mm_xor_si128(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

INLINE VAES __m128i reduce_to_block(const struct product *p) {
    struct product sum = {
        _mm512_castsi128_si512(sum_of_lanes(p->low)),
        _mm512_castsi128_si512(sum_of_lanes(p->middle)),
        _mm512_castsi128_si512(sum_of_lanes(p->high)),
    };
    return _mm512_castsi512_si128(reduce(&sum));
}

INLINE VAES __m512i first_lane(__m128i block) {
    return _mm512_zextsi128_si512(block);
}

/* The powers that the blocks from `first` on are multiplied with, of a run of `count`. */
INLINE VAES __m512i load_powers(const struct work *w, size_t count, size_t first) {
    return _mm512_loadu_si512(w->powers + (POWERS - count + first) * BLOCK);
}

/* --- AES --- */

INLINE VAES void encrypt_blocks(const struct work *w, __m512i block[VECTORS], int count) {
    _Pragma("GCC unroll 4") for (int v = 0; v < count; v++) {
        block[v] = _mm512_xor_si512(block[v], w->keys[0]);
    }
    for (int round = 1; round < w->rounds; round++) {
        _Pragma("GCC unroll 4") for (int v = 0; v < count; v++) {
            block[v] = _mm512_aesenc_epi128(block[v], w->keys[round]);
        }
    }
    _Pragma("GCC unroll 4") for (int v = 0; v < count; v++) {
        block[v] = _mm512_aesenclast_epi128(block[v], w->keys[w->rounds]);
    }
}

/* The next `count` times four blocks of the key stream. */
INLINE VAES void key_stream(struct work *w, __m512i stream[VECTORS], int count) {
    const __m512i four = _mm512_set_epi32(0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0, 4);
    _Pragma("GCC unroll 4") for (int v = 0; v < count; v++) {
        stream[v] = reverse_bytes(w->counters);
        w->counters = _mm512_add_epi32(w->counters, four);
    }
    encrypt_blocks(w, stream, count);
}

/* --- the mode --- */

INLINE VAES __m512i load_key(const struct postern_gcm *gcm, int round) {
    return _mm512_broadcast_i32x4(
        _mm_loadu_si128((const __m128i *)(gcm->round_keys + round * BLOCK)));
}

/* H x: one bit up, and what falls out comes back as the polynomial. */
INLINE VAES __m128i times_x(__m128i h) {
    uint64_t half[2];
    _mm_storeu_si128((__m128i *)half, h);
    uint64_t out = 0 - (half[1] >> 63);
    return _mm_set_epi64x((long long)((half[1] << 1 | half[0] >> 63) ^ (out & 0xc2ull << 56)),
                          (long long)(half[0] << 1 ^ (out & 1)));
}

INLINE VAES void make_powers(struct work *w, __m128i h) {
    __m128i h2 = multiply_block(h, h);
    __m512i two = _mm512_castsi256_si512(_mm256_set_m128i(h, h2)); /* H^2, H */
    __m512i twice = _mm512_broadcast_i32x4(h2);
    __m256i next = _mm512_castsi512_si256(multiply(two, twice)); /* H^4, H^3 */
    __m512i power =
        _mm512_inserti64x4(_mm512_castsi256_si512(next), _mm512_castsi512_si256(two), 1);
    __m512i by_four = _mm512_broadcast_i32x4(_mm512_castsi512_si128(power));
    memset(w->powers + POWERS * BLOCK, 0, (size_t)PADDING * BLOCK);
    for (int v = GROUP / VECTOR - 1; v >= 0; v--) {
        _mm512_store_si512(w->powers + v * VECTOR, power);
        power = multiply(power, by_four);
    }
}

INLINE VAES void add_counter(struct work *w, const unsigned char *nonce) {
    unsigned char first[BLOCK] = {0};
    memcpy(first, nonce, POSTERN_GCM_NONCE);
    __m128i counter = reverse_block(_mm_loadu_si128((const __m128i *)first));
    w->counters =
        _mm512_add_epi32(_mm512_broadcast_i32x4(counter),
                         _mm512_set_epi32(0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0));
}

/* Sets all up; returns what the hash is encrypted with in the end. Lane 0 of the first vector is a
 * counter of 0, which nothing else uses, in whose place zeros give H; lane 1 is the counter of 1;
 * the data begins with 2. */
INLINE VAES __m128i begin(struct work *w, const struct postern_gcm *gcm) {
    __m512i first[VECTORS];
    w->rounds = gcm->rounds;
    for (int round = 0; round <= w->rounds; round++) {
        w->keys[round] = load_key(gcm, round);
    }
    add_counter(w, gcm->nonce);
    first[0] = _mm512_maskz_mov_epi64(0xfc, reverse_bytes(w->counters));
    encrypt_blocks(w, first, 1);
    w->counters = _mm512_add_epi32(
        w->counters, _mm512_set_epi32(0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 2));
    make_powers(w, times_x(reverse_block(_mm512_castsi512_si128(first[0]))));
    unsigned char aad[BLOCK] = {0};
    memcpy(aad, gcm->aad, gcm->aad_len);
    w->hash = _mm_setzero_si128();
    if (gcm->aad_len > 0) {
        __m128i block = reverse_block(_mm_loadu_si128((const __m128i *)aad));
        w->hash = multiply_block(block, _mm512_castsi512_si128(load_powers(w, 1, 0)));
    }
    return _mm512_extracti32x4_epi32(first[0], 1);
}

/* Adds to `sum` the products of this piece's blocks and of the powers that begin at `powers`. The
 * first block takes up the hash so far, which is cleared for the group's second piece. */
INLINE VAES void whole_piece(struct work *w, const unsigned char *in, unsigned char *out,
                             int decrypt, struct product *sum, const unsigned char *powers) {
    __m512i stream[VECTORS];
    key_stream(w, stream, VECTORS);
    EACH_VECTOR {
        __m512i text = _mm512_loadu_si512(in + v * VECTOR);
        __m512i result = _mm512_xor_si512(text, stream[v]);
        _mm512_storeu_si512(out + v * VECTOR, result);
        __m512i hashed = reverse_bytes(decrypt ? text : result);
        if (v == 0) {
            hashed = _mm512_xor_si512(hashed, first_lane(w->hash));
            w->hash = _mm_setzero_si128();
        }
        add_product(sum, hashed, _mm512_load_si512(powers + v * VECTOR));
    }
}

INLINE VAES void whole_group(struct work *w, const unsigned char *in, unsigned char *out,
                             int decrypt) {
    struct product p = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512()};
    whole_piece(w, in, out, decrypt, &p, w->powers);
    whole_piece(w, in + PIECE, out + PIECE, decrypt, &p, w->powers + PIECE);
    w->hash = reduce_to_block(&p);
}

/* Less than a group: the last block may be a part of one, and is hashed with zeros after it. */
INLINE VAES void the_rest(struct work *w, const unsigned char *in, unsigned char *out, size_t len,
                          int decrypt) {
    size_t blocks = (len + BLOCK - 1) / BLOCK;
    struct product p = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512()};
    for (size_t at = 0; at < len; at += VECTOR) {
        __m512i stream[VECTORS];
        size_t left = len - at;
        __mmask64 mask = left < VECTOR ? ((__mmask64)1 << left) - 1 : ~(__mmask64)0;
        key_stream(w, stream, 1);
        __m512i text = _mm512_maskz_loadu_epi8(mask, in + at);
        __m512i result = _mm512_maskz_mov_epi8(mask, _mm512_xor_si512(text, stream[0]));
        _mm512_mask_storeu_epi8(out + at, mask, result);
        __m512i hashed = reverse_bytes(decrypt ? text : result);
        if (at == 0) {
            hashed = _mm512_xor_si512(hashed, first_lane(w->hash));
        }
        add_product(&p, hashed, load_powers(w, blocks, at / BLOCK));
    }
    w->hash = reduce_to_block(&p);
}

INLINE VAES void transform(const struct postern_gcm *gcm, const unsigned char *in,
                           unsigned char *out, size_t len, unsigned char *tag, int decrypt) {
    struct work w;
    __m128i mask = begin(&w, gcm);
    size_t at = 0;
    for (; len - at >= GROUP; at += GROUP) {
        whole_group(&w, in + at, out + at, decrypt);
    }
    if (at < len) {
        the_rest(&w, in + at, out + at, len - at, decrypt);
    }
    __m128i lengths = _mm_set_epi64x((long long)(8 * gcm->aad_len), (long long)(8 * len));
    w.hash = multiply_block(_mm_xor_si128(w.hash, lengths),
                            _mm512_castsi512_si128(load_powers(&w, 1, 0)));
    _mm_storeu_si128((__m128i *)tag, _mm_xor_si128(reverse_block(w.hash), mask));
}

VAES static POSTERN_NOINLINE void encrypt(const struct postern_gcm *gcm, const unsigned char *in,
                                          unsigned char *out, size_t len, unsigned char *tag) {
    transform(gcm, in, out, len, tag, 0);
}

VAES static POSTERN_NOINLINE void decrypt(const struct postern_gcm *gcm, const unsigned char *in,
                                          unsigned char *out, size_t len, unsigned char *tag) {
    transform(gcm, in, out, len, tag, 1);
}

/* All of the frame of either. */
POSTERN_DEFINE_WIPE_STACK(sizeof(struct work) + 1536)

void postern_gcm_encrypt(const struct postern_gcm *gcm, const unsigned char *in, unsigned char *out,
                         size_t len, unsigned char tag[BLOCK]) {
    encrypt(gcm, in, out, len, tag);
    postern_wipe_stack();
}

void postern_gcm_decrypt(const struct postern_gcm *gcm, const unsigned char *in, unsigned char *out,
                         size_t len, unsigned char tag[BLOCK]) {
    decrypt(gcm, in, out, len, tag);
    postern_wipe_stack();
}
