/* Allocations of the product that fail now and then, with --wrap=malloc and its like. */
#ifndef POSTERN_SIM_ALLOCATIONS_H
#define POSTERN_SIM_ALLOCATIONS_H

#include <stdbool.h>

/* From now on one in `n` fails; 0: none does. Returns what it was. */
unsigned allocations_fail_one_in(unsigned n);

#endif
