/* The page /metrics: every metric that docs/metrics.md lists, from the counters of all workers and
 * of the process. */
#ifndef POSTERN_SERVER_METRICS_PAGE_H
#define POSTERN_SERVER_METRICS_PAGE_H

#include "core/buf.h"
#include "server/exposition.h"
#include "server/process_stats.h"
#include "server/reload.h"
#include "server/workers.h"
#include "session/limits.h"
#include "session/runtime.h"

#include <stdbool.h>

/* Filled by the caller, who keeps all of it alive. */
struct metrics_sources {
    const struct workers *workers; /* NULL: they have not started */
    const struct limits *limits;
    struct backend_table *backends;
    const struct reload_counts *reloads;
    const struct runtime *runtime; /* the current one */
    const struct buf *expiries;    /* of metrics_expiries for it */
    struct process_stats process;
    bool ready;
};

/* Appends the page to `out`. False without memory. Any thread. */
bool metrics_page(const struct metrics_sources *from, enum exposition_format format,
                  struct buf *out) __attribute__((warn_unused_result));

/* Appends the families about what expires, which change with the runtime alone; they are the same
 * in both formats. The runtime must not have been retired. False without memory. */
bool metrics_expiries(const struct runtime *runtime, struct buf *out)
    __attribute__((warn_unused_result));

#endif
