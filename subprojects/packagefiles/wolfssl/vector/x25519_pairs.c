/* A stock of key pairs; deleted together with x25519.c. */
#include "vector/x25519_base.h"

#include "user_settings.h"

#include <string.h>

static _Thread_local struct {
    unsigned char private_keys[POSTERN_X25519_BATCH][POSTERN_X25519_BYTES];
    unsigned char public_keys[POSTERN_X25519_BATCH][POSTERN_X25519_BYTES];
    int left;
} stock;

static int fill(void) {
    if (postern_random(stock.private_keys[0], sizeof stock.private_keys) != 0) {
        return -1;
    }
    for (int i = 0; i < POSTERN_X25519_BATCH; i++) {
        unsigned char *key = stock.private_keys[i];
        key[0] &= 248;
        key[POSTERN_X25519_BYTES - 1] = (key[POSTERN_X25519_BYTES - 1] & 127) | 64;
    }
    postern_x25519_base(stock.public_keys, (const void *)stock.private_keys);
    stock.left = POSTERN_X25519_BATCH;
    return 0;
}

int postern_x25519_pair(unsigned char private_key[POSTERN_X25519_BYTES],
                        unsigned char public_key[POSTERN_X25519_BYTES]) {
    if (stock.left == 0 && fill() != 0) {
        return -1;
    }
    stock.left--;
    memcpy(private_key, stock.private_keys[stock.left], POSTERN_X25519_BYTES);
    memcpy(public_key, stock.public_keys[stock.left], POSTERN_X25519_BYTES);
    explicit_bzero(stock.private_keys[stock.left], POSTERN_X25519_BYTES);
    return 0;
}
