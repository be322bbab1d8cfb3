/* The library's only source of randomness: the kernel's.
 *
 * A handshake asks for random bytes ten times and a TLS 1.2 record once, a few bytes each: a
 * system call a time would cost more than the bytes. So each thread fetches half a kilobyte at
 * once, hands every byte out once, and wipes it as it goes.
 *
 * A copy of the process (a fork, a snapshot of a virtual machine that is started twice) hands the
 * same stock out again. Postern does not fork. After a snapshot two copies may show two clients the
 * same random bytes of a ServerHello and the same key share; both are public, and the secrets also
 * depend on the client. Nonces of signatures must not repeat for different messages, and do not:
 * the key and the message are hashed together with what comes from the stock. */
#include "postern_random.h"

#include <wolfssl/wolfcrypt/settings.h>

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/random.h>
#include <sys/types.h>
#include <wolfssl/wolfcrypt/hash.h>

enum { STOCK = 512, PART_MAX = 66, FRESH = 32 };

/* Of the nonce that is being made: all of it is hashed for each 64 bytes. The fields have fixed
 * places, so no two inputs are the same bytes. */
struct nonce_input {
    unsigned char count, key_len, message_len;
    unsigned char key[PART_MAX], message[PART_MAX], fresh[FRESH];
};

static _Thread_local struct nonce_input nonce;
static _Thread_local bool in_nonce;

static int fetch(unsigned char *out, unsigned int len) {
    while (len > 0) {
        ssize_t got = getrandom(out, len, 0);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return -1;
        }
        out += got;
        len -= (unsigned int)got;
    }
    return 0;
}

static int from_stock(unsigned char *out, unsigned int len) {
    static _Thread_local unsigned char stock[STOCK];
    static _Thread_local unsigned int left;
    if (len > STOCK / 4) {
        return fetch(out, len);
    }
    if (len > left) {
        if (fetch(stock, STOCK) != 0) {
            return -1;
        }
        left = STOCK;
    }
    left -= len;
    memcpy(out, stock + left, len);
    explicit_bzero(stock + left, len);
    return 0;
}

static int next_block(unsigned char *block) {
    if (++nonce.count == 0) {
        return -1; /* no signature tries so often */
    }
    return wc_Sha512Hash((const byte *)&nonce, sizeof nonce, block) == 0 ? 0 : -1;
}

static int for_nonce(unsigned char *out, unsigned int len) {
    unsigned char block[WC_SHA512_DIGEST_SIZE];
    int result = 0;
    while (len > 0 && result == 0) {
        unsigned int part = len < sizeof block ? len : (unsigned int)sizeof block;
        result = next_block(block);
        memcpy(out, block, part);
        out += part;
        len -= part;
    }
    explicit_bzero(block, sizeof block);
    return result;
}

int postern_random(unsigned char *out, unsigned int len) {
    return in_nonce ? for_nonce(out, len) : from_stock(out, len);
}

int postern_random_begin_nonce(const unsigned char *key, unsigned key_len,
                               const unsigned char *message, unsigned message_len) {
    if (key_len > PART_MAX || message_len > PART_MAX || from_stock(nonce.fresh, FRESH) != 0) {
        return -1;
    }
    nonce.key_len = (unsigned char)key_len;
    nonce.message_len = (unsigned char)message_len;
    memcpy(nonce.key, key, key_len);
    memcpy(nonce.message, message, message_len);
    in_nonce = true;
    return 0;
}

void postern_random_end_nonce(void) {
    in_nonce = false;
    explicit_bzero(&nonce, sizeof nonce);
}
