/* All worker threads of the process: started, given runtimes, drained and stopped together.
 *
 * Every call to a worker is made in workers.c. What a worker reports from its thread reaches the
 * server on the server's own loop, by `struct workers_events`. */
#ifndef POSTERN_SERVER_WORKERS_H
#define POSTERN_SERVER_WORKERS_H

#include "core/error.h"
#include "server/bind.h"
#include "session/limits.h"
#include "session/runtime.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct metrics;
struct worker;
struct worker_listing;

/* Called on the server's loop. */
struct workers_events {
    void *arg;
    void (*adopted)(void *arg); /* every worker uses the runtime of workers_adopt */
    void (*stopped)(void *arg); /* every thread has ended, or is about to */
};

/* Embedded in struct server; the fields are workers.c's. Zeroed is none. */
struct workers {
    struct worker **all; /* complete before the first thread runs */
    size_t count;
    unsigned *turns_seen; /* of each worker, by workers_have_turned */
    uv_async_t wake;
    atomic_size_t to_adopt, running;
    bool adopting;
    struct workers_events events;
};

/* The handle by which the threads reach the server's loop; it is closed with the loop. 0 or a libuv
 * code. */
int workers_init(struct workers *workers, uv_loop_t *loop, struct workers_events events)
    __attribute__((warn_unused_result));

/* Starts `count` threads that serve `bound`; each takes its own reference to `runtime`, and
 * `limits` must outlive them. 0, or -1 with the reason; workers_join is needed in both cases. */
int workers_start(struct workers *workers, size_t count, struct limits *limits,
                  struct runtime *runtime, const struct bound_set *bound, struct error *err)
    __attribute__((warn_unused_result));

/* Waits until every thread has ended, after workers_drain or workers_stop, and frees them. */
void workers_join(struct workers *workers);

/* Gives each worker a reference to the runtime; events.adopted follows. Not while another one is
 * being adopted. */
void workers_adopt(struct workers *workers, struct runtime *runtime);

/* Stops accepting. Ends the sessions spread over that time, after `grace_ms` in which they go on,
 * or all at once; then each thread ends. */
void workers_drain(struct workers *workers, uint64_t grace_ms, uint64_t duration_ms);
void workers_stop(struct workers *workers);

/* Whether every worker's loop has turned since the last call; asks each to turn once more. True the
 * first time. */
bool workers_have_turned(struct workers *workers);

/* Any thread, from the end of workers_start to workers_join: as the functions of worker.h, by the
 * worker's index. */
const struct metrics *workers_metrics(const struct workers *workers, size_t index);
bool workers_list(struct workers *workers, size_t index, struct worker_listing *listing,
                  uint64_t timeout_ms) __attribute__((warn_unused_result));
unsigned workers_turns(const struct workers *workers, size_t index);
void workers_ping(struct workers *workers, size_t index);

#endif
