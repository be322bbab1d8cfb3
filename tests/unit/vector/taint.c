/* Runs a kernel, compiled with emulated.h, under valgrind with its secrets marked as uninitialised:
 * memcheck then reports each branch and each address that depends on one. */
#include "subject.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef HAVE_MEMCHECK
#include <valgrind/memcheck.h>
#else
#define VALGRIND_MAKE_MEM_UNDEFINED(at, len) ((void)(at), (void)(len))
#define VALGRIND_MAKE_MEM_DEFINED(at, len)   ((void)(at), (void)(len))
#define VALGRIND_GET_VBITS(at, bits, len)    (-1)
#define VALGRIND_COUNT_ERRORS                0
#define RUNNING_ON_VALGRIND                  0
#endif

enum { RUNS = 3, MOST_OUTPUT = 2048 };

static bool self_test_is_over;

void subject_mark_secret(void *at, size_t len) {
    if (self_test_is_over) {
        VALGRIND_MAKE_MEM_UNDEFINED(at, len);
    }
}

void subject_follow(void) {
}

static size_t mark_secrets(void) {
    size_t bytes = 0;
    for (const struct memory *secret = subject.secrets; secret->len > 0; secret++) {
        subject_mark_secret(secret->at, secret->len);
        bytes += secret->len;
    }
    return bytes;
}

/* Each byte of what comes out depends on secrets: if memcheck does not know, it saw nothing. */
static bool output_is_tainted(void) {
    unsigned char bits[MOST_OUTPUT];
    size_t len = subject.output.len;
    if (len > sizeof bits || VALGRIND_GET_VBITS(subject.output.at, bits, len) != 1) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (bits[i] == 0) {
            return false;
        }
    }
    return true;
}

int main(void) {
    size_t bytes = 0;
    if (!RUNNING_ON_VALGRIND) {
        puts("skipped: not under valgrind, or built without its headers");
        return SUBJECT_SKIPPED;
    }
    if (!subject.self_test()) {
        puts("the emulated kernel computes wrongly");
        return EXIT_FAILURE;
    }
    self_test_is_over = true;
    for (unsigned number = 0; number < RUNS; number++) {
        subject.prepare(number);
        bytes = mark_secrets();
        memset(subject.output.at, 0, subject.output.len);
        subject.run();
        if (!output_is_tainted()) {
            puts("the output does not depend on the secrets: nothing was seen");
            return EXIT_FAILURE;
        }
        VALGRIND_MAKE_MEM_DEFINED(subject.output.at, subject.output.len);
        for (const struct memory *secret = subject.secrets; secret->len > 0; secret++) {
            VALGRIND_MAKE_MEM_DEFINED(secret->at, secret->len);
        }
    }
    printf("%s: %d runs with %zu secret bytes, %u reports\n", subject.name, RUNS, bytes,
           (unsigned)VALGRIND_COUNT_ERRORS);
    return EXIT_SUCCESS;
}
