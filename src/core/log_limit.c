#include "core/log_limit.h"

#include "core/hash.h"
#include "core/log.h"

#include <string.h>
#include <sys/random.h>

/* What a line costs, and by how much an account may be ahead of the clock. */
enum {
    ADDRESS_LINE_MS = 1000,
    ADDRESS_AHEAD_MS = 20 * ADDRESS_LINE_MS,
    REASON_LINE_MS = 50,
    REASON_AHEAD_MS = 100 * REASON_LINE_MS,
    REASON_AHEAD_OF_NOISY_MS = REASON_AHEAD_MS / 2,
    QUIET_MS = 10000,
    REPORT_MS = 1000
};

bool log_limit_init(struct log_limit *limit) {
    *limit = (struct log_limit){0};
    return getrandom(&limit->secret, sizeof limit->secret, 0) == (ssize_t)sizeof limit->secret;
}

/* --- places --- */

/* Of a client key only the first eight bytes are used. Nobody can choose addresses that share a set
 * and displace each other, each time as quiet ones. */
static size_t set_of(const struct log_limit *limit, const struct address *key, enum reason reason) {
    uint64_t h;
    memcpy(&h, key->bytes, sizeof h);
    h = hash_mix(h ^ limit->secret);
    return hash_mix(h + ((uint64_t)reason << 8) + key->family) % LOG_LIMIT_SETS;
}

/* The place of that address and reason, which may be new. */
static struct log_limit_place *find_or_make(struct log_limit *limit, const struct address *key,
                                            enum reason reason) {
    struct log_limit_place *set = limit->places[set_of(limit, key, reason)], *quietest = set;
    for (size_t i = 0; i < LOG_LIMIT_WAYS; i++) {
        if (set[i].reason == (uint32_t)reason && address_is_equal(&set[i].key, key)) {
            return &set[i];
        }
        if (set[i].last_ms < quietest->last_ms) {
            quietest = &set[i];
        }
    }
    *quietest = (struct log_limit_place){.key = *key, .reason = (uint32_t)reason};
    return quietest;
}

/* --- lines --- */

/* Up to when it is paid with one line more. */
static uint64_t with_line(uint64_t paid_until_ms, uint64_t now_ms, uint64_t line_ms) {
    return (paid_until_ms > now_ms ? paid_until_ms : now_ms) + line_ms;
}

static bool suppress(struct log_limit_total *total, uint64_t now_ms) {
    if (total->suppressed == 0) {
        total->since_ms = now_ms;
    }
    total->suppressed++;
    return false;
}

bool log_limit_allows(struct log_limit *limit, enum reason reason, const struct address *client,
                      uint64_t now_ms, uint64_t *suppressed) {
    struct log_limit_total *total = &limit->of[reason];
    struct address key = address_client_key(client);
    struct log_limit_place *place = find_or_make(limit, &key, reason);
    bool quiet = place->last_ms == 0 || now_ms - place->last_ms >= QUIET_MS;
    uint64_t address_until = with_line(place->paid_until_ms, now_ms, ADDRESS_LINE_MS);
    uint64_t reason_until = with_line(total->paid_until_ms, now_ms, REASON_LINE_MS);
    uint64_t ahead_ms = quiet ? REASON_AHEAD_MS : REASON_AHEAD_OF_NOISY_MS;
    place->last_ms = now_ms;
    if (address_until > now_ms + ADDRESS_AHEAD_MS || reason_until > now_ms + ahead_ms) {
        return suppress(total, now_ms);
    }
    place->paid_until_ms = address_until;
    total->paid_until_ms = reason_until;
    *suppressed = total->suppressed;
    total->suppressed = 0;
    return true;
}

/* --- the report --- */

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
        struct log_limit_total *total = &limit->of[i];
        if (total->suppressed == 0) {
            continue;
        }
        if (!all && now_ms - total->since_ms < REPORT_MS) {
            waiting = true;
            continue;
        }
        report((enum reason)i, total->suppressed);
        total->suppressed = 0;
    }
    return waiting;
}
