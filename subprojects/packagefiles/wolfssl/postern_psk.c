/* The fields of contexts and connections are private to the library. */
#include "postern_psk.h"

#include <wolfssl/internal.h>

_Static_assert(POSTERN_PSK_KEY_MAX == MAX_PSK_KEY_LEN, "keys fit into the library's room");

void postern_psk_set(struct WOLFSSL_CTX *ctx, const struct postern_psk *psk) {
    ctx->posternPsk = psk;
    ctx->havePSK = 1;
}

int postern_psk_is_used(const struct WOLFSSL *ssl) {
    return !ssl->options.resuming && (ssl->options.isPSK || ssl->options.usingPSK_cipher);
}
