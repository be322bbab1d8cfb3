/* AES-GCM (NIST SP 800-38D) by the vector unit of x86-64 processors with AVX-512, VAES and
 * VPCLMULQDQ (processor.h): sixteen blocks are encrypted at a time, and the hash is reduced once
 * for thirty-two. */
#ifndef POSTERN_VECTOR_GCM_H
#define POSTERN_VECTOR_GCM_H

#include <stdbool.h>
#include <stddef.h>

enum { POSTERN_GCM_BLOCK = 16, POSTERN_GCM_NONCE = 12 };

/* From here on it is worth its preparations, which every call makes anew. */
enum { POSTERN_GCM_WORTHWHILE = 768 };

struct postern_gcm {
    const unsigned char *round_keys; /* rounds + 1 of 16 bytes, as AESENC takes them */
    int rounds;                      /* 10, 12 or 14 */
    const unsigned char *nonce;      /* POSTERN_GCM_NONCE bytes */
    const unsigned char *aad;
    size_t aad_len; /* at most a block */
};

/* `out` may be `in`. The tag is always a whole block. Time and memory accesses depend on
 * neither key nor data. */
void postern_gcm_encrypt(const struct postern_gcm *gcm, const unsigned char *in, unsigned char *out,
                         size_t len, unsigned char tag[POSTERN_GCM_BLOCK]);
/* `tag` is what it should be: to be compared by the caller, before it believes a byte of `out`. */
void postern_gcm_decrypt(const struct postern_gcm *gcm, const unsigned char *in, unsigned char *out,
                         size_t len, unsigned char tag[POSTERN_GCM_BLOCK]);

/* Computes what is known already; false: not to be used on this machine. Before there are threads.
 */
bool postern_gcm_self_test(void) __attribute__((warn_unused_result));

#endif
