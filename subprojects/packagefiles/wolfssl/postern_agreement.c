#include "postern_agreement.h"

#include "vector/kernels.h"

#if POSTERN_VECTOR_X25519
#include "vector/x25519_ahead.h"
#endif

#include <wolfssl/internal.h>

bool postern_agreements_are_possible(void) {
    return postern_kernel_is_used(POSTERN_KERNEL_X25519);
}

const unsigned char *postern_agreement_key(const struct WOLFSSL *ssl) {
    const curve25519_key *key = (const curve25519_key *)ssl->eccTempKey;
    bool waits = ssl->options.serverState == SERVER_HELLODONE_COMPLETE &&
                 ssl->options.clientState < CLIENT_KEYEXCHANGE_COMPLETE;
    return waits && ssl->eccTempKeyPresent == DYNAMIC_TYPE_CURVE25519 ? key->k : NULL;
}

void postern_agreements_compute(const struct postern_agreement *wanted, int count) {
#if POSTERN_VECTOR_X25519
    if (postern_agreements_are_possible()) {
        postern_x25519_ahead(wanted, count);
    }
#else
    (void)wanted;
    (void)count;
#endif
}

void postern_agreement_expect(const unsigned char *peer) {
#if POSTERN_VECTOR_X25519
    postern_x25519_expect(peer);
#else
    (void)peer;
#endif
}
