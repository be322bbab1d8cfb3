/* Upstream's X25519, with our own ladder (x25519.h) where that is in use. The library calls the
 * same function as ever: upstream's is given another name here.
 *
 * Deleted together with x25519.c. */
#define curve25519 x25519_by_processor
#include "wolfcrypt/src/curve25519.c"
#undef curve25519

#include "vector/kernels.h"
#include "vector/x25519.h"

WOLFSSL_LOCAL int curve25519(byte *q, const byte *n, const byte *p);

int x25519_by_processor(byte *q, const byte *n, const byte *p) {
    if (!postern_kernel_is_used(POSTERN_KERNEL_X25519)) {
        return curve25519(q, n, p);
    }
    postern_x25519(q, n, p);
    return 0;
}
