#include "server/worker.h"

#include "core/log.h"
#include "net/listener.h"
#include "net/loop.h"
#include "server/exchange.h"
#include "session/admission.h"
#include "session/drain.h"
#include "session/pool.h"
#include "session/scheduler.h"
#include "session/session.h"

#include <stdatomic.h>
#include <stdlib.h>

/* What other threads ask for. */
struct mail {
    struct runtime *runtime; /* to adopt; NULL: none */
    bool drain, stop, room;
    uint64_t drain_grace_ms, drain_ms;
    struct worker_request request; /* for room; the last one counts, the others ask again */
    uint64_t since_ns;             /* when the first of this was put here; 0: nothing was */
};

struct worker_listener {
    struct listener listener;
    size_t index; /* in any runtime */
};

struct worker {
    struct worker_events events;
    struct loop *loop;
    struct limits *limits;
    struct pool pool;
    struct worker_listener *listeners;
    size_t listener_count;
    size_t next_listener;      /* which one accepts first */
    uint64_t no_room_since_ms; /* clients wait for descriptors, and that was logged; 0: no */

    uv_thread_t thread;
    bool started;
    bool stopping; /* the loop is closing its handles */
    uv_mutex_t mutex;
    struct mail mail;         /* guarded by the mutex */
    bool mailbox_shut;        /* likewise: the loop must not be woken any more */
    struct exchange listings; /* of struct worker_listing */
    atomic_uint turns;        /* answers to worker_ping */
};

/* --- accepting, for the pool --- */

static bool can_accept(void *arg) {
    const struct worker *w = arg;
    for (size_t i = 0; i < w->listener_count; i++) {
        if (listener_has_more(&w->listeners[i].listener)) {
            return true;
        }
    }
    return false;
}

static void starve(struct worker *w, struct listener *l) {
    listener_starve(l);
    pool_retry(&w->pool);
}

static void on_accept_failed(struct worker *w, int status) {
    const struct address nobody = {0};
    struct log_line line;
    uint64_t suppressed;
    if (pool_may_log(&w->pool, REASON_NONE, &nobody, &suppressed)) {
        log_begin(&line, LOG_LEVEL_ERROR, "accept failed");
        log_str(&line, "message", uv_strerror(status));
        if (suppressed > 0) {
            log_num(&line, "suppressed", suppressed);
        }
        log_end(&line);
    }
    pool_retry(&w->pool);
}

/* Once until there is room again. */
static void note_no_room(struct worker *w) {
    if (w->no_room_since_ms == 0) {
        w->no_room_since_ms = loop_now_ms(w->loop);
        log_message(LOG_LEVEL_WARNING, "accept failed",
                    "the limit of open files is reached and new clients wait: raise it (ulimit -n, "
                    "LimitNOFILE=)");
    }
}

/* Where all descriptors are held by sessions that have sent something for the broker, nobody makes
 * room: after this time waiting does not help clients any more, and one that is refused can try
 * another server. */
enum { QUEUE_PATIENCE_MS = 5000 };

enum answer { TAKE, LEAVE_IN_QUEUE, REFUSE };

static enum answer answer_for(struct worker *w, size_t listener) {
    switch (admission_make_room(&w->pool, listener)) {
    case ADMISSION_ROOM:
        w->no_room_since_ms = 0;
        return TAKE;
    case ADMISSION_NO_DESCRIPTORS:
        note_no_room(w);
        return loop_now_ms(w->loop) - w->no_room_since_ms < QUEUE_PATIENCE_MS ? LEAVE_IN_QUEUE
                                                                              : REFUSE;
    case ADMISSION_NO_PLACE:
        break;
    }
    return LEAVE_IN_QUEUE;
}

/* Takes the next connection, or loses it; false: there is none now. */
static bool take(struct worker *w, struct worker_listener *from, bool refuse) {
    struct address peer;
    int fd = listener_accept(&from->listener, &peer);
    if (fd < 0) {
        if (fd != UV_EAGAIN && fd != UV_ECONNABORTED) {
            on_accept_failed(w, fd);
        }
        return fd == UV_ECONNABORTED;
    }
    if (refuse) {
        session_refuse(&w->pool, from->index, fd, &peer);
        return true;
    }
    if (!session_begin(&w->pool, from->index, fd, &peer)) {
        on_accept_failed(w, UV_ENOMEM);
        starve(w, &from->listener);
        return false;
    }
    return true;
}

/* A session is sent away only for a client that waits in the queue, and only by one worker, as all
 * of them may watch one socket. While another one makes room, the next turn comes here again. */
static bool take_when_full(struct worker *w, struct worker_listener *from) {
    bool taken = false;
    if (!limits_begin_making_room(w->limits)) {
        return false;
    }
    if (listener_is_waited_at(&from->listener)) {
        enum answer answer = answer_for(w, from->index);
        if (answer == LEAVE_IN_QUEUE) {
            starve(w, &from->listener);
        } else {
            taken = take(w, from, answer == REFUSE);
        }
    }
    limits_end_making_room(w->limits);
    return taken;
}

/* True if this listener has done something: taken a connection or lost one. */
static bool accept_from(struct worker *w, struct worker_listener *from) {
    if (!listener_has_more(&from->listener)) {
        return false;
    }
    if (admission_is_crowded(&w->pool, from->index)) {
        if (!scheduler_has_handshakes(&w->pool)) {
            starve(w, &from->listener); /* they are other threads' */
        }
        return false;
    }
    if (!admission_has_room(&w->pool, from->index)) {
        return take_when_full(w, from);
    }
    w->no_room_since_ms = 0;
    return take(w, from, false);
}

/* Each listener has its turn, whatever the others have to take. */
static bool accept_one(void *arg) {
    struct worker *w = arg;
    for (size_t tries = 0; tries < w->listener_count; tries++) {
        struct worker_listener *l = &w->listeners[w->next_listener];
        w->next_listener = (w->next_listener + 1) % w->listener_count;
        if (accept_from(w, l)) {
            return true;
        }
    }
    return false;
}

static void accept_again(void *arg) {
    struct worker *w = arg;
    for (size_t i = 0; i < w->listener_count; i++) {
        listener_retry(&w->listeners[i].listener);
    }
}

static void ask_for_room(void *arg, size_t listener) {
    struct worker *w = arg;
    w->events.wants_room(w->events.arg, w,
                         (struct worker_request){.listener = listener, .asked = 1});
}

static void make_room_for_others(struct worker *w, struct worker_request request) {
    if (!admission_make_room_for_others(&w->pool, request.listener)) {
        request.asked++;
        w->events.wants_room(w->events.arg, w, request);
    }
}

static void close_listeners(struct worker *w) {
    for (size_t i = 0; i < w->listener_count; i++) {
        listener_close(&w->listeners[i].listener);
    }
}

/* --- the mailbox --- */

static struct mail take_mail(struct worker *w) {
    uv_mutex_lock(&w->mutex);
    struct mail mail = w->mail;
    w->mail = (struct mail){0};
    uv_mutex_unlock(&w->mutex);
    return mail;
}

static void fill_listing(struct worker *w) {
    struct worker_listing *l = exchange_take(&w->listings);
    if (l == NULL) {
        return;
    }
    if (l->begins) {
        listing_begin(&w->pool, l->walk);
    }
    l->count = listing_take(&w->pool, l->walk, l->rows, l->max, &l->more);
    exchange_answer(&w->listings);
}

static void on_wake(void *arg) {
    struct worker *w = arg;
    struct mail mail = take_mail(w);
    atomic_fetch_add(&w->turns, 1);
    if (mail.since_ns != 0) {
        histogram_observe(&pool_metrics(&w->pool)->loop_delay, loop_now_ns() - mail.since_ns);
    }
    fill_listing(w);
    if (mail.runtime != NULL) {
        admission_adopt(&w->pool, mail.runtime);
        w->events.adopted(w->events.arg);
    }
    if (mail.room) {
        make_room_for_others(w, mail.request);
    }
    if (mail.stop || mail.drain) {
        close_listeners(w);
    }
    if (mail.stop) {
        drain_now(&w->pool);
    } else if (mail.drain) {
        drain_begin_after(&w->pool, mail.drain_grace_ms, mail.drain_ms);
    }
}

/* With the mutex held. */
static void wake(struct worker *w) {
    if (!w->mailbox_shut) {
        w->mail.since_ns = w->mail.since_ns != 0 ? w->mail.since_ns : loop_now_ns();
        loop_wake(w->loop);
    }
}

void worker_adopt(struct worker *w, struct runtime *runtime) {
    uv_mutex_lock(&w->mutex);
    struct runtime *unseen = w->mail.runtime;
    w->mail.runtime = runtime;
    wake(w);
    uv_mutex_unlock(&w->mutex);
    runtime_unref(unseen);
}

void worker_drain(struct worker *w, uint64_t grace_ms, uint64_t duration_ms) {
    uv_mutex_lock(&w->mutex);
    w->mail.drain = true;
    w->mail.drain_grace_ms = grace_ms;
    w->mail.drain_ms = duration_ms;
    wake(w);
    uv_mutex_unlock(&w->mutex);
}

void worker_stop(struct worker *w) {
    uv_mutex_lock(&w->mutex);
    w->mail.stop = true;
    wake(w);
    uv_mutex_unlock(&w->mutex);
}

void worker_make_room(struct worker *w, struct worker_request request) {
    uv_mutex_lock(&w->mutex);
    w->mail.room = true;
    w->mail.request = request;
    wake(w);
    uv_mutex_unlock(&w->mutex);
}

void worker_ping(struct worker *w) {
    uv_mutex_lock(&w->mutex);
    wake(w);
    uv_mutex_unlock(&w->mutex);
}

unsigned worker_turns(const struct worker *w) {
    return atomic_load(&w->turns);
}

const struct metrics *worker_metrics(const struct worker *w) {
    return pool_metrics(&w->pool);
}

bool worker_list(struct worker *w, struct worker_listing *listing, uint64_t timeout_ms) {
    if (!exchange_ask(&w->listings, listing)) {
        return false;
    }
    worker_ping(w);
    return exchange_wait(&w->listings, timeout_ms);
}

/* --- the thread --- */

/* Nothing is left to serve. */
static void stop(void *arg) {
    struct worker *w = arg;
    if (w->stopping) {
        return;
    }
    w->stopping = true;
    uv_mutex_lock(&w->mutex);
    w->mailbox_shut = true;
    uv_mutex_unlock(&w->mutex);
    exchange_close(&w->listings);
    close_listeners(w);
    pool_close(&w->pool);
    loop_stop(w->loop);
}

static void run(void *arg) {
    struct worker *w = arg;
    loop_run(w->loop);
    w->events.stopped(w->events.arg);
}

int worker_start(struct worker *w) {
    int rc = uv_thread_create(&w->thread, run, w);
    w->started = rc == 0;
    return rc;
}

/* --- making and freeing --- */

static int open_listeners(struct worker *w, const struct worker_socket *sockets, size_t count) {
    for (size_t i = 0; i < count; i++) {
        struct worker_listener *l = &w->listeners[i];
        l->index = sockets[i].listener;
        int rc = listener_open(&l->listener, loop_poller(w->loop), sockets[i].fd);
        if (rc != 0) {
            return rc;
        }
        w->listener_count++;
    }
    return 0;
}

static int make_loop_and_pool(struct worker *w, struct limits *limits, struct runtime *runtime) {
    struct loop_hooks loop_hooks = {.arg = &w->pool,
                                    .has_work = scheduler_has_work,
                                    .next_deadline_ms = pool_next_deadline_ms,
                                    .on_deadline = scheduler_on_deadline,
                                    .on_turn = scheduler_on_turn,
                                    .wake_arg = w,
                                    .on_wake = on_wake};
    struct pool_hooks pool_hooks = {.arg = w,
                                    .can_accept = can_accept,
                                    .accept = accept_one,
                                    .accept_again = accept_again,
                                    .ask_for_room = ask_for_room,
                                    .drained = stop};
    int status;
    w->loop = loop_new(&loop_hooks, &status);
    if (w->loop == NULL) {
        return status;
    }
    if (!pool_init(&w->pool, w->loop, limits, runtime, &pool_hooks)) {
        loop_stop(w->loop);
        loop_run(w->loop);
        loop_free(w->loop);
        return UV_ENOMEM;
    }
    return 0;
}

static int init_locks(struct worker *w) {
    int rc = uv_mutex_init(&w->mutex);
    if (rc == 0) {
        rc = exchange_init(&w->listings);
        if (rc != 0) {
            uv_mutex_destroy(&w->mutex);
        }
    }
    return rc;
}

static void free_shell(struct worker *w) {
    exchange_destroy(&w->listings);
    uv_mutex_destroy(&w->mutex);
    free(w->listeners);
    free(w);
}

struct worker *worker_new(struct limits *limits, struct runtime *runtime,
                          const struct worker_socket *sockets, size_t socket_count,
                          const struct worker_events *events, int *status) {
    struct worker *w = calloc(1, sizeof *w);
    *status = w == NULL ? UV_ENOMEM : init_locks(w);
    if (*status != 0) {
        free(w);
        return NULL;
    }
    w->events = *events;
    w->limits = limits;
    w->listeners = calloc(socket_count, sizeof *w->listeners);
    *status = w->listeners == NULL ? UV_ENOMEM : make_loop_and_pool(w, limits, runtime);
    if (*status != 0) {
        free_shell(w);
        return NULL;
    }
    *status = open_listeners(w, sockets, socket_count);
    if (*status != 0) {
        stop(w);
        worker_join(w);
        worker_free(w);
        return NULL;
    }
    return w;
}

void worker_join(struct worker *w) {
    if (w->started) {
        uv_thread_join(&w->thread);
    } else {
        loop_run(w->loop); /* until what was asked for, or stop, has closed it */
    }
}

void worker_free(struct worker *w) {
    pool_free(&w->pool);
    loop_free(w->loop);
    runtime_unref(w->mail.runtime);
    free_shell(w);
}
