/* Counters that one thread writes and any thread may read, and histograms made of them.
 *
 * The writer needs neither a lock nor an atomic addition: it loads and stores. A reader sees each
 * counter as it was a moment ago; several of them need not be of the same moment. A counter that
 * several threads write must have a lock around its writes. Zeroed is 0. */
#ifndef POSTERN_CORE_COUNTER_H
#define POSTERN_CORE_COUNTER_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* Embedded; the field is for the functions here. */
struct counter {
    atomic_uint_least64_t value;
};

static inline uint64_t counter_get(const struct counter *c) {
    return atomic_load_explicit(&c->value, memory_order_relaxed);
}

static inline void counter_set(struct counter *c, uint64_t value) {
    atomic_store_explicit(&c->value, value, memory_order_relaxed);
}

static inline void counter_add(struct counter *c, uint64_t more) {
    counter_set(c, counter_get(c) + more);
}

/* For what comes and goes. */
static inline void counter_subtract(struct counter *c, uint64_t less) {
    counter_set(c, counter_get(c) - less);
}

/* Durations, by the smallest bound that they do not exceed; the last bucket has those that exceed
 * all. */
enum { HISTOGRAM_BOUNDS = 9 };

extern const uint64_t histogram_bounds_ns[HISTOGRAM_BOUNDS]; /* 20 us to 5 s, ascending */

/* Embedded; the fields are counter.c's. */
struct histogram {
    struct counter buckets[HISTOGRAM_BOUNDS + 1];
    struct counter sum_ns;
};

void histogram_observe(struct histogram *h, uint64_t duration_ns);

/* Any thread. How many were observed in each bucket alone, and the sum of all durations. */
void histogram_read(const struct histogram *h, uint64_t counts[HISTOGRAM_BOUNDS + 1],
                    uint64_t *sum_ns);

#endif
