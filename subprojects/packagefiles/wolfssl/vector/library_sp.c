/* Upstream's code for RSA and the NIST curves, with our own RSA-2048 (rsa.h) for private keys where
 * that is in use. The library calls the same function as ever: upstream's has another name here.
 *
 * Deleted together with rsa.c; postern_sp.c is compiled in its place then. */
#define sp_RsaPrivate_2048 upstream_RsaPrivate_2048
#include "postern_sp.c"
#undef sp_RsaPrivate_2048

#include "vector/kernels.h"
#include "vector/rsa.h"

#include <stdbool.h>
#include <string.h>

int sp_RsaPrivate_2048(const byte *in, word32 in_len, const mp_int *d, const mp_int *p,
                       const mp_int *q, const mp_int *dp, const mp_int *dq, const mp_int *qinv,
                       const mp_int *n, byte *out, word32 *out_len);

/* False if the number is too large. */
static bool words_from_mp(uint64_t words[POSTERN_RSA_WORDS], const mp_int *number) {
    if (number->used > POSTERN_RSA_WORDS) {
        return false;
    }
    XMEMSET(words, 0, POSTERN_RSA_WORDS * sizeof *words);
    XMEMCPY(words, number->dp, number->used * sizeof *words);
    return true;
}

int sp_RsaPrivate_2048(const byte *in, word32 in_len, const mp_int *d, const mp_int *p,
                       const mp_int *q, const mp_int *dp, const mp_int *dq, const mp_int *qinv,
                       const mp_int *n, byte *out, word32 *out_len) {
    struct postern_rsa_key key;
    bool ours = postern_kernel_is_used(POSTERN_KERNEL_RSA) && in_len == POSTERN_RSA_BYTES &&
                *out_len >= POSTERN_RSA_BYTES && words_from_mp(key.p, p) &&
                words_from_mp(key.q, q) && words_from_mp(key.dp, dp) && words_from_mp(key.dq, dq) &&
                words_from_mp(key.qinv, qinv) && (key.p[0] & key.q[0] & 1) != 0;
    if (ours) {
        postern_rsa_private(&key, in, out);
        *out_len = POSTERN_RSA_BYTES;
    }
    explicit_bzero(&key, sizeof key);
    return ours ? MP_OKAY
                : upstream_RsaPrivate_2048(in, in_len, d, p, q, dp, dq, qinv, n, out, out_len);
}
