#include "vector/kernels.h"

#ifdef POSTERN_X86_64
#include "vector/processor.h"
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
    return offered;
}

void postern_kernels_start(void) {
    used = postern_kernels_offered();
}

bool postern_kernel_is_used(enum postern_kernel kernel) {
    return (used & kernel) != 0;
}
