/* What is done for those who are not connected to the broker yet, or no more, in the time that the
 * connected leave: accepting, reading, handshakes, goodbyes.
 *
 * A handshake is the expensive step, and any stranger can ask for one. So each turn of the loop has
 * a small budget for strangers. The kinds of work take turns, a piece at a time, and the last piece
 * may overrun the budget: a handshake step takes 0.1 ms, on slow processors up to 1 ms. A step that
 * may sign with an RSA key takes longer than that: it is made on a second stack, one at a time,
 * gets what is left of the turn, and pauses. A storm of new clients must not be felt by the
 * connected. */
#ifndef POSTERN_SESSION_SCHEDULER_H
#define POSTERN_SESSION_SCHEDULER_H

#include "core/list.h"
#include "tls/engine.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct session;
struct worker;

/* Handshakes that can go on. Those that were paid for in part go first: fewer are under way at
 * once.
 */
struct handshake_queue {
    struct list begun, fresh;
};

struct scheduler {
    struct list waiting; /* sessions with something to read or to send */
    struct handshake_queue quick, heavy;
    struct engine_stack *stack; /* for the heavy ones; made when the first one comes */
    uint64_t until_ns;          /* when this turn's budget is spent */
    unsigned next;              /* which kind of work has its turn */
    size_t next_listener;       /* which one accepts first */
};

void scheduler_init(struct scheduler *all);
void scheduler_free(struct scheduler *all); /* after all sessions */

/* Something can be done at once. */
bool scheduler_has_work(const struct worker *w);

/* Works for the length of the budget; the connected have been served since `since_ns` (uv_hrtime).
 * Not within poller_dispatch. */
void scheduler_run(struct worker *w, uint64_t since_ns);

/* A session has something for its handshake. */
void scheduler_queue_handshake(struct worker *w, struct session *s);

/* The session's step has paused: it is the next heavy one to continue. */
void scheduler_resume_handshake(struct worker *w, struct session *s);

/* For heavy steps, which pause on it when the turn's budget is spent. NULL without memory: then the
 * step is made in one piece. */
struct engine_stack *scheduler_stack(struct worker *w);

#endif
