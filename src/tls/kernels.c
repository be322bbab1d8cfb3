/* The vector code of our own in the TLS library (docs/vector-code.md): used where it passes its
 * self-test on this machine. */
#include "tls/internal.h"

#include "core/log.h"

#ifdef POSTERN_OWN_WOLFSSL
#include <vector/kernels.h>

static const struct {
    enum postern_kernel kernel;
    const char *name;
} names[] = {
    {POSTERN_KERNEL_GCM, "AES-GCM"},
    {POSTERN_KERNEL_RSA, "RSA-2048"},
    {POSTERN_KERNEL_X25519, "X25519"},
    {POSTERN_KERNEL_P256, "ECDSA with P-256"},
};

void tls_kernels_start(void) {
    unsigned failed = postern_kernels_start();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if ((failed & names[i].kernel) != 0) {
            log_message(
                LOG_LEVEL_WARNING, "vector code",
                "%s by AVX-512 fails its self-test: wolfSSL's own code is used instead; the "
                "processor, its emulation or the build is faulty",
                names[i].name);
        }
    }
}
#else
void tls_kernels_start(void) {
}
#endif
