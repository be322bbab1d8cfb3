/* A whole signature, upstream's parts included. */
#include "subject.h"

#include <vector/kernels.h>
#include <vector/p256.h>

enum { WORDS = POSTERN_P256_WORDS };

struct signature {
    uint64_t r[WORDS], s[WORDS];
};

static uint64_t hash[WORDS], key[WORDS], k[WORDS];
static struct signature out;

/* k is never zero, nor all ones. */
static void prepare(unsigned number) {
    subject_fill(hash, sizeof hash, number);
    subject_fill(key, sizeof key, number);
    subject_fill(k, sizeof k, number + 2);
    key[WORDS - 1] >>= 1;
    k[WORDS - 1] >>= 1;
}

static void run(void) {
    postern_p256_sign(out.r, out.s, hash, key, k);
}

const struct subject subject = {
    "p256_sign",
    POSTERN_KERNEL_P256,
    postern_p256_self_test,
    prepare,
    run,
    {{key, sizeof key}, {k, sizeof k}, {NULL, 0}},
    {&out, sizeof out},
    0,
};
