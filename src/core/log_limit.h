/* A limit for the lines that unauthenticated clients can cause: so many a second for each reason;
 * the others are counted and reported together. For one thread. */
#ifndef POSTERN_CORE_LOG_LIMIT_H
#define POSTERN_CORE_LOG_LIMIT_H

#include "core/reason.h"

#include <stdbool.h>
#include <stdint.h>

/* Embedded; the fields are log_limit.c's. Zeroed, nothing has been logged. */
struct log_limit {
    struct {
        uint64_t second;
        uint32_t lines;
        uint64_t suppressed;
    } of[REASON_COUNT];
};

/* Whether a line for this reason may be written now; if so, `*suppressed` is how many before it
 * were not. Times are milliseconds of one monotonic clock. */
bool log_limit_allows(struct log_limit *limit, enum reason reason, uint64_t now_ms,
                      uint64_t *suppressed) __attribute__((warn_unused_result));

/* Logs how many lines were suppressed in past seconds, and with `all` in this one too. True if some
 * of this second are still to be reported. */
bool log_limit_report(struct log_limit *limit, uint64_t now_ms, bool all);

#endif
