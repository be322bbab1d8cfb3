/* What strangers can make us log passes a gate: so many lines a second for each reason; the others
 * are counted, and told together. One thread's. */
#ifndef POSTERN_CORE_LOG_LIMIT_H
#define POSTERN_CORE_LOG_LIMIT_H

#include "core/reason.h"

#include <stdbool.h>
#include <stdint.h>

/* Zeroed is open. */
struct log_limit {
    struct {
        uint64_t second;
        uint32_t lines;
        uint64_t suppressed;
    } of[REASON_COUNT];
};

/* Whether a line for this reason may be written now; `*suppressed` tells how many before it were
 * not. Times are milliseconds of one monotonic clock. */
bool log_limit_allows(struct log_limit *gate, enum reason reason, uint64_t now_ms,
                      uint64_t *suppressed) __attribute__((warn_unused_result));

/* Tells what was suppressed in seconds that are over, or with `all` in this one too. True if some
 * still wait for their second to pass. */
bool log_limit_report(struct log_limit *gate, uint64_t now_ms, bool all);

#endif
