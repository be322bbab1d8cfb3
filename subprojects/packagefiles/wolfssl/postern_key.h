/* Where a context keeps its private key: the library has no interface for that. */
#ifndef POSTERN_KEY_H
#define POSTERN_KEY_H

#include <stddef.h>

struct WOLFSSL_CTX;

/* Of the private key as the context keeps it (DER); 0: it has none. */
size_t postern_key_size(const struct WOLFSSL_CTX *ctx);

/* The context and its connections read the key at `to` from now on, which has room for
 * postern_key_size bytes and is the caller's. The library's own copy is overwritten. Not while
 * another thread uses the context. */
void postern_key_move(struct WOLFSSL_CTX *ctx, unsigned char *to);

/* After postern_key_move: the context has no key from now on, so that the caller may free it. For
 * connections whose handshakes are complete that makes no difference. */
void postern_key_forget(struct WOLFSSL_CTX *ctx);

#endif
