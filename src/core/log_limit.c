#include "core/log_limit.h"

#include "core/log.h"

#include <stddef.h>

enum { LINES_A_SECOND = 20 };

bool log_limit_allows(struct log_limit *gate, enum reason reason, uint64_t now_ms,
                      uint64_t *suppressed) {
    uint64_t second = now_ms / 1000;
    if (gate->of[reason].second != second) {
        gate->of[reason].second = second;
        gate->of[reason].lines = 0;
    }
    if (gate->of[reason].lines >= LINES_A_SECOND) {
        gate->of[reason].suppressed++;
        return false;
    }
    gate->of[reason].lines++;
    *suppressed = gate->of[reason].suppressed;
    gate->of[reason].suppressed = 0;
    return true;
}

static void tell(enum reason reason, uint64_t suppressed) {
    struct log_line line;
    log_begin(&line, LOG_LEVEL_INFO, "lines suppressed");
    log_str(&line, "reason", reason_name(reason));
    log_num(&line, "suppressed", suppressed);
    log_end(&line);
}

bool log_limit_report(struct log_limit *gate, uint64_t now_ms, bool all) {
    bool waiting = false;
    for (size_t i = 0; i < REASON_COUNT; i++) {
        if (gate->of[i].suppressed == 0) {
            continue;
        }
        if (!all && gate->of[i].second == now_ms / 1000) {
            waiting = true;
            continue;
        }
        tell((enum reason)i, gate->of[i].suppressed);
        gate->of[i].suppressed = 0;
    }
    return waiting;
}
