/* What was computed ahead (postern_agreement.h), and the library's way to it. */
#ifndef POSTERN_VECTOR_X25519_AHEAD_H
#define POSTERN_VECTOR_X25519_AHEAD_H

#include "postern_agreement.h"
#include "vector/x25519_base.h"

/* As postern_agreements_compute. */
void postern_x25519_ahead(const struct postern_agreement *wanted, int count);

/* As postern_agreement_expect. */
void postern_x25519_expect(const unsigned char *peer);

/* A pair that was made for the expected client; if none is left, a new one. 0, or -1: there is no
 * randomness. */
int postern_x25519_take_pair(unsigned char private_key[POSTERN_X25519_BYTES],
                             unsigned char public_key[POSTERN_X25519_BYTES])
    __attribute__((warn_unused_result));

/* If there is a result for these keys: stores it, wipes what is left of it here, returns true. */
bool postern_x25519_take_secret(unsigned char out[POSTERN_X25519_BYTES],
                                const unsigned char private_key[POSTERN_X25519_BYTES],
                                const unsigned char peer[POSTERN_X25519_BYTES])
    __attribute__((warn_unused_result));

#endif
