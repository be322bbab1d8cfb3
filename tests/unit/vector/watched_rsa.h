/* The RSA kernel in a test program that wants to see what it is given or to break it: linked before
 * the library, it takes the place of the library's own copy. */
#ifndef POSTERN_TEST_WATCHED_RSA_H
#define POSTERN_TEST_WATCHED_RSA_H

#include <stdbool.h>

#include <vector/rsa.h>

enum { WATCHED_CALLS = 256 };

extern struct watched_rsa {
    unsigned calls;                                         /* since the test set it to 0 */
    unsigned char inputs[WATCHED_CALLS][POSTERN_RSA_BYTES]; /* of the first of them */
    bool broken; /* one bit of the half modulo p is wrong, as after a fault in a multiplication */
} watched_rsa;

#endif
