/* What the fuzz programs share. Each of them is one LLVMFuzzerTestOneInput, driven by libFuzzer
 * (-Dfuzz=true) or, over the kept corpus in the normal suite, by replay.c. */
#ifndef POSTERN_FUZZ_H
#define POSTERN_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* A copy of exactly that size, so that AddressSanitizer finds a read past the end. */
static inline uint8_t *fuzz_copy(const uint8_t *data, size_t size) {
    uint8_t *copy = calloc(1, size > 0 ? size : 1);
    CHECK(copy != NULL);
    if (size > 0) {
        memcpy(copy, data, size);
    }
    return copy;
}

/* Numbers that depend on the input alone, for places to cut it at. */
struct fuzz_dice {
    uint64_t state;
};

static inline struct fuzz_dice fuzz_dice_from(const uint8_t *data, size_t size) {
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < size; i++) {
        hash = (hash ^ data[i]) * 0x100000001b3u;
    }
    return (struct fuzz_dice){hash};
}

/* 0 to `below` - 1; 0 where that is 0. */
static inline size_t fuzz_roll(struct fuzz_dice *dice, size_t below) {
    dice->state = dice->state * 6364136223846793005u + 1442695040888963407u;
    return below == 0 ? 0 : (size_t)(dice->state >> 33) % below;
}

#endif
