/* The library's X25519, with our own ladder where the processor has AVX-512 IFMA
 * (postern_x25519.h). The library asks for the same function and need not know. */
#define curve25519 x25519_by_processor
#include "wolfcrypt/src/curve25519.c"
#undef curve25519

#include "postern_processor.h"
#include "postern_x25519.h"

WOLFSSL_LOCAL int curve25519(byte *q, const byte *n, const byte *p);

int x25519_by_processor(byte *q, const byte *n, const byte *p) {
    if (!postern_has_ifma())
        return curve25519(q, n, p);
    postern_x25519(q, n, p);
    return 0;
}
