#include "subject.h"

#include <vector/kernels.h>
#include <vector/p256.h>

enum { WORDS = POSTERN_P256_WORDS, CHOICES = 8 };

static uint64_t z[WORDS], k[WORDS];
static struct postern_p256_point row[POSTERN_P256_MULTIPLES + 1]; /* public */
static struct postern_p256_digit digits[POSTERN_P256_DIGITS];
static struct {
    struct postern_p256_point chosen[CHOICES];
    uint64_t z_inverse[WORDS], k_inverse[WORDS];
} out;

static void prepare(unsigned number) {
    if (row[1].words[0] == 0) {
        subject_fill(row, sizeof row, 2);
    }
    subject_fill(z, sizeof z, number);
    subject_fill(k, sizeof k, number);
    z[WORDS - 1] >>= 1;
    k[WORDS - 1] >>= 1;
}

static void run(void) {
    postern_p256_digits(digits, k);
    for (int i = 0; i < CHOICES; i++) {
        postern_p256_choose(&out.chosen[i], row, digits[i].size);
    }
    postern_p256_invert(out.z_inverse, out.k_inverse, z, k);
}

const struct subject subject = {
    "p256",
    POSTERN_KERNEL_P256,
    postern_p256_self_test,
    prepare,
    run,
    {{z, sizeof z}, {k, sizeof k}, {NULL, 0}},
    {&out, sizeof out},
    0,
};
