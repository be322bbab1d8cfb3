/* Writes metrics as text: Prometheus' text format 0.0.4, or OpenMetrics 1.0.
 *
 * Sources: https://prometheus.io/docs/instrumenting/exposition_formats/ and the specification of
 * OpenMetrics. A page is a sequence of families, each with its samples. Names and help texts are
 * constants of the program. */
#ifndef POSTERN_SERVER_EXPOSITION_H
#define POSTERN_SERVER_EXPOSITION_H

#include "core/buf.h"
#include "core/counter.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum exposition_format { EXPOSITION_TEXT, EXPOSITION_OPENMETRICS };
enum exposition_type { EXPOSITION_GAUGE, EXPOSITION_COUNTER, EXPOSITION_HISTOGRAM };

/* On the caller's stack; the fields are exposition.c's. */
struct exposition {
    struct buf *out; /* the caller's */
    enum exposition_format format;
    enum exposition_type type; /* of the family under way */
    const char *name;          /* likewise, without _total */
    bool failed;               /* without memory */
};

/* A value may have any bytes: what is not UTF-8 is written as U+FFFD. A list of labels ends with
 * the name NULL; NULL is an empty list. */
struct exposition_label {
    const char *name, *value;
};

void exposition_begin(struct exposition *e, enum exposition_format format, struct buf *out);

/* Begins a family. A counter's name is given without _total. */
void exposition_family(struct exposition *e, enum exposition_type type, const char *name,
                       const char *help);

/* Samples of the family. */
void exposition_count(struct exposition *e, const struct exposition_label *labels, uint64_t value);
void exposition_real(struct exposition *e, const struct exposition_label *labels, double value);
void exposition_histogram(struct exposition *e, const struct exposition_label *labels,
                          const struct histogram *histogram);

/* What was written by another exposition for its families, as it is. */
void exposition_paste(struct exposition *e, const struct buf *text);

/* False if memory did not suffice; then `out` is not a whole page. */
bool exposition_end(struct exposition *e) __attribute__((warn_unused_result));

/* For HTTP's Accept header (NULL: none), and what to send as Content-Type. */
enum exposition_format exposition_choose(const char *accept);
const char *exposition_content_type(enum exposition_format format);

#endif
