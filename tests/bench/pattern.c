#include "pattern.h"

#include <string.h>

#include "common.h"

enum { PERIOD = 1048573, SEED_STEP = 7919 };

struct pattern {
    uint8_t bytes[PERIOD + PATTERN_RUN];
};

struct pattern *pattern_new(void) {
    struct pattern *p = allocate(1, sizeof *p);
    uint64_t x = 0x9e3779b97f4a7c15u;
    for (size_t i = 0; i < PERIOD; i++) {
        x ^= x << 13; /* xorshift64 */
        x ^= x >> 7;
        x ^= x << 17;
        p->bytes[i] = (uint8_t)(x >> 32);
    }
    memcpy(p->bytes + PERIOD, p->bytes, PATTERN_RUN);
    return p;
}

const uint8_t *pattern_at(const struct pattern *p, uint32_t seed, uint64_t position) {
    return p->bytes + ((uint64_t)seed * SEED_STEP + position) % PERIOD;
}

size_t pattern_compare(const struct pattern *p, uint32_t seed, uint64_t position,
                       const uint8_t *data, size_t len) {
    for (size_t done = 0; done < len;) {
        size_t piece = len - done < PATTERN_RUN ? len - done : PATTERN_RUN;
        const uint8_t *right = pattern_at(p, seed, position + done);
        if (memcmp(data + done, right, piece) != 0) {
            size_t i = 0;
            while (data[done + i] == right[i]) {
                i++;
            }
            return done + i;
        }
        done += piece;
    }
    return len;
}
