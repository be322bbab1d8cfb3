/* The library's AES, with our own GCM for all but short texts where the processor has AVX-512, VAES
 * and VPCLMULQDQ (postern_gcm.h). The library asks for the same functions and need not know. */
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

#include "postern_gcm.h"
#include "postern_processor.h"

void AES_GCM_encrypt_avx2(const unsigned char *in, unsigned char *out, const unsigned char *addt,
                          const unsigned char *ivec, unsigned char *tag, word32 nbytes,
                          word32 abytes, word32 ibytes, word32 tbytes, const unsigned char *key,
                          int nr);
void AES_GCM_decrypt_avx2(const unsigned char *in, unsigned char *out, const unsigned char *addt,
                          const unsigned char *ivec, const unsigned char *tag, word32 nbytes,
                          word32 abytes, word32 ibytes, word32 tbytes, const unsigned char *key,
                          int nr, int *res);

/* Asking the processor is a hundred times dearer than remembering, and every thread gets the same
 * answer. */
static int is_usable(void) {
    static _Thread_local int usable = -1;
    if (usable < 0)
        usable = postern_has_vaes();
    return usable;
}

static int is_for_us(word32 nbytes, word32 abytes, word32 ibytes) {
    return nbytes >= POSTERN_GCM_WORTHWHILE && abytes <= POSTERN_GCM_BLOCK &&
           ibytes == POSTERN_GCM_NONCE && is_usable();
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
