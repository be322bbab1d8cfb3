#include "tls/allocations.h"

#include "tls/wolfssl.h"

#include <stdlib.h>
#include <wolfssl/wolfcrypt/memory.h>

static _Thread_local unsigned failed;

static void *noted(void *memory, size_t size) {
    failed += memory == NULL && size > 0;
    return memory;
}

static void *allocate(size_t size) {
    return noted(malloc(size), size);
}

static void *reallocate(void *memory, size_t size) {
    return noted(realloc(memory, size), size);
}

int allocations_watch(void) {
    return wolfSSL_SetAllocators(allocate, free, reallocate) == 0 ? 0 : -1;
}

unsigned allocations_failed(void) {
    return failed;
}
