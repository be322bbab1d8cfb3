/* RSA-2048 with a private key by rsa.h, with base blinding: what is raised to the secret exponents
 * is in A mod n, and the result is multiplied by A^-d, where A is random and nobody else's. So
 * neither the time nor the power that the exponentiation takes can be related to its input.
 *
 * The library blinds in its general code and not in the code for these sizes, whose time is
 * constant, as ours is; this is a second line of defence. */
#ifndef POSTERN_VECTOR_RSA_BLINDING_H
#define POSTERN_VECTOR_RSA_BLINDING_H

#include "vector/rsa.h"

#include <stdbool.h>
#include <stdint.h>

/* Whether p, q and n are odd and dp and dq below p and q. It is no secret: other keys are broken.
 */
bool postern_rsa_is_usable(const struct postern_rsa_key *key,
                           const uint64_t n[2 * POSTERN_RSA_WORDS]);

/* As postern_rsa_private. `n` is pq, its lowest word first, and the key is usable. False, with
 * `out` untouched, if there are no random numbers. A thread that pauses in it (postern_pause.h) may
 * call it again. */
bool postern_rsa_private_blinded(const struct postern_rsa_key *key,
                                 const uint64_t n[2 * POSTERN_RSA_WORDS],
                                 const unsigned char in[POSTERN_RSA_BYTES],
                                 unsigned char out[POSTERN_RSA_BYTES])
    __attribute__((warn_unused_result));

/* With blinding and without it, computes what is known already; false: not to be used on this
 * machine. Before there are threads. */
bool postern_rsa_self_test(void) __attribute__((warn_unused_result));

#endif
