/* The library's only source of randomness: the kernel's. */
#include "user_settings.h"

#include <errno.h>
#include <sys/random.h>
#include <sys/types.h>

int postern_random(unsigned char *out, unsigned int len) {
    while (len > 0) {
        ssize_t got = getrandom(out, len, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return -1;
        out += got;
        len -= (unsigned int)got;
    }
    return 0;
}
