#include "subject.h"

#include <vector/kernels.h>
#include <vector/x25519_base.h>

static unsigned char scalars[POSTERN_X25519_BATCH][POSTERN_X25519_BYTES];
static unsigned char out[POSTERN_X25519_BATCH][POSTERN_X25519_BYTES];

static void prepare(unsigned number) {
    subject_fill(scalars, sizeof scalars, number);
    for (int i = 0; i < POSTERN_X25519_BATCH; i++) {
        scalars[i][0] &= 248;
        scalars[i][POSTERN_X25519_BYTES - 1] &= 127;
        scalars[i][POSTERN_X25519_BYTES - 1] |= 64;
    }
}

static void run(void) {
    postern_x25519_base(out, (const void *)scalars);
}

const struct subject subject = {
    "x25519_base",
    POSTERN_KERNEL_X25519,
    postern_x25519_self_test,
    prepare,
    run,
    {{scalars, sizeof scalars}, {NULL, 0}},
    {out, sizeof out},
    0,
};
