/* Upstream's code for RSA and the NIST curves, with our own RSA-2048 (rsa_blinding.h) for private
 * keys where that is in use. The library calls the same function as ever: upstream's has another
 * name here.
 *
 * Deleted together with rsa.c; postern_sp.c is compiled in its place then. */
#define sp_RsaPrivate_2048 upstream_RsaPrivate_2048
#include "postern_sp.c"
#undef sp_RsaPrivate_2048

#include "vector/kernels.h"
#include "vector/rsa_blinding.h"

#include <stdbool.h>
#include <string.h>

int sp_RsaPrivate_2048(const byte *in, word32 in_len, const mp_int *d, const mp_int *p,
                       const mp_int *q, const mp_int *dp, const mp_int *dq, const mp_int *qinv,
                       const mp_int *n, byte *out, word32 *out_len);

/* False if the number does not fit. */
static bool words_from_mp(uint64_t *words, unsigned count, const mp_int *number) {
    if (number->used > count) {
        return false;
    }
    XMEMSET(words, 0, count * sizeof *words);
    XMEMCPY(words, number->dp, number->used * sizeof *words);
    return true;
}

int sp_RsaPrivate_2048(const byte *in, word32 in_len, const mp_int *d, const mp_int *p,
                       const mp_int *q, const mp_int *dp, const mp_int *dq, const mp_int *qinv,
                       const mp_int *n, byte *out, word32 *out_len) {
    enum { HALF = POSTERN_RSA_WORDS };
    struct postern_rsa_key key;
    uint64_t modulus[2 * HALF];
    bool ours = postern_kernel_is_used(POSTERN_KERNEL_RSA) && in_len == POSTERN_RSA_BYTES &&
                *out_len >= POSTERN_RSA_BYTES && words_from_mp(key.p, HALF, p) &&
                words_from_mp(key.q, HALF, q) && words_from_mp(key.dp, HALF, dp) &&
                words_from_mp(key.dq, HALF, dq) && words_from_mp(key.qinv, HALF, qinv) &&
                words_from_mp(modulus, 2 * HALF, n) && postern_rsa_is_usable(&key, modulus) &&
                postern_rsa_private_blinded(&key, modulus, in, out);
    if (ours) {
        *out_len = POSTERN_RSA_BYTES;
    }
    explicit_bzero(&key, sizeof key);
    return ours ? MP_OKAY
                : upstream_RsaPrivate_2048(in, in_len, d, p, q, dp, dq, qinv, n, out, out_len);
}
