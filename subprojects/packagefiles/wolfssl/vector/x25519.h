/* X25519 (RFC 7748) by the vector unit of x86-64 processors with AVX-512 IFMA
 * (processor.h). */
#ifndef POSTERN_VECTOR_X25519_H
#define POSTERN_VECTOR_X25519_H

#include <stdbool.h>

enum { POSTERN_X25519_BYTES = 32 };

/* out = the u-coordinate of scalar times the point with u-coordinate `point`; all lowest byte
 * first. The scalar is clamped already (RFC 7748, 5), and its bit 255 is not looked at, nor the
 * point's. Time and memory accesses depend on neither. What it leaves on the stack is wiped. */
void postern_x25519(unsigned char out[POSTERN_X25519_BYTES],
                    const unsigned char scalar[POSTERN_X25519_BYTES],
                    const unsigned char point[POSTERN_X25519_BYTES]);

/* Computes what is known already; false: not to be used on this machine. Before there are threads.
 */
bool postern_x25519_self_test(void) __attribute__((warn_unused_result));

#endif
