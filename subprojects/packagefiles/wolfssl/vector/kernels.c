#include "vector/kernels.h"

#ifdef POSTERN_X86_64
#include "vector/gcm.h"
#include "vector/p256.h"
#include "vector/processor.h"
#include "vector/rsa_blinding.h"
#include "vector/x25519.h"
#endif

/* Written once, before there are threads. */
static unsigned used;

unsigned postern_kernels_offered(void) {
    unsigned offered = 0;
#if POSTERN_VECTOR_GCM
    offered |= postern_has_vaes() ? POSTERN_KERNEL_GCM : 0;
#endif
#if POSTERN_VECTOR_RSA
    offered |= postern_has_ifma() ? POSTERN_KERNEL_RSA : 0;
#endif
#if POSTERN_VECTOR_X25519
    offered |= postern_has_ifma() ? POSTERN_KERNEL_X25519 : 0;
#endif
#if POSTERN_VECTOR_P256
    offered |= postern_has_ifma() && postern_has_mulx() ? POSTERN_KERNEL_P256 : 0;
#endif
    return offered;
}

unsigned postern_kernels_start(void) {
    unsigned offered = postern_kernels_offered(), failed = 0;
#if POSTERN_VECTOR_GCM
    if ((offered & POSTERN_KERNEL_GCM) != 0 && !postern_gcm_self_test()) {
        failed |= POSTERN_KERNEL_GCM;
    }
#endif
#if POSTERN_VECTOR_RSA
    if ((offered & POSTERN_KERNEL_RSA) != 0 && !postern_rsa_self_test()) {
        failed |= POSTERN_KERNEL_RSA;
    }
#endif
#if POSTERN_VECTOR_X25519
    if ((offered & POSTERN_KERNEL_X25519) != 0 && !postern_x25519_self_test()) {
        failed |= POSTERN_KERNEL_X25519;
    }
#endif
#if POSTERN_VECTOR_P256
    if ((offered & POSTERN_KERNEL_P256) != 0 && !postern_p256_self_test()) {
        failed |= POSTERN_KERNEL_P256;
    }
#endif
    used = offered & ~failed;
    return failed;
}

bool postern_kernel_is_used(enum postern_kernel kernel) {
    return (used & kernel) != 0;
}
