/* A hash of 64 bits for tables. */
#ifndef POSTERN_CORE_HASH_H
#define POSTERN_CORE_HASH_H

#include <stdint.h>

/* Every bit of the result depends on every bit of `h`. It is no secret: a table whose keys are
 * chosen by others mixes random bytes of its own in before. */
static inline uint64_t hash_mix(uint64_t h) {
    h ^= h >> 32;
    h *= 0xd6e8feb86659fd93u; /* odd, with bits all over (Jon Maiga's mx3) */
    h ^= h >> 32;
    h *= 0xd6e8feb86659fd93u;
    return h ^ h >> 32;
}

#endif
