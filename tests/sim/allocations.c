#include "allocations.h"

#include "random.h"
#include "sockets.h"

#include <errno.h>
#include <stddef.h>

static unsigned one_in;

unsigned allocations_fail_one_in(unsigned n) {
    unsigned before = one_in;
    one_in = n;
    return before;
}

static bool fails(void) {
    if (one_in == 0 || !random_one_in(one_in)) {
        return false;
    }
    sim_note_trouble();
    errno = ENOMEM;
    return true;
}

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *text);
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strdup(const char *text);

void *__wrap_malloc(size_t size) {
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size) {
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size) {
    return fails() ? NULL : __real_realloc(old, size);
}

char *__wrap_strdup(const char *text) {
    return fails() ? NULL : __real_strdup(text);
}
