/* The fields of contexts are private to the library. */
#include "postern_hello.h"

#include <wolfssl/internal.h>

void postern_hello_set(struct WOLFSSL_CTX *ctx, const struct postern_hello *hello) {
    ctx->posternHello = hello;
}
