/* wolfSSL 5.9.2 spends half of a signature on looking up the points that are summed up, and on two
 * inversions. With a release that does that as fast this file is deleted. */
#include "vector/p256.h"
#include "vector/intrinsics.h"
#include "vector/inverse.h"
#include "vector/wipe.h"

#include <string.h>

enum { WORDS = POSTERN_P256_WORDS, WINDOW = POSTERN_P256_WINDOW };

static const struct postern_modulus prime = {
    {INT64_C(0x3fffffffffffffff), INT64_C(0x3ffffffff), 0, INT64_C(0x3fffffc000000040), 0xff},
    UINT64_C(0x3fffffffffffffff),
};

static const struct postern_modulus order = {
    {INT64_C(0x33b9cac2fc632551), INT64_C(0x339beab69c5e7a13), INT64_C(0x3ffffffffffffffb),
     INT64_C(0x3fffffc00000003f), 0xff},
    UINT64_C(0x332e375511ff43b1),
};

/* The bits of each digit; one above 64 is 128 less, and the next one more. */
void postern_p256_digits(struct postern_p256_digit digits[POSTERN_P256_DIGITS],
                         const uint64_t number[WORDS]) {
    uint64_t words[WORDS + 1] = {0}; /* of which the highest is zero */
    unsigned above = 0;
    memcpy(words, number, WORDS * sizeof *words);
    for (int i = 0; i < POSTERN_P256_DIGITS; i++) {
        int word = i * WINDOW / 64, bit = i * WINDOW % 64;
        uint64_t bits = words[word] >> bit | words[word + 1] << 1 << (63 - bit);
        unsigned digit = ((unsigned)bits & ((1u << WINDOW) - 1)) + above;
        above = (64 - digit) >> 31;
        digit = (digit - (above << WINDOW)) ^ (0 - above);
        digits[i].size = (uint8_t)(digit + above);
        digits[i].negative = (uint8_t)above;
    }
    explicit_bzero(words, sizeof words);
}

POSTERN_IFMA void postern_p256_choose(struct postern_p256_point *chosen,
                                      const struct postern_p256_point *row, unsigned place) {
    const __m512i one = _mm512_set1_epi64(1), wanted = _mm512_set1_epi64(place);
    __m512i point = _mm512_loadu_si512(&row[0]), n = one;
    for (int i = 1; i <= POSTERN_P256_MULTIPLES; i++) {
        point = _mm512_mask_mov_epi64(point, _mm512_cmpeq_epu64_mask(n, wanted),
                                      _mm512_loadu_si512(&row[i]));
        n = _mm512_add_epi64(n, one);
    }
    _mm512_storeu_si512(chosen, point);
}

static POSTERN_NOINLINE void invert(uint64_t inverses[2][WORDS], const uint64_t z[WORDS],
                                    const uint64_t k[WORDS]) {
    static const struct postern_modulus *const moduli[2] = {&prime, &order};
    uint64_t numbers[2][WORDS];
    memcpy(numbers[0], z, sizeof numbers[0]);
    memcpy(numbers[1], k, sizeof numbers[1]);
    postern_invert_two(inverses, (const void *)numbers, moduli);
}

/* All frames of `invert` and of what it calls. */
POSTERN_DEFINE_WIPE_STACK(4096)

void postern_p256_invert(uint64_t z_inverse[WORDS], uint64_t k_inverse[WORDS],
                         const uint64_t z[WORDS], const uint64_t k[WORDS]) {
    uint64_t inverses[2][WORDS];
    invert(inverses, z, k);
    memcpy(z_inverse, inverses[0], sizeof inverses[0]);
    memcpy(k_inverse, inverses[1], sizeof inverses[1]);
    explicit_bzero(inverses, sizeof inverses);
    postern_wipe_stack();
}
