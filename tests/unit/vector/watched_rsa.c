#define postern_rsa_private kernel_rsa_private
#include <vector/rsa.c>
#undef postern_rsa_private

#include "watched_rsa.h"

struct watched_rsa watched_rsa;

/* The header declared it under its other name. */
void postern_rsa_private(const struct postern_rsa_key *key,
                         const unsigned char in[POSTERN_RSA_BYTES],
                         unsigned char out[POSTERN_RSA_BYTES]);

void postern_rsa_private(const struct postern_rsa_key *key,
                         const unsigned char in[POSTERN_RSA_BYTES],
                         unsigned char out[POSTERN_RSA_BYTES]) {
    struct postern_rsa_key used = *key;
    if (watched_rsa.calls < WATCHED_CALLS) {
        memcpy(watched_rsa.inputs[watched_rsa.calls], in, POSTERN_RSA_BYTES);
    }
    watched_rsa.calls++;
    if (watched_rsa.broken) {
        used.dp[0] ^= 4; /* the result is right modulo q only, which gives q away */
    }
    kernel_rsa_private(&used, in, out);
}
