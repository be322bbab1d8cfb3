/* Upstream's code for RSA and the NIST curves on x86-64, whose exponentiations may pause
 * (postern_pause.h) after their Montgomery reductions. Those that call a reduction call the same
 * function as ever: upstream's have other names here. */
#define sp_2048_mont_reduce_16      pausing_2048_mont_reduce_16
#define sp_2048_mont_reduce_avx2_16 pausing_2048_mont_reduce_avx2_16
#define sp_2048_mont_reduce_32      pausing_2048_mont_reduce_32
#define sp_2048_mont_reduce_avx2_32 pausing_2048_mont_reduce_avx2_32
#define sp_3072_mont_reduce_24      pausing_3072_mont_reduce_24
#define sp_3072_mont_reduce_avx2_24 pausing_3072_mont_reduce_avx2_24
#include "wolfcrypt/src/sp_x86_64.c"
#undef sp_2048_mont_reduce_16
#undef sp_2048_mont_reduce_avx2_16
#undef sp_2048_mont_reduce_32
#undef sp_2048_mont_reduce_avx2_32
#undef sp_3072_mont_reduce_24
#undef sp_3072_mont_reduce_avx2_24

#include "postern_pause.h"

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
