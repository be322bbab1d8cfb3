#include "core/counter.h"

const uint64_t histogram_bounds_ns[HISTOGRAM_BOUNDS] = {
    20000, 100000, 500000, 2000000, 10000000, 50000000, 250000000, 1000000000, 5000000000};

void histogram_observe(struct histogram *h, uint64_t duration_ns) {
    size_t i = 0;
    while (i < HISTOGRAM_BOUNDS && duration_ns > histogram_bounds_ns[i]) {
        i++;
    }
    counter_add(&h->buckets[i], 1);
    counter_add(&h->sum_ns, duration_ns);
}

void histogram_read(const struct histogram *h, uint64_t counts[HISTOGRAM_BOUNDS + 1],
                    uint64_t *sum_ns) {
    for (size_t i = 0; i <= HISTOGRAM_BOUNDS; i++) {
        counts[i] = counter_get(&h->buckets[i]);
    }
    *sum_ns = counter_get(&h->sum_ns);
}
