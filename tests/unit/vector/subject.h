/* One kernel with inputs, as the programs want it that look for what depends on secrets: taint.c
 * under valgrind, trace.c step by step. */
#ifndef POSTERN_TEST_SUBJECT_H
#define POSTERN_TEST_SUBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SUBJECT_SECRETS = 8 };

/* Exit codes of the programs beside 0 and 1. */
enum { SUBJECT_SKIPPED = 77, SUBJECT_DIFFERS = 3 };

struct memory {
    void *at;
    size_t len;
};

struct subject {
    const char *name;
    unsigned kernel; /* enum postern_kernel */
    bool (*self_test)(void);
    /* Fills the secrets, in another way for each number: 0 with zeros, 1 with ones, as far as they
     * may be, and then at random. What is public stays the same. */
    void (*prepare)(unsigned number);
    void (*run)(void);
    struct memory secrets[SUBJECT_SECRETS]; /* up to one of length 0 */
    struct memory output;
    /* After so many instructions a long loop only repeats itself, until subject_follow is called.
     * 0: there is no such loop. */
    size_t beginning;
};

extern const struct subject subject;

/* Bytes of that kind; the same in every run of the program. */
void subject_fill(void *at, size_t len, unsigned number);

/* Of taint.c and trace.c, called in the course of the kernel's work: for what it gets meanwhile,
 * and where that loop is over. */
void subject_mark_secret(void *at, size_t len);
void subject_follow(void);

#endif
