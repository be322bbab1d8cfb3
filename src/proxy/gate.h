/* What strangers can make us log passes a gate: so many lines a second for each reason; the others
 * are counted, and told together. One thread's. */
#ifndef POSTERN_PROXY_GATE_H
#define POSTERN_PROXY_GATE_H

#include "base/reason.h"

#include <stdbool.h>
#include <stdint.h>

/* Zeroed is open. */
struct gate {
    struct {
        uint64_t second;
        uint32_t lines;
        uint64_t suppressed;
    } of[REASON_COUNT];
};

/* Whether a line for this reason may be written now; `*suppressed` tells how many before it were
 * not. Times are milliseconds of one monotonic clock. */
bool gate_may_log(struct gate *gate, enum reason reason, uint64_t now_ms, uint64_t *suppressed)
    __attribute__((warn_unused_result));

/* Tells what was suppressed in seconds that are over, or with `all` in this one too. True if some
 * still wait for their second to pass. */
bool gate_tell(struct gate *gate, uint64_t now_ms, bool all);

#endif
