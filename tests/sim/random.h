/* The one source of everything that a run decides: the same seed makes the same run. The TLS
 * libraries of both ends get their random bytes here too, by a generator of its own. */
#ifndef POSTERN_SIM_RANDOM_H
#define POSTERN_SIM_RANDOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Also takes over OpenSSL's random bytes, and with --wrap=getrandom the product's. */
void random_seed(uint64_t seed);

uint64_t random_next(void);
uint64_t random_below(uint64_t bound);    /* 0 to bound - 1; bound is not 0 */
bool random_one_in(unsigned n);           /* true once in n calls, on average */
size_t random_size(size_t max);           /* 1 to max, small ones as often as large ones */
void random_fill(void *into, size_t len); /* of the generator for secrets */

#endif
