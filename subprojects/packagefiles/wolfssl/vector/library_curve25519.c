/* Upstream's X25519, with our own ladder (x25519.h), our own key pairs (x25519_base.h), and what
 * was computed ahead (x25519_ahead.h), where these are in use. The library calls the same functions
 * as ever: upstream's are given other names here.
 *
 * Deleted together with x25519.c. */
#define curve25519             x25519_by_processor
#define wc_curve25519_make_key upstream_curve25519_make_key
#include "wolfcrypt/src/curve25519.c"
#undef curve25519
#undef wc_curve25519_make_key

#include "vector/kernels.h"
#include "vector/x25519.h"
#include "vector/x25519_ahead.h"

WOLFSSL_LOCAL int curve25519(byte *q, const byte *n, const byte *p);
WOLFSSL_API int wc_curve25519_make_key(WC_RNG *rng, int keysize, curve25519_key *key);

int x25519_by_processor(byte *q, const byte *n, const byte *p) {
    if (!postern_kernel_is_used(POSTERN_KERNEL_X25519)) {
        return curve25519(q, n, p);
    }
    if (!postern_x25519_take_secret(q, n, p)) {
        postern_x25519(q, n, p);
    }
    return 0;
}

int wc_curve25519_make_key(WC_RNG *rng, int keysize, curve25519_key *key) {
    if (!postern_kernel_is_used(POSTERN_KERNEL_X25519) || rng == NULL || key == NULL ||
        keysize != CURVE25519_KEYSIZE) {
        return upstream_curve25519_make_key(rng, keysize, key);
    }
    if (postern_x25519_take_pair(key->k, key->p.point) != 0) {
        return RNG_FAILURE_E;
    }
    key->privSet = key->pubSet = 1;
    return 0;
}
