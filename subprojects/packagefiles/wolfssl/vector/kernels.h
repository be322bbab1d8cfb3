/* Cryptography of our own for x86-64 processors with AVX-512: AES-GCM (gcm.h), RSA-2048 with a
 * private key (rsa.h), X25519 (x25519.h) and signatures with P-256 (p256.h). Each has a build
 * option (meson_options.txt), and each is deleted with the first release of wolfSSL that does as
 * well: see the head of its file. */
#ifndef POSTERN_VECTOR_KERNELS_H
#define POSTERN_VECTOR_KERNELS_H

#include <stdbool.h>

enum postern_kernel {
    POSTERN_KERNEL_GCM = 1,
    POSTERN_KERNEL_RSA = 2,
    POSTERN_KERNEL_X25519 = 4,
    POSTERN_KERNEL_P256 = 8,
};

/* A sum of enum postern_kernel: those that are compiled in and that this processor can execute. */
unsigned postern_kernels_offered(void);

/* Tests each of the offered with known answers and puts those to use that give them: until then,
 * and in place of the others, the library's own code does everything. Returns the sum of those that
 * failed. Once, before there are threads; takes 1 ms. */
unsigned postern_kernels_start(void) __attribute__((warn_unused_result));

bool postern_kernel_is_used(enum postern_kernel kernel);

#endif
