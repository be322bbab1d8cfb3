/* A context's key is an allocation with a pointer into itself. The library follows the pointer
 * wherever it reads the key, and frees the allocation, so the pointer may lead elsewhere; before
 * the context is freed it must lead nowhere, because the library overwrites what it points to. */
#include "postern_key.h"

#include <string.h>

#include <wolfssl/internal.h>

size_t postern_key_size(const struct WOLFSSL_CTX *ctx) {
    return ctx->privateKey != NULL ? ctx->privateKey->length : 0;
}

void postern_key_move(struct WOLFSSL_CTX *ctx, unsigned char *to) {
    DerBuffer *key = ctx->privateKey;
    memcpy(to, key->buffer, key->length);
    explicit_bzero(key->buffer, key->length);
    key->buffer = to;
}

void postern_key_forget(struct WOLFSSL_CTX *ctx) {
    ctx->privateKey->buffer = NULL;
    ctx->privateKey->length = 0;
}
