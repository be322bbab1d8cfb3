#include "broker/dial_limit.h"

#include <sys/random.h>

enum { GENTLE_MS = 10000, BURST_PART = 20 };

/* A rate as an interval, and by how much dials may come before their time: so many at once after a
 * pause that no period has more of them than the rate says. */
struct pace {
    uint64_t interval_ns, ahead_ns;
};

static struct pace pace_of(struct config_rate rate) {
    uint64_t burst = 1 + rate.count / BURST_PART, after = rate.count - burst + 1;
    uint64_t interval_ns = (rate.period_ms * 1000000ull + after - 1) / after;
    return (struct pace){interval_ns, (burst - 1) * interval_ns};
}

/* Of the clocks, that of an interval, which is not 0. */
static size_t clock_at(uint64_t interval_ns) {
    return (size_t)(63 - __builtin_clzll(interval_ns));
}

void dial_limit_init(struct dial_limit *limit) {
    *limit = (struct dial_limit){.random = 1};
    pthread_mutex_init(&limit->mutex, NULL);
    uint64_t seed;
    if (getrandom(&seed, sizeof seed, 0) == (ssize_t)sizeof seed) {
        limit->random = seed | 1;
    }
}

void dial_limit_destroy(struct dial_limit *limit) {
    pthread_mutex_destroy(&limit->mutex);
}

/* Marsaglia's xorshift: nobody gains by guessing it. */
static uint64_t next_random(struct dial_limit *limit) {
    limit->random ^= limit->random << 13;
    limit->random ^= limit->random >> 7;
    limit->random ^= limit->random << 17;
    return limit->random;
}

/* --- how many may begin --- */

static size_t by_rate(const struct dial_limit *limit, struct config_rate rate, uint64_t now_ns) {
    if (rate.count == 0) {
        return SIZE_MAX;
    }
    struct pace pace = pace_of(rate);
    if (now_ns < limit->gentle_until_ms * 1000000) {
        pace.ahead_ns /= 2;
    }
    uint64_t next_ns = limit->clocks[clock_at(pace.interval_ns)].next_ns;
    uint64_t from_ns = next_ns > now_ns ? next_ns : now_ns;
    if (from_ns > now_ns + pace.ahead_ns) {
        return 0;
    }
    return (size_t)((now_ns + pace.ahead_ns - from_ns) / pace.interval_ns) + 1;
}

static size_t by_number(const struct dial_limit *limit, size_t most) {
    if (most == 0) {
        return SIZE_MAX;
    }
    return most > limit->under_way ? most - limit->under_way : 0;
}

static size_t allowed(const struct dial_limit *limit, const struct config_dials *bounds,
                      uint64_t now_ms) {
    size_t number = by_number(limit, bounds->under_way);
    size_t rate = by_rate(limit, bounds->rate, now_ms * 1000000);
    return number < rate ? number : rate;
}

static void move(struct dial_limit *limit, struct dial_clock *clock, uint64_t now_ms) {
    uint64_t now_ns = now_ms * 1000000, interval_ns = clock->interval_ns;
    if (now_ms < limit->gentle_until_ms) {
        interval_ns += next_random(limit) % (interval_ns / 2 + 1);
    }
    clock->next_ns = (clock->next_ns > now_ns ? clock->next_ns : now_ns) + interval_ns;
}

/* Counts one, and moves the times of the next. */
static void begin(struct dial_limit *limit, struct config_rate rate, uint64_t now_ms) {
    limit->under_way++;
    if (rate.count == 0) {
        return;
    }
    uint64_t interval_ns = pace_of(rate).interval_ns;
    size_t own = clock_at(interval_ns);
    limit->clocks[own].interval_ns = interval_ns;
    for (size_t i = 0; i <= own; i++) {
        if (limit->clocks[i].interval_ns != 0) {
            move(limit, &limit->clocks[i], now_ms);
        }
    }
}

/* --- for the threads --- */

bool dial_limit_begin(struct dial_limit *limit, const struct config_dials *bounds,
                      uint64_t now_ms) {
    pthread_mutex_lock(&limit->mutex);
    bool admitted = limit->waiting == 0 && allowed(limit, bounds, now_ms) > 0;
    if (admitted) {
        begin(limit, bounds->rate, now_ms);
    } else {
        limit->waiting++;
    }
    pthread_mutex_unlock(&limit->mutex);
    return admitted;
}

void dial_limit_end(struct dial_limit *limit) {
    pthread_mutex_lock(&limit->mutex);
    limit->under_way--;
    pthread_mutex_unlock(&limit->mutex);
}

void dial_limit_waits(struct dial_limit *limit) {
    pthread_mutex_lock(&limit->mutex);
    limit->waiting++;
    pthread_mutex_unlock(&limit->mutex);
}

void dial_limit_waits_again(struct dial_limit *limit) {
    pthread_mutex_lock(&limit->mutex);
    limit->under_way--;
    limit->waiting++;
    pthread_mutex_unlock(&limit->mutex);
}

void dial_limit_gives_up(struct dial_limit *limit) {
    pthread_mutex_lock(&limit->mutex);
    limit->waiting--;
    pthread_mutex_unlock(&limit->mutex);
}

size_t dial_limit_admit(struct dial_limit *limit, const struct config_dials *bounds, size_t own,
                        uint64_t now_ms) {
    size_t admitted = 0;
    pthread_mutex_lock(&limit->mutex);
    size_t most = allowed(limit, bounds, now_ms);
    most = most < limit->waiting ? most : limit->waiting;
    size_t share = most > 0 ? (most * own + limit->waiting - 1) / limit->waiting : 0;
    while (admitted < share && allowed(limit, bounds, now_ms) > 0) {
        begin(limit, bounds->rate, now_ms);
        limit->waiting--;
        admitted++;
    }
    pthread_mutex_unlock(&limit->mutex);
    return admitted;
}

void dial_limit_counts(struct dial_limit *limit, size_t *under_way, size_t *waiting) {
    pthread_mutex_lock(&limit->mutex);
    *under_way = limit->under_way;
    *waiting = limit->waiting;
    pthread_mutex_unlock(&limit->mutex);
}

void dial_limit_slow_down(struct dial_limit *limit, uint64_t now_ms) {
    pthread_mutex_lock(&limit->mutex);
    limit->gentle_until_ms = now_ms + GENTLE_MS;
    pthread_mutex_unlock(&limit->mutex);
}
