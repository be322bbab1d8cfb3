/* One thread and its loop: its listeners, sessions, handshake queue, deadlines and scratch buffers.
 *
 * A worker shares nothing with the others on the data path. The server talks to it through the
 * functions marked "any thread", which leave a wish under a mutex and wake the loop. */
#ifndef POSTERN_PROXY_WORKER_H
#define POSTERN_PROXY_WORKER_H

#include "base/reason.h"
#include "proxy/backend.h"
#include "proxy/deadline.h"
#include "proxy/link.h"
#include "proxy/runtime.h"
#include "proxy/shared.h"
#include "tls/engine.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct listener;
struct session;

/* One read of a socket at most; also the most that is ever queued for a peer in one piece. */
enum { WORKER_READ_SIZE = 32768 };

/* What is logged of one kind of trouble in a second; the rest is counted. */
struct log_gate {
    uint64_t second;
    uint32_t lines;
    uint64_t suppressed;
};

/* What the server is told, on the worker's thread. */
struct worker_events {
    void *arg;
    void (*adopted)(void *arg); /* the runtime given last is in use */
    void (*stopped)(void *arg); /* the thread is about to end; worker_join will not block long */
};

struct worker {
    unsigned index;
    struct shared *shared;
    struct worker_events events;
    uv_thread_t thread;
    bool started;
    uv_loop_t loop;

    struct runtime *runtime; /* current */
    struct listener *listeners;
    size_t listener_count;
    struct dialer dialer;

    struct link silent;   /* sessions that have not sent a byte, the oldest first */
    struct link sessions; /* the others, likewise */
    struct link over;     /* ended, but something still has to leave or to be closed */
    size_t session_count; /* of silent and sessions */
    size_t unfreed_count; /* of all three */

    struct deadlines progress, silence;
    uv_timer_t timer;
    uint64_t timer_at_ms; /* UINT64_MAX: not running */

    struct link begun, fresh; /* sessions with a handshake to go on with; to begin */
    uint64_t asked_ns;        /* while handshakes wait: when a broker was last sent something */
    uint64_t rested_ns;       /* when handshakes were last worked at */
    uv_check_t after_poll;
    uv_idle_t no_sleep;

    uv_timer_t retry; /* runs while something waits: starved listeners, suppressed lines */
    struct log_gate gates[REASON_COUNT];

    uv_timer_t drain;
    uint64_t drain_started_ms, drain_ms;
    size_t drain_total;
    bool draining, closing;

    uint8_t *cipher;              /* WORKER_READ_SIZE: what a socket gave */
    uint8_t *plain;               /* WORKER_PLAIN_SIZE: what the engine made of it */
    struct engine_io io;          /* shared by all engines of this worker */
    const uv_handle_t *read_last; /* in this turn of the loop, and how often; NULL: none yet */
    unsigned reads;

    uv_async_t wake;
    uv_mutex_t mutex; /* guards the wishes */
    struct runtime *next_runtime;
    bool drain_wanted, stop_wanted, room_wanted;
    bool deaf; /* the loop is ending: nothing wakes it any more */
    uint64_t drain_wanted_ms;
    atomic_uint turns; /* answers to worker_ping */
};

/* A partial record of before, and what one read brings. */
enum { WORKER_PLAIN_SIZE = WORKER_READ_SIZE + 16384 };

/* Prepares the loop and takes over the listening descriptors: `fds[i]` belongs to the listener
 * `listener_of[i]` of the runtime. Takes its own reference to `runtime`. 0 or a libuv code; after
 * an error nothing is left but the descriptors, which stay the caller's. */
int worker_init(struct worker *w, unsigned index, struct shared *shared, struct runtime *runtime,
                const int *fds, const size_t *listener_of, size_t fd_count,
                struct worker_events events) __attribute__((warn_unused_result));
int worker_start(struct worker *w) __attribute__((warn_unused_result)); /* its thread */
/* After worker_drain or worker_stop: waits for the thread's end and gives everything back. A worker
 * that was never started ends on the caller's thread. */
void worker_join(struct worker *w);

/* Any thread. The runtime's reference is taken over. */
void worker_adopt(struct worker *w, struct runtime *runtime);
/* Any thread. Stops accepting, then ends the sessions spread over that time; then stops. */
void worker_drain(struct worker *w, uint64_t duration_ms);
/* Any thread. Ends everything at once and stops. */
void worker_stop(struct worker *w);
/* Any thread. worker_turns differs afterwards, as soon as the loop has turned. */
void worker_ping(struct worker *w);
unsigned worker_turns(const struct worker *w);
/* Any thread. Another worker has clients waiting for descriptors: the oldest silent one goes. */
void worker_ask_for_room(struct worker *w);

/* --- for the sessions and listeners of this worker, on its thread --- */

uint64_t worker_now(const struct worker *w); /* milliseconds, the loop's */

/* Sets a deadline of `all` (progress or silence) and has the timer look in time. Without memory the
 * deadline stays unset and false is returned. */
bool worker_deadline(struct worker *w, struct deadlines *all, struct deadline *d,
                     uint64_t duration_ms) __attribute__((warn_unused_result));

/* A session has something for its handshake. */
void worker_queue_handshake(struct worker *w, struct session *s);

/* A broker was sent something, and its answer may come soon: handshakes hold back for a moment. */
void worker_note_question(struct worker *w);

/* Whether a line for this reason may be written now; `*suppressed` tells how many were not. */
bool worker_may_log(struct worker *w, enum reason reason, uint64_t *suppressed)
    __attribute__((warn_unused_result));

/* Something waits for what has no event of its own: looks again soon, until nothing does. */
void worker_retry(struct worker *w);

/* One session's memory is gone: listeners that waited for descriptors go on, a drain may be over.
 */
void worker_session_freed(struct worker *w);

#endif
