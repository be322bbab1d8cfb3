/* The content that travels: an endless stream that is known at every position.
 *
 * A stream is chosen by its seed; its byte at a position is found without having seen the bytes
 * before. The period is prime and far longer than any record or buffer, so that bytes that are
 * lost, doubled, swapped or taken from a neighbour's connection do not fit. */
#ifndef BENCH_PATTERN_H
#define BENCH_PATTERN_H

#include <stddef.h>
#include <stdint.h>

enum { PATTERN_RUN = 65536 };

struct pattern;

struct pattern *pattern_new(void);

/* PATTERN_RUN bytes of the stream can be read from there. */
const uint8_t *pattern_at(const struct pattern *p, uint32_t seed, uint64_t position);

/* Offset of the first byte of data that is not the stream's, or len if all fit. */
size_t pattern_compare(const struct pattern *p, uint32_t seed, uint64_t position,
                       const uint8_t *data, size_t len);

#endif
