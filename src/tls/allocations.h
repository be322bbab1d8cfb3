/* What the library allocates: it often reports that memory is missing as something else, a
 * certificate that cannot be read or a message that came too early. */
#ifndef POSTERN_TLS_ALLOCATIONS_H
#define POSTERN_TLS_ALLOCATIONS_H

/* From here on its allocations are watched. Once, before the library starts and before there are
 * threads. 0 or -1. */
int allocations_watch(void) __attribute__((warn_unused_result));

/* How many have failed on this thread; it may wrap. */
unsigned allocations_failed(void);

#endif
