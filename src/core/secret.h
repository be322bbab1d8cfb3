/* Memory for keys that stay as long as the process: locked, so that it is never written to swap,
 * left out of core files (madvise(2), MADV_DONTDUMP), and overwritten before it is given back.
 *
 * Each allocation has pages of its own and costs three system calls: it is for the few secrets that
 * are loaded or made once, not for what a connection needs. */
#ifndef POSTERN_CORE_SECRET_H
#define POSTERN_CORE_SECRET_H

#include <stdbool.h>
#include <stddef.h>

/* Zeroed memory for `size` bytes (at least 1), which secret_free gives back; NULL without memory.
 * `*locked` becomes false where the limit of locked memory (RLIMIT_MEMLOCK) is reached, or the
 * system does not lock memory: the memory can be used nevertheless. */
void *secret_new(size_t size, bool *locked) __attribute__((warn_unused_result));

/* Overwrites and frees memory of secret_new; `size` is that of the call. NULL is fine. */
void secret_free(void *secret, size_t size);

#endif
