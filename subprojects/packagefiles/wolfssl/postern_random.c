/* The library's only source of randomness: the kernel's.
 *
 * A handshake asks for random bytes nine times and a TLS 1.2 record once, a few bytes each: a
 * system call a time would cost more than the bytes. So each thread fetches half a kilobyte at
 * once, hands every byte out once, and wipes it as it goes. Postern never forks, so no two
 * processes can hold the same bytes. */
#include "user_settings.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <sys/types.h>

enum { STOCK = 512 };

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

int postern_random(unsigned char *out, unsigned int len) {
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
