/* Key pairs of X25519 (RFC 7748), eight at a time, by the vector unit of x86-64 processors with
 * AVX-512 IFMA (processor.h). */
#ifndef POSTERN_VECTOR_X25519_BASE_H
#define POSTERN_VECTOR_X25519_BASE_H

#include "vector/x25519.h"

enum { POSTERN_X25519_BATCH = 8 };

/* Each out = the u-coordinate of that scalar times the base point (u = 9), lowest byte first. The
 * scalars are clamped already (RFC 7748, 5). Time and memory accesses do not depend on them. What
 * it leaves on the stack is wiped. */
void postern_x25519_base(unsigned char out[POSTERN_X25519_BATCH][POSTERN_X25519_BYTES],
                         const unsigned char scalars[POSTERN_X25519_BATCH][POSTERN_X25519_BYTES]);

/* Makes a new pair. 0, or -1: there is no randomness.
 *
 * Each thread makes eight pairs at once, hands each out once, and wipes it then: what is said in
 * postern_random.c about a stock of random bytes holds for these, which are made of such bytes. */
int postern_x25519_pair(unsigned char private_key[POSTERN_X25519_BYTES],
                        unsigned char public_key[POSTERN_X25519_BYTES])
    __attribute__((warn_unused_result));

#endif
