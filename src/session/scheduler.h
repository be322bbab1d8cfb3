/* Who gets time in a turn of the loop.
 *
 * Established sessions come first. What is done for pending clients, those that are not connected
 * to the broker yet or no longer (accepting, reading, handshakes, closing), gets the time that they
 * leave: a small budget in each turn. A handshake is the expensive step, and any client can ask for
 * one, so the kinds of work take turns, a piece at a time, and the last piece may overrun the
 * budget: a light handshake step takes 0.1 ms, on slow processors up to 1 ms. A heavy step, which
 * may sign with an RSA key, takes longer than that: it is made on a second stack, one at a time,
 * gets what is left of the turn, and pauses. A storm of new clients must not be felt by established
 * sessions. */
#ifndef POSTERN_SESSION_SCHEDULER_H
#define POSTERN_SESSION_SCHEDULER_H

#include <stdbool.h>
#include <stdint.h>

struct pool;

/* The hooks of the pool's loop (net/loop.h); `pool` is a struct pool. */
bool scheduler_has_work(void *pool);
void scheduler_on_deadline(void *pool);
bool scheduler_on_turn(void *pool, uint64_t events_ns);

/* Whether handshakes of this pool wait for a step of ours. */
bool scheduler_has_handshakes(const struct pool *pool);

#endif
