#include "core/secret.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Whole pages. */
static size_t mapped_size(size_t size) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (size + page - 1) / page * page;
}

void *secret_new(size_t size, bool *locked) {
    size_t mapped = mapped_size(size);
    void *secret = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (secret == MAP_FAILED) {
        return NULL;
    }
    *locked = mlock(secret, mapped) == 0;
    (void)madvise(secret, mapped, MADV_DONTDUMP); /* some emulators do not know it */
    return secret;
}

void secret_free(void *secret, size_t size) {
    if (secret != NULL) {
        explicit_bzero(secret, size);
        munmap(secret, mapped_size(size));
    }
}
