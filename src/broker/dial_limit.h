/* How many dials of one broker are under way, and how fast they begin, over all threads.
 *
 * It is a broker that needs this limit, so it is counted with the broker (backend_limit) and not
 * with the clients. The bounds come with each call: listeners may have different ones for the same
 * broker. What a bound does not admit waits in a queue of its thread (dial_queue.h); while anything
 * waits, nothing overtakes it, and the threads share what becomes free in proportion to what waits
 * with each.
 *
 * A rate of N allows at most N in any period: a twentieth of them at once, the others at equal
 * intervals. For ten seconds after the broker has come back the intervals are random and longer, by
 * a quarter on average, so that several proxies that lost their clients at the same moment do not
 * dial in step.
 *
 * Each rate has a clock of its own, which all dials of the same or a lower rate move, by an
 * interval of that clock: a broker gets no more than the highest rate in use, and a listener with a
 * low one does not stop the others. Rates within a factor of two may share a clock.
 *
 * For any thread; a mutex is held for a microsecond at most. Times are milliseconds of one
 * monotonic clock. */
#ifndef POSTERN_BROKER_DIAL_LIMIT_H
#define POSTERN_BROKER_DIAL_LIMIT_H

#include "config/types.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DIAL_CLOCKS = 64 }; /* one for each power of two of an interval in ns */

struct dial_clock {
    uint64_t next_ns;     /* when the next dial is due */
    uint64_t interval_ns; /* as last asked for; 0: never */
};

/* Embedded in what it limits; the fields are dial_limit.c's. */
struct dial_limit {
    pthread_mutex_t mutex; /* guards what follows */
    size_t under_way, waiting;
    uint64_t gentle_until_ms; /* since the broker came back */
    uint64_t random;
    struct dial_clock clocks[DIAL_CLOCKS]; /* the shortest intervals first */
};

void dial_limit_init(struct dial_limit *limit);
void dial_limit_destroy(struct dial_limit *limit);

/* One more dial: true, and it counts as under way until dial_limit_end; or false, and it counts as
 * waiting until dial_limit_admit takes it or dial_limit_gives_up. */
bool dial_limit_begin(struct dial_limit *limit, const struct config_dials *bounds, uint64_t now_ms)
    __attribute__((warn_unused_result));
void dial_limit_end(struct dial_limit *limit);

/* One more that waits, whether it could begin or not. */
void dial_limit_waits(struct dial_limit *limit);

/* One that was under way must wait again, and begins like a new one. */
void dial_limit_waits_again(struct dial_limit *limit);
void dial_limit_gives_up(struct dial_limit *limit);

/* Of the `own` dials that wait with the calling thread, how many may begin now; they count as under
 * way from here on. */
size_t dial_limit_admit(struct dial_limit *limit, const struct config_dials *bounds, size_t own,
                        uint64_t now_ms) __attribute__((warn_unused_result));

/* For the metrics: how many there are now. */
void dial_limit_counts(struct dial_limit *limit, size_t *under_way, size_t *waiting);

/* The broker was down and is back. */
void dial_limit_slow_down(struct dial_limit *limit, uint64_t now_ms);

#endif
