/* Memory that ended sessions have left. The C library keeps it for the next ones; after a storm it
 * goes back to the system. */
#ifndef POSTERN_SERVER_HEAP_H
#define POSTERN_SERVER_HEAP_H

#include <stdbool.h>
#include <stddef.h>

/* Zero at first; the fields are heap.c's. */
struct heap {
    size_t most; /* sessions since memory was given back */
};

enum { HEAP_EVERY_MS = 10 * 1000 };

/* To be called every so often, by one thread, with the most sessions that there were since, and how
 * many there are. Once half of the most are gone, and a thousand at least, what is free is given
 * back, and it returns true. Workers that allocate meanwhile wait: 1 ms for 17 MB, 16 ms for 430
 * MB, the peak of 50,000 handshakes (measured). Does nothing with C libraries without
 * malloc_trim(3). */
bool heap_look(struct heap *heap, size_t most, size_t sessions);

#endif
