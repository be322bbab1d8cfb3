/* Wiping what a computation with secrets leaves on the stack: its variables, and what the compiler
 * put there by itself. The computation must be a function that is not inlined; the function that
 * calls it calls postern_wipe_stack next, whose frame then covers the other's. */
#ifndef POSTERN_VECTOR_WIPE_H
#define POSTERN_VECTOR_WIPE_H

#include <string.h>

#define POSTERN_NOINLINE __attribute__((noinline))

/* At least `SIZE` bytes, which must be a constant, below the caller's frame. */
#define POSTERN_DEFINE_WIPE_STACK(SIZE)                                                            \
    static POSTERN_NOINLINE void postern_wipe_stack(void) {                                        \
        unsigned char below[SIZE];                                                                 \
        explicit_bzero(below, sizeof below);                                                       \
    }

#endif
