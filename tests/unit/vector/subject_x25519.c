#include "subject.h"

#include <vector/kernels.h>
#include <vector/x25519.h>

static unsigned char scalar[POSTERN_X25519_BYTES], point[POSTERN_X25519_BYTES];
static unsigned char out[POSTERN_X25519_BYTES];

static void prepare(unsigned number) {
    subject_fill(scalar, sizeof scalar, number);
    subject_fill(point, sizeof point, number);
}

static void run(void) {
    postern_x25519(out, scalar, point);
}

const struct subject subject = {
    "x25519",
    POSTERN_KERNEL_X25519,
    postern_x25519_self_test,
    prepare,
    run,
    {{scalar, sizeof scalar}, {point, sizeof point}, {NULL, 0}},
    {out, sizeof out},
    0,
};
