/* Memory that ended sessions have left. The C library keeps it for the next ones; after a storm it
 * goes back to the system. */
#ifndef POSTERN_SERVER_HEAP_H
#define POSTERN_SERVER_HEAP_H

#include <stdbool.h>
#include <stddef.h>

/* How often to look whether that is worth it. */
enum { HEAP_EVERY_MS = 10 * 1000 };

/* Whether half of the most sessions are gone, and a thousand at least. */
bool heap_is_worth_trimming(size_t most, size_t sessions);

/* Gives back what is free. Threads that allocate meanwhile wait: 1 ms for 17 MB, 16 ms for 430 MB,
 * the peak of 50,000 handshakes (measured). Does nothing with C libraries without malloc_trim(3):
 * musl gives back each group of blocks by itself once all of it is free. */
void heap_trim(void);

#endif
