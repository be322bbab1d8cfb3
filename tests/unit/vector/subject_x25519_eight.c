#include "subject.h"

#include <vector/kernels.h>
#include <vector/x25519_eight.h>

static unsigned char scalars[POSTERN_X25519_BATCH][POSTERN_X25519_BYTES];
static unsigned char points[POSTERN_X25519_BATCH][POSTERN_X25519_BYTES];
static unsigned char out[POSTERN_X25519_BATCH][POSTERN_X25519_BYTES];

static void prepare(unsigned number) {
    subject_fill(scalars, sizeof scalars, number);
    subject_fill(points, sizeof points, number);
}

static void run(void) {
    postern_x25519_eight(out, (const void *)scalars, (const void *)points);
}

const struct subject subject = {
    "x25519_eight",
    POSTERN_KERNEL_X25519,
    postern_x25519_self_test,
    prepare,
    run,
    {{scalars, sizeof scalars}, {points, sizeof points}, {NULL, 0}},
    {out, sizeof out},
    0,
};
