/* Deleted together with p256.c. The examples of RFC 6979, A.2.5, with SHA-256. */
#include "vector/p256.h"

#include <stddef.h>
#include <string.h>

enum { WORDS = POSTERN_P256_WORDS };

static const uint64_t private_key[WORDS] = {
    UINT64_C(0x7b8a622b120f6721), UINT64_C(0x4e50c3db36e89b12), UINT64_C(0x6b5c215767b1d693),
    UINT64_C(0xc9afa9d845ba7516)};

static const struct {
    uint64_t hash[WORDS], k[WORDS], r[WORDS], s[WORDS];
} examples[] = {
    /* "sample" */
    {{UINT64_C(0x62113d8a62add1bf), UINT64_C(0x1a831d0268e98915), UINT64_C(0xe2ade1d694f41fc7),
      UINT64_C(0xaf2bdbe1aa9b6ec1)},
     {UINT64_C(0x4d6129493d8aad60), UINT64_C(0x3b17aa873382b0f2), UINT64_C(0x086538398355dd4c),
      UINT64_C(0xa6e3c57dd01abe90)},
     {UINT64_C(0xc34d0ea84eaf3716), UINT64_C(0x9d2c877b56aaf991), UINT64_C(0x1140dd9cd45e81d6),
      UINT64_C(0xefd48b2aacb6a8fd)},
     {UINT64_C(0x4dc4ab2f843acda8), UINT64_C(0xf3e900dbb9aff406), UINT64_C(0xd436c7a1b6e29f65),
      UINT64_C(0xf7cb1c942d657c41)}},
    /* "test" */
    {{UINT64_C(0xd15d6c15b0f00a08), UINT64_C(0xa3bf4f1b2b0b822c), UINT64_C(0x9a2feaa0c55ad015),
      UINT64_C(0x9f86d081884c7d65)},
     {UINT64_C(0xc2537acaee0008e0), UINT64_C(0x0192c4c92677336e), UINT64_C(0xe040871a1c7ec350),
      UINT64_C(0xd16b6ae827f17175)},
     {UINT64_C(0x4f28d3b0b7d38367), UINT64_C(0xed3efcf6c5132b35), UINT64_C(0x71d881567b1ea663),
      UINT64_C(0xf1abb023518351cd)},
     {UINT64_C(0x0cc84250e46f0083), UINT64_C(0x5f267e60d3814b4c), UINT64_C(0xbd25926b49c64915),
      UINT64_C(0x019f4113742a2b14)}},
};

bool postern_p256_self_test(void) {
    uint64_t r[WORDS], s[WORDS];
    bool right = true;
    for (size_t i = 0; i < sizeof examples / sizeof *examples; i++) {
        postern_p256_sign(r, s, examples[i].hash, private_key, examples[i].k);
        right = right && memcmp(r, examples[i].r, sizeof r) == 0 &&
                memcmp(s, examples[i].s, sizeof s) == 0;
    }
    return right;
}
