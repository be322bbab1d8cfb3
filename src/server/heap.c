#include "server/heap.h"

#include <malloc.h>

enum { FEW = 1000 };

bool heap_is_worth_trimming(size_t most, size_t sessions) {
    size_t gone = most > sessions ? most - sessions : 0;
    return gone >= FEW && gone >= most / 2;
}

void heap_trim(void) {
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}
