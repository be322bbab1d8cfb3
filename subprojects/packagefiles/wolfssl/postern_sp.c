/* The library's code for RSA and the NIST curves on x86-64, with our own road for RSA-2048 private
 * keys where the processor has AVX-512 IFMA (postern_rsa.h). The library asks for one function and
 * need not know: upstream's has another name here, and is called where ours cannot be. */
#define sp_RsaPrivate_2048 upstream_RsaPrivate_2048
#include "wolfcrypt/src/sp_x86_64.c"
#undef sp_RsaPrivate_2048

#include "postern_rsa.h"

#include <stdbool.h>
#include <string.h>

int sp_RsaPrivate_2048(const byte *in, word32 in_len, const mp_int *d, const mp_int *p,
                       const mp_int *q, const mp_int *dp, const mp_int *dq, const mp_int *qinv,
                       const mp_int *n, byte *out, word32 *out_len);

/* False if the number is too large. */
static bool words_from_mp(uint64_t words[POSTERN_RSA_WORDS], const mp_int *number) {
    if (number->used > POSTERN_RSA_WORDS)
        return false;
    XMEMSET(words, 0, POSTERN_RSA_WORDS * sizeof *words);
    XMEMCPY(words, number->dp, number->used * sizeof *words);
    return true;
}

int sp_RsaPrivate_2048(const byte *in, word32 in_len, const mp_int *d, const mp_int *p,
                       const mp_int *q, const mp_int *dp, const mp_int *dq, const mp_int *qinv,
                       const mp_int *n, byte *out, word32 *out_len) {
    struct postern_rsa_key key;
    bool ours = postern_rsa_usable() && in_len == POSTERN_RSA_BYTES &&
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
