/* One thread: its loop, its listeners, the pool of its sessions, and a mailbox by which other
 * threads ask it for something.
 *
 * A worker shares nothing with the others on the data path. The server talks to it through the
 * functions marked "any thread". */
#ifndef POSTERN_SERVER_WORKER_H
#define POSTERN_SERVER_WORKER_H

#include "session/admission.h"
#include "session/limits.h"
#include "session/listing.h"
#include "session/metrics.h"
#include "session/runtime.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct worker;

/* One session is to go, of that listener (or ADMISSION_ANY_LISTENER). It goes from worker to worker
 * until one of them has made room, so that one place that is missing costs one session. */
struct worker_request {
    size_t listener;
    size_t asked; /* workers that could not make room, the asking one included */
};

/* Events for the server, on the worker's thread. */
struct worker_events {
    void *arg;
    void (*adopted)(void *arg); /* the runtime given last is in use */
    void (*stopped)(void *arg); /* the thread is about to end; worker_free will not block long */
    /* Clients wait for descriptors or places, and this worker has nobody who could make room: the
     * next one is to be asked (worker_make_room), until all have been. */
    void (*wants_room)(void *arg, const struct worker *worker, struct worker_request request);
};

/* A listening socket for the worker: it watches a duplicate, `fd` stays the caller's. */
struct worker_socket {
    int fd;
    size_t listener; /* index in any runtime */
};

/* Prepares loop, pool and listeners. Takes its own reference to `runtime`; `limits` must outlive
 * the worker. `*status` is 0 or a libuv code; NULL with a code, and nothing is left. */
struct worker *worker_new(struct limits *limits, struct runtime *runtime,
                          const struct worker_socket *sockets, size_t socket_count,
                          const struct worker_events *events, int *status)
    __attribute__((warn_unused_result));
int worker_start(struct worker *w) __attribute__((warn_unused_result)); /* its thread */

/* After worker_drain or worker_stop: waits for the thread's end. A worker that was never started
 * ends on the caller's thread. Until every worker has ended another one may call worker_make_room.
 */
void worker_join(struct worker *w);

/* After worker_join. */
void worker_free(struct worker *w);

/* Any thread. The runtime's reference is taken over. */
void worker_adopt(struct worker *w, struct runtime *runtime);
/* Any thread. Stops accepting; after `grace_ms`, in which sessions go on, ends them spread over
 * that time; then stops. */
void worker_drain(struct worker *w, uint64_t grace_ms, uint64_t duration_ms);
/* Any thread. Ends everything at once and stops. */
void worker_stop(struct worker *w);
/* Any thread. worker_turns differs afterwards, as soon as the loop has turned. */
void worker_ping(struct worker *w);
unsigned worker_turns(const struct worker *w);
/* What the worker has counted; valid until worker_free. */
const struct metrics *worker_metrics(const struct worker *w);

/* A part of a listing of the worker's sessions (session/listing.h). */
struct worker_listing {
    size_t walk;              /* its number */
    bool begins;              /* anew */
    struct listing_row *rows; /* the caller's: room for `max` */
    size_t max;
    size_t count; /* of those that are filled */
    bool more;    /* there may be others */
};

/* Any thread but the worker's own, one at a time: waits until the worker has filled the rows. False
 * if it has ended, or did not come to it within that time; then nothing touches `listing` any more.
 */
bool worker_list(struct worker *w, struct worker_listing *listing, uint64_t timeout_ms)
    __attribute__((warn_unused_result));

/* Any thread. See wants_room. */
void worker_make_room(struct worker *w, struct worker_request request);

#endif
