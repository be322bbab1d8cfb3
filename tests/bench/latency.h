/* Durations collected one by one, and their percentiles. */
#ifndef BENCH_LATENCY_H
#define BENCH_LATENCY_H

#include <stddef.h>
#include <stdint.h>

struct latency {
    uint64_t *ns;
    size_t count, room;
};

void latency_add(struct latency *l, uint64_t ns);

/* In microseconds; `part` of 1 of all durations are not longer. Sorts. */
double latency_percentile(struct latency *l, double part);

void latency_free(struct latency *l);

#endif
