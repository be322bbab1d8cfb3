/* The library's code for RSA and the NIST curves on x86-64, with two things of ours:
 *
 * RSA-2048 private keys go our own road where the processor has AVX-512 IFMA (postern_rsa.h).
 * The other exponentiations may pause (postern_pause.h) after their Montgomery reductions.
 *
 * The library asks for the same functions and need not know: upstream's have other names here. */
#define sp_RsaPrivate_2048          upstream_RsaPrivate_2048
#define sp_2048_mont_reduce_16      pausing_2048_mont_reduce_16
#define sp_2048_mont_reduce_avx2_16 pausing_2048_mont_reduce_avx2_16
#define sp_2048_mont_reduce_32      pausing_2048_mont_reduce_32
#define sp_2048_mont_reduce_avx2_32 pausing_2048_mont_reduce_avx2_32
#define sp_3072_mont_reduce_24      pausing_3072_mont_reduce_24
#define sp_3072_mont_reduce_avx2_24 pausing_3072_mont_reduce_avx2_24
#include "wolfcrypt/src/sp_x86_64.c"
#undef sp_RsaPrivate_2048
#undef sp_2048_mont_reduce_16
#undef sp_2048_mont_reduce_avx2_16
#undef sp_2048_mont_reduce_32
#undef sp_2048_mont_reduce_avx2_32
#undef sp_3072_mont_reduce_24
#undef sp_3072_mont_reduce_avx2_24

#include "postern_pause.h"
#include "postern_processor.h"
#include "postern_rsa.h"

#include <stdbool.h>
#include <string.h>

/* --- pauses --- */

/* A reduction takes 0.1 to 1 us. */
enum { REDUCTIONS_A_PAUSE = 32 };

/* Whoever runs during a pause must not find the vector registers as upstream's code leaves them
 * (user_settings.h). */
static void count_reduction(void) {
    static _Thread_local unsigned count;
    if (++count % REDUCTIONS_A_PAUSE == 0) {
        postern_vectors_done();
        postern_may_pause();
    }
}

#define PAUSING(name)                                                                              \
    extern void sp_##name(sp_digit *a, const sp_digit *m, sp_digit mp);                            \
    void pausing_##name(sp_digit *a, const sp_digit *m, sp_digit mp) {                             \
        sp_##name(a, m, mp);                                                                       \
        count_reduction();                                                                         \
    }

PAUSING(2048_mont_reduce_16)
PAUSING(2048_mont_reduce_avx2_16)
PAUSING(2048_mont_reduce_32)
PAUSING(2048_mont_reduce_avx2_32)
PAUSING(3072_mont_reduce_24)
PAUSING(3072_mont_reduce_avx2_24)

/* --- RSA-2048 --- */

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
    bool ours = postern_has_ifma() && in_len == POSTERN_RSA_BYTES &&
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
