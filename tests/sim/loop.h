/* A loop and a poller without a system: a virtual clock, and turns that a test makes one by one.
 *
 * The real ones are net/loop.c and net/poller.c; linked into a test, these take their place. */
#ifndef POSTERN_SIM_LOOP_H
#define POSTERN_SIM_LOOP_H

#include "net/loop.h"

#include <stdbool.h>
#include <stdint.h>

/* Each look at the nanoseconds takes that much time, so that budgets are used up. */
void sim_clock_begin(uint64_t now_ms, uint64_t tick_ns);
void sim_clock_set_tick(uint64_t tick_ns);
void sim_clock_advance(uint64_t ms);
uint64_t sim_clock_ms(void); /* time(3) and gettimeofday(2) follow it, too */

/* One turn, as loop.h has it; it never waits. */
void sim_turn(struct loop *loop);

/* Whether the loop would wait: no event, no work, and no deadline that has come. */
bool sim_is_idle(struct loop *loop);

bool sim_poller_is_idle(const struct poller *poller);

#endif
