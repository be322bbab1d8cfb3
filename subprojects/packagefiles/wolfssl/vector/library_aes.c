/* Upstream's AES, with our own GCM (gcm.h) for all but short texts where that is in use. The
 * library calls the same functions as ever: upstream's are given other names here.
 *
 * Deleted together with gcm.c. */
#include "user_settings.h"

#include <wolfssl/wolfcrypt/types.h>

/* It would tie our functions, which have upstream's names in there, to upstream's symbols. */
#undef XASM_LINK
#define XASM_LINK(name)

#define AES_GCM_encrypt_avx2 gcm_encrypt_by_processor
#define AES_GCM_decrypt_avx2 gcm_decrypt_by_processor
#include "wolfcrypt/src/aes.c"
#undef AES_GCM_encrypt_avx2
#undef AES_GCM_decrypt_avx2

#include "vector/gcm.h"
#include "vector/kernels.h"

void AES_GCM_encrypt_avx2(const unsigned char *in, unsigned char *out, const unsigned char *addt,
                          const unsigned char *ivec, unsigned char *tag, word32 nbytes,
                          word32 abytes, word32 ibytes, word32 tbytes, const unsigned char *key,
                          int nr);
void AES_GCM_decrypt_avx2(const unsigned char *in, unsigned char *out, const unsigned char *addt,
                          const unsigned char *ivec, const unsigned char *tag, word32 nbytes,
                          word32 abytes, word32 ibytes, word32 tbytes, const unsigned char *key,
                          int nr, int *res);

static bool is_for_us(word32 nbytes, word32 abytes, word32 ibytes) {
    return nbytes >= POSTERN_GCM_WORTHWHILE && abytes <= POSTERN_GCM_BLOCK &&
           ibytes == POSTERN_GCM_NONCE && postern_kernel_is_used(POSTERN_KERNEL_GCM);
}

void gcm_encrypt_by_processor(const unsigned char *in, unsigned char *out,
                              const unsigned char *addt, const unsigned char *ivec,
                              unsigned char *tag, word32 nbytes, word32 abytes, word32 ibytes,
                              word32 tbytes, const unsigned char *key, int nr) {
    struct postern_gcm gcm = {key, nr, ivec, addt, abytes};
    unsigned char whole[POSTERN_GCM_BLOCK];
    if (!is_for_us(nbytes, abytes, ibytes)) {
        AES_GCM_encrypt_avx2(in, out, addt, ivec, tag, nbytes, abytes, ibytes, tbytes, key, nr);
        return;
    }
    postern_gcm_encrypt(&gcm, in, out, nbytes, whole);
    XMEMCPY(tag, whole, tbytes);
}

void gcm_decrypt_by_processor(const unsigned char *in, unsigned char *out,
                              const unsigned char *addt, const unsigned char *ivec,
                              const unsigned char *tag, word32 nbytes, word32 abytes, word32 ibytes,
                              word32 tbytes, const unsigned char *key, int nr, int *res) {
    struct postern_gcm gcm = {key, nr, ivec, addt, abytes};
    unsigned char right[POSTERN_GCM_BLOCK];
    if (!is_for_us(nbytes, abytes, ibytes)) {
        AES_GCM_decrypt_avx2(in, out, addt, ivec, tag, nbytes, abytes, ibytes, tbytes, key, nr,
                             res);
        return;
    }
    postern_gcm_decrypt(&gcm, in, out, nbytes, right);
    *res = ConstantCompare(right, tag, (int)tbytes) == 0;
}
