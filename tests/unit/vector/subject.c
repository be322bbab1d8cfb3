#include "subject.h"

#include <string.h>

/* SplitMix64 (Steele, Lea, Flood 2014). */
static uint64_t next(void) {
    static uint64_t state = 1;
    uint64_t x = state += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

void subject_fill(void *at, size_t len, unsigned number) {
    unsigned char *bytes = at;
    if (number < 2) {
        memset(at, number == 1 ? 0xff : 0, len);
        return;
    }
    for (size_t i = 0; i < len; i++) {
        bytes[i] = (unsigned char)next();
    }
}
