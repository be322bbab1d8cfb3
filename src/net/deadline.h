/* Deadlines without a timer each: one list per distinct duration.
 *
 * A deadline that enters the list of its duration later is due later, so every list is sorted,
 * entering takes constant time, and only the heads are looked at. For one thread. Times are
 * milliseconds of one monotonic clock. */
#ifndef POSTERN_NET_DEADLINE_H
#define POSTERN_NET_DEADLINE_H

#include <stdbool.h>
#include <stdint.h>

struct deadline_list;

/* Embedded in what it belongs to, whose address is found again with container_of. Zeroed is unset.
 * Its owner may read `at_ms`, when it is due, while it is set. */
struct deadline {
    struct deadline *prev, *next;
    struct deadline_list *list;
    uint64_t at_ms;
};

/* Zeroed is empty. */
struct deadlines {
    struct deadline_list *lists;
};

/* Sets or moves `d` to now + duration. False (and `d` unset) without memory for the first deadline
 * of a new duration. A duration of UINT64_MAX (CONFIG_OFF of config/types.h) unsets it. */
bool deadline_set(struct deadlines *all, struct deadline *d, uint64_t now_ms, uint64_t duration_ms)
    __attribute__((warn_unused_result));
void deadline_clear(struct deadline *d); /* an unset one is fine */
bool deadline_is_set(const struct deadline *d);

/* Takes out and returns one deadline that is due, or NULL. Of one duration they come in the order
 * in which they are due; there is no order among those of different durations. */
struct deadline *deadlines_take_due(struct deadlines *all, uint64_t now_ms);

/* When the next one is due; UINT64_MAX if none is set. */
uint64_t deadlines_next(const struct deadlines *all);

/* Gives the lists back; none may be set any more. */
void deadlines_free(struct deadlines *all);

#endif
