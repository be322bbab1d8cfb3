/* All sessions of one thread: their lists, deadlines, queues, and the scratch buffers that they
 * share because only one of them runs at a time. The functions here move sessions between lists and
 * know nothing else of them; what is done with a session is in the files above (scheduler,
 * admission, drain).
 *
 * The fields are for the files of src/session/. A pool shares nothing with other pools on the data
 * path: `limits` and what a runtime holds are process-wide. */
#ifndef POSTERN_SESSION_POOL_H
#define POSTERN_SESSION_POOL_H

#include "broker/dial.h"
#include "broker/probe.h"
#include "core/list.h"
#include "core/log_limit.h"
#include "net/deadline.h"
#include "net/loop.h"
#include "session/limits.h"
#include "session/metrics.h"
#include "session/runtime.h"
#include "tls/engine.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One read of a socket at most: two of the largest records, or what makes two; also what may come
 * before the broker is connected until reading pauses. */
enum { POOL_READ_SIZE = 33 * 1024 };

/* A partial record of an earlier read, and what one read brings. */
enum { POOL_PLAIN_SIZE = POOL_READ_SIZE + 16384 };

/* What the pool needs from the thread it runs on. */
struct pool_hooks {
    void *arg;
    bool (*can_accept)(void *arg);   /* whether there may be a connection to accept */
    bool (*accept)(void *arg);       /* accepts one, or loses it; false: there is none now */
    void (*accept_again)(void *arg); /* descriptors or memory may be there again */
    void (*ask_for_room)(void *arg, size_t listener); /* see admission_make_room_for_others */
    void (*drained)(void *arg);                       /* draining, and the last session is freed */
};

/* Handshakes that can continue. Those that have had a step go first: fewer are under way at once.
 */
struct handshake_queue {
    struct list begun, fresh;
};

/* What a session waits for from a client that has sent nothing for the broker yet. Where places are
 * scarce these make room for others, in this order. */
enum wait_kind {
    WAIT_NONE,
    WAIT_BYTE,   /* the first one */
    WAIT_HELLO,  /* the rest of the ClientHello; or all of it, after a balancer's header */
    WAIT_FLIGHT, /* of the handshake */
    WAIT_DATA,   /* the first plaintext; with mqtt on, a whole CONNECT packet */
    WAIT_KINDS
};

/* Sessions of one listener that wait for the same from their clients (enum wait_kind). */
struct wait_list {
    struct list oldest_first;
    size_t count;
};

/* A session's places in its pool. Embedded in the session. */
struct pool_member {
    struct list link;  /* in live, lingering or closed */
    struct list ready; /* in established_ready or pending_ready, or in neither */
    struct list queue; /* in a handshake queue or a list of `waits`, or in neither */
    struct deadline progress, silence;
};

/* How many listings may be under way at a time (listing.h). */
enum { POOL_WALKS = 4 };

/* A way along `live` that goes on in later turns. */
struct pool_walk {
    struct list *next; /* the member that comes next, or the list's head: none; NULL: no walk */
    uint64_t began_ms;
};

struct pool {
    struct loop *loop;
    struct poller *poller; /* the loop's */
    struct limits *limits;
    struct metrics *metrics; /* the pool's own */
    struct pool_hooks hooks;
    struct runtime *runtime; /* current */
    struct dialer dialer;
    struct prober prober;

    struct list live;      /* sessions that have not ended, the oldest first */
    struct list lingering; /* ended, but something still has to leave or to be closed */
    struct list closed;    /* to be freed at the end of the turn */
    size_t session_count;  /* of live */
    size_t unfreed_count;  /* of all three */
    size_t unchecked;      /* the first ones of live, see admission_adopt */
    struct pool_walk walks[POOL_WALKS];

    /* Sessions with something to read or to send that no event will report. */
    struct list established_ready, pending_ready;
    struct handshake_queue light, heavy;
    unsigned deferred;          /* see secrets_defer_step */
    struct wait_list *waits;    /* WAIT_KINDS for each listener of the configuration */
    struct engine_stack *stack; /* for heavy steps; made when the first one comes */
    uint64_t until_ns;          /* when this turn's budget for pending clients is spent */
    unsigned next_work;         /* which kind of work comes first in the next turn */

    struct deadlines progress, silence;
    uint64_t due_ms;   /* at or before the next of them; UINT64_MAX: none */
    uint64_t retry_ms; /* see pool_retry; UINT64_MAX: nothing waits */
    struct log_limit log_limit;
    uint64_t ends_due_ms; /* when suppressed `session end` lines are reported; UINT64_MAX: none */

    bool draining;
    bool drain_waits; /* until drain_started_ms, which is to come */
    uint64_t drain_started_ms, drain_ms, drain_tick_ms;
    size_t drain_total;

    uint8_t *cipher;   /* POOL_READ_SIZE: what a socket gave */
    uint8_t *plain;    /* POOL_PLAIN_SIZE: what the engine made of it */
    struct buf sealed; /* what an engine has for its client; empty between calls into a session */
    size_t cipher_used, plain_used; /* how much of them was written to since they were wiped */
    bool scratch_stale; /* a session has ended whose plaintext may be in `cipher` and `plain` */
};

/* Takes a reference to `runtime`; the loop and the limits must outlive the pool. False without
 * memory, and nothing is left then. */
bool pool_init(struct pool *pool, struct loop *loop, struct limits *limits, struct runtime *runtime,
               const struct pool_hooks *hooks) __attribute__((warn_unused_result));

/* Nothing is left to serve: reports what was suppressed, ends lookups and probes. The loop must run
 * on until their handles are closed. */
void pool_close(struct pool *pool);
void pool_free(struct pool *pool); /* after the loop has ended; no session may be left */

uint64_t pool_now_ms(const struct pool *pool);

/* What the pool counts: valid until pool_free. */
struct metrics *pool_metrics(const struct pool *pool);

/* Sets a deadline of `all` (progress or silence). False without memory, and the deadline is unset
 * then. CONFIG_OFF unsets it. */
bool pool_set_deadline(struct pool *pool, struct deadlines *all, struct deadline *deadline,
                       uint64_t duration_ms) __attribute__((warn_unused_result));

/* When scheduler_on_deadline must be called; UINT64_MAX: not at all. */
uint64_t pool_next_deadline_ms(void *pool);

/* Something waits for what has no event of its own (descriptors, memory, the next second of the
 * log): it is looked at again in 100 ms. */
void pool_retry(struct pool *pool);

/* Whether a line for this reason and this client may be written now, by what log_limit.h has for
 * lines that unauthenticated clients cause (ADDRESS_NONE counts as an address); `*suppressed` is
 * how many were not. */
bool pool_may_log(struct pool *pool, enum reason reason, const struct address *client,
                  uint64_t *suppressed) __attribute__((warn_unused_result));

/* The same for an established session of that listener that ended normally, by its session_log. */
bool pool_may_log_end(struct pool *pool, size_t listener, uint64_t *suppressed)
    __attribute__((warn_unused_result));

/* Logs what was suppressed and no line has said since, as far as it is due; with `all` in any case.
 * True if some is not due yet. */
bool pool_report_suppressed(struct pool *pool, bool all);

/* A session begins, ends, and is closed: it moves from list to list. */
void pool_add(struct pool *pool, struct pool_member *m);
void pool_rotate(struct pool *pool, struct pool_member *m); /* to the end of live */
void pool_linger(struct pool *pool, struct pool_member *m);
void pool_defer_free(struct pool *pool, struct pool_member *m); /* until the end of this turn */

/* So many bytes were written at the front of the scratch memory. */
static inline void pool_note_cipher(struct pool *pool, size_t used) {
    pool->cipher_used = used > pool->cipher_used ? used : pool->cipher_used;
}

static inline void pool_note_plain(struct pool *pool, size_t used) {
    pool->plain_used = used > pool->plain_used ? used : pool->plain_used;
}

/* Overwrites what ended sessions have left in the scratch memory, on the stack and in registers;
 * nothing if none has ended. At the end of a turn: in it, the memory may still be in use. */
void pool_wipe_scratch(struct pool *pool);

/* A session of `closed` is about to be freed. */
void pool_remove(struct pool *pool, struct pool_member *m);

/* The session has something to read or to send, and no event will report it: it is served in the
 * next turn if it is established, else when there is time for pending clients. */
void pool_serve_later(struct pool *pool, struct pool_member *m, bool established);

/* A step of its handshake can be made, and none is under way. `begun`: it has an engine. */
void pool_queue_handshake(struct pool *pool, struct pool_member *m, bool heavy, bool begun);

/* Whose step comes next; the queue is not empty. */
struct pool_member *pool_first_handshake(const struct handshake_queue *queue);

/* Its heavy step has paused: it continues before all others. */
void pool_resume_handshake(struct pool *pool, struct pool_member *m);

/* The second stack of this thread, for heavy steps; they pause when the turn's budget is spent.
 * NULL without memory: then they do not pause. */
struct engine_stack *pool_stack(struct pool *pool);

#endif
