#include "server/heap.h"

#include <malloc.h>

enum { FEW = 1000 };

bool heap_look(struct heap *heap, size_t most, size_t sessions) {
    heap->most = most > heap->most ? most : heap->most;
    size_t gone = heap->most > sessions ? heap->most - sessions : 0;
    if (gone < FEW || gone < heap->most / 2) {
        return false;
    }
    heap->most = sessions;
#ifdef __GLIBC__
    malloc_trim(0);
#endif
    return true;
}
