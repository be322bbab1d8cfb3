#include "core/log_limit.h"

#include "core/log.h"

#include <stddef.h>

enum { LINES_A_SECOND = 20 };

bool log_limit_allows(struct log_limit *limit, enum reason reason, uint64_t now_ms,
                      uint64_t *suppressed) {
    uint64_t second = now_ms / 1000;
    if (limit->of[reason].second != second) {
        limit->of[reason].second = second;
        limit->of[reason].lines = 0;
    }
    if (limit->of[reason].lines >= LINES_A_SECOND) {
        limit->of[reason].suppressed++;
        return false;
    }
    limit->of[reason].lines++;
    *suppressed = limit->of[reason].suppressed;
    limit->of[reason].suppressed = 0;
    return true;
}

static void report(enum reason reason, uint64_t suppressed) {
    struct log_line line;
    log_begin(&line, LOG_LEVEL_INFO, "lines suppressed");
    log_str(&line, "reason", reason_name(reason));
    log_num(&line, "suppressed", suppressed);
    log_end(&line);
}

bool log_limit_report(struct log_limit *limit, uint64_t now_ms, bool all) {
    bool waiting = false;
    for (size_t i = 0; i < REASON_COUNT; i++) {
        if (limit->of[i].suppressed == 0) {
            continue;
        }
        if (!all && limit->of[i].second == now_ms / 1000) {
            waiting = true;
            continue;
        }
        report((enum reason)i, limit->of[i].suppressed);
        limit->of[i].suppressed = 0;
    }
    return waiting;
}
