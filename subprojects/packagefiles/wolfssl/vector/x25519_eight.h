/* Eight shared secrets of X25519 (RFC 7748) at a time, by the vector unit of x86-64 processors with
 * AVX-512 IFMA (processor.h). */
#ifndef POSTERN_VECTOR_X25519_EIGHT_H
#define POSTERN_VECTOR_X25519_EIGHT_H

#include "vector/x25519_base.h"

/* What postern_x25519 does, for each of eight scalars and points. Takes as long as three calls of
 * that. */
void postern_x25519_eight(unsigned char out[POSTERN_X25519_BATCH][POSTERN_X25519_BYTES],
                          const unsigned char scalars[POSTERN_X25519_BATCH][POSTERN_X25519_BYTES],
                          const unsigned char points[POSTERN_X25519_BATCH][POSTERN_X25519_BYTES]);

#endif
