/* A rate as the configuration has it: so many at once, and after that one in each N-th of its
 * period. What remains of it is one number: until when it is paid, which may be ahead of time by
 * one period. */
#ifndef POSTERN_SESSION_RATE_H
#define POSTERN_SESSION_RATE_H

#include "config/types.h"

#include <stdbool.h>
#include <stdint.h>

/* Whether the rate, which is not off, allows one more now; then it is paid for. */
static inline bool rate_pay(uint64_t *paid_until_us, uint64_t now_ms, struct config_rate rate) {
    uint64_t now_us = now_ms * 1000, period_us = rate.period_ms * 1000ull;
    uint64_t from_us = *paid_until_us > now_us ? *paid_until_us : now_us;
    uint64_t until_us = from_us + period_us / rate.count;
    if (until_us > now_us + period_us) {
        return false;
    }
    *paid_until_us = until_us;
    return true;
}

#endif
