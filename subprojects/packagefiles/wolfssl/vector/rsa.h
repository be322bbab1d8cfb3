/* RSA-2048 with the private key, by the vector unit of x86-64 processors with AVX-512 IFMA
 * (processor.h). */
#ifndef POSTERN_VECTOR_RSA_H
#define POSTERN_VECTOR_RSA_H

#include <stdint.h>

enum { POSTERN_RSA_WORDS = 16, POSTERN_RSA_BYTES = 256 };

/* The key in the form of the Chinese remainder theorem (RFC 8017, 3.2): p and q are odd and have
 * exactly 1,024 bits; every number has its lowest word first. */
struct postern_rsa_key {
    uint64_t p[POSTERN_RSA_WORDS], q[POSTERN_RSA_WORDS];
    uint64_t dp[POSTERN_RSA_WORDS], dq[POSTERN_RSA_WORDS];
    uint64_t qinv[POSTERN_RSA_WORDS]; /* less than p */
};

/* out = in^d mod pq, both with the highest byte first; `out` may be `in`. Time and memory accesses
 * depend on neither key nor input. What it leaves on the stack is wiped; the key is the caller's.
 */
void postern_rsa_private(const struct postern_rsa_key *key,
                         const unsigned char in[POSTERN_RSA_BYTES],
                         unsigned char out[POSTERN_RSA_BYTES]);

#endif
