#include "latency.h"

#include <stdlib.h>

#include "common.h"

void latency_add(struct latency *l, uint64_t ns) {
    if (l->count == l->room) {
        l->room = l->room ? 2 * l->room : 4096;
        uint64_t *more = realloc(l->ns, l->room * sizeof *l->ns);
        if (more == NULL) {
            fail("out of memory");
        }
        l->ns = more;
    }
    l->ns[l->count++] = ns;
}

static int shorter_first(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

double latency_percentile(struct latency *l, double part) {
    if (l->count == 0) {
        return 0;
    }
    qsort(l->ns, l->count, sizeof *l->ns, shorter_first);
    size_t at = (size_t)(part * (double)l->count);
    return (double)l->ns[at < l->count ? at : l->count - 1] / 1000.0;
}

void latency_free(struct latency *l) {
    free(l->ns);
    *l = (struct latency){0};
}
