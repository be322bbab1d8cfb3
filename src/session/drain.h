/* The end of a pool: no new clients, and the sessions ended over some time, so that the devices do
 * not all come back in the same second. */
#ifndef POSTERN_SESSION_DRAIN_H
#define POSTERN_SESSION_DRAIN_H

#include <stdbool.h>
#include <stdint.h>

struct pool;

/* Ends the clients that are not connected to their broker at once, and the others spread over
 * `duration_ms` (CONFIG_OFF: at once). The caller has stopped accepting. Once. */
void drain_begin(struct pool *pool, uint64_t duration_ms);

/* The same after `grace_ms`, in which every session goes on: clients that were accepted just before
 * complete their handshakes and reach their broker. Ends sooner when no session is left. */
void drain_begin_after(struct pool *pool, uint64_t grace_ms, uint64_t duration_ms);

/* Ends everything and waits for nothing; after drain_begin or without it. */
void drain_now(struct pool *pool);

void drain_tick(struct pool *pool); /* pool->drain_tick_ms has come */

/* Draining, every session is freed, and no heavy step of one is under way any more: it has to end
 * on this thread. */
bool drain_is_done(const struct pool *pool);

#endif
