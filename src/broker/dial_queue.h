/* Dials of one thread that wait because their broker has enough of them (dial_limit.h): a line for
 * each backend, in the order in which they came; those that yield come last. */
#ifndef POSTERN_BROKER_DIAL_QUEUE_H
#define POSTERN_BROKER_DIAL_QUEUE_H

#include "broker/backend.h"
#include "config/types.h"
#include "core/list.h"

#include <stdbool.h>
#include <stdint.h>

struct dial_line;

/* Embedded in struct dialer; the fields are dial_queue.c's. */
struct dial_queue {
    struct list lines;
};

/* What waits. Embedded in struct dial, which sets `go` and calls list_init on `link` once; the rest
 * is dial_queue.c's while it waits. `go` is called once, out of the line: `admitted`, and the dial
 * counts as under way; or the backend is down, and it counts as nothing. */
struct dial_waiter {
    struct list link;
    struct dial_line *line;
    bool last; /* dial_queue_yield */
    void (*go)(struct dial_waiter *waiter, bool admitted);
};

void dial_queue_init(struct dial_queue *queue);
void dial_queue_free(struct dial_queue *queue); /* nothing may wait any more */

/* Whether a dial waits. */
bool dial_queue_is_empty(const struct dial_queue *queue);

/* DIAL_ADMITTED: it begins at once and counts as under way (dial_limit_end); 0: it waits; or a
 * libuv code, and it does neither. `bounds` must stay as long as it waits. */
enum { DIAL_ADMITTED = 1 };
int dial_queue_enter(struct dial_queue *queue, struct backend *backend,
                     const struct config_dials *bounds, struct dial_waiter *waiter, uint64_t now_ms)
    __attribute__((warn_unused_result));

/* For one of many that come in the same moment: it waits in any case, so that their dials are
 * spread over turns of the loop. 0, or a libuv code. */
int dial_queue_line_up(struct dial_queue *queue, struct backend *backend,
                       const struct config_dials *bounds, struct dial_waiter *waiter)
    __attribute__((warn_unused_result));

/* The broker has no place for a dial that is under way: it goes to the head of its line, and nobody
 * else of the line is tried until the next tick. 0, or a libuv code, and it still counts as under
 * way. */
int dial_queue_return(struct dial_queue *queue, struct backend *backend,
                      const struct config_dials *bounds, struct dial_waiter *waiter)
    __attribute__((warn_unused_result));

/* From now on all others of a line go before it: nobody is there any more who waits for it. It may
 * be in a line or not. */
void dial_queue_yield(struct dial_waiter *waiter);

/* Leaves the line at once. */
void dial_queue_leave(struct dial_waiter *waiter);

/* Each line takes its share of what its broker admits now. */
void dial_queue_tick(struct dial_queue *queue, uint64_t now_ms);

/* Calls `go` for some of those whose turn has come, a turn's worth. It may cancel and begin other
 * dials. True if there are more of them, for the next turn. */
bool dial_queue_serve(struct dial_queue *queue) __attribute__((warn_unused_result));

#endif
