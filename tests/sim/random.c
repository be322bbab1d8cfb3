#define OPENSSL_SUPPRESS_DEPRECATED /* RAND_METHOD is the short way to bytes that repeat */
#include "random.h"

#include <openssl/rand.h>
#include <string.h>
#include <sys/random.h>

/* SplitMix64. */
struct generator {
    uint64_t state;
};

static struct generator choices, secrets;

static uint64_t next(struct generator *g) {
    uint64_t z = g->state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

void random_fill(void *into, size_t len) {
    uint8_t *out = into;
    while (len > 0) {
        uint64_t bytes = next(&secrets);
        size_t n = len < sizeof bytes ? len : sizeof bytes;
        memcpy(out, &bytes, n);
        out += n;
        len -= n;
    }
}

static int fill_for_openssl(unsigned char *out, int len) {
    random_fill(out, (size_t)len);
    return 1;
}

static int is_seeded(void) {
    return 1;
}

ssize_t __wrap_getrandom(void *out, size_t len, unsigned flags);

ssize_t __wrap_getrandom(void *out, size_t len, unsigned flags) {
    random_fill(out, len);
    return (ssize_t)len;
}

void random_seed(uint64_t seed) {
    static const RAND_METHOD method = {
        .bytes = fill_for_openssl, .pseudorand = fill_for_openssl, .status = is_seeded};
    choices.state = seed;
    secrets.state = ~seed;
    RAND_set_rand_method(&method);
}

uint64_t random_next(void) {
    return next(&choices);
}

uint64_t random_below(uint64_t bound) {
    return next(&choices) % bound;
}

bool random_one_in(unsigned n) {
    return random_below(n) == 0;
}

size_t random_size(size_t max) {
    size_t bound = (size_t)2 << random_below(24);
    return 1 + (size_t)random_below(bound < max ? bound : max);
}
