#include "session/scheduler.h"

#include "session/listener.h"
#include "session/session.h"
#include "session/worker.h"

/* After this much time the connected are looked at again: a message that comes meanwhile waits half
 * of it on average, on its way in and on the answer's way back. With much to do for the connected
 * it is a third of what they have had, so that they never keep the strangers out. */
static const uint64_t BUDGET_NS = 20 * 1000;
enum { CONNECTED_TO_STRANGERS = 3 };

/* Accepting is cheap beside a handshake, and has to be ahead of it: so it is max_handshakes that
 * refuses clients, and not the kernel's queue that loses them. */
enum { ACCEPTS_A_PIECE = 8 };

/* The TLS library needs less than a tenth of it, sanitizers apart. */
enum { STACK_SIZE = 512 * 1024 };

static void queue_init(struct handshake_queue *queue) {
    list_init(&queue->begun);
    list_init(&queue->fresh);
}

void scheduler_init(struct scheduler *all) {
    *all = (struct scheduler){0};
    list_init(&all->waiting);
    queue_init(&all->quick);
    queue_init(&all->slow);
}

void scheduler_free(struct scheduler *all) {
    coroutine_free(all->fiber);
}

/* --- handshakes --- */

static bool queue_is_empty(const struct handshake_queue *queue) {
    return list_is_empty(&queue->begun) && list_is_empty(&queue->fresh);
}

static struct session *queue_take(struct handshake_queue *queue) {
    struct list *list = !list_is_empty(&queue->begun) ? &queue->begun : &queue->fresh;
    struct session *s = container_of(list->next, struct session, queue);
    list_remove(&s->queue);
    return s;
}

void scheduler_queue_handshake(struct worker *w, struct session *s) {
    struct scheduler *all = &w->scheduler;
    struct handshake_queue *queue = s->slow ? &all->slow : &all->quick;
    if (list_is_empty(&s->queue)) {
        list_append(s->engine.ssl != NULL ? &queue->begun : &queue->fresh, &s->queue);
    }
}

/* Called by the step, on its own stack. Meanwhile others' steps are made on the first stack: they
 * must not pause a fiber that they are not on. */
static void on_may_pause(void *arg) {
    struct scheduler *all = arg;
    if (uv_hrtime() >= all->until_ns) {
        engine_pause_with(NULL, NULL);
        coroutine_pause(all->fiber);
        engine_pause_with(on_may_pause, all);
    }
}

static void make_step(void *arg) {
    struct scheduler *all = arg;
    engine_pause_with(on_may_pause, all);
    handshake_make_slow(all->in_step);
    engine_pause_with(NULL, NULL);
}

static bool has_second_stack(struct scheduler *all) {
    if (all->fiber == NULL) {
        all->fiber = coroutine_new(STACK_SIZE);
    }
    return all->fiber != NULL;
}

/* Without a second stack it is made here, and all wait for its end. */
static void begin_slow_step(struct scheduler *all, struct session *s) {
    if (!has_second_stack(all)) {
        handshake_step(s);
    } else if (handshake_begin_slow(s)) {
        all->in_step = s;
    }
}

static void end_slow_step(struct scheduler *all) {
    struct session *s = all->in_step;
    all->in_step = NULL;
    handshake_end_slow(s);
}

/* --- the turn --- */

static bool serve_one(struct worker *w) {
    struct list *waiting = &w->scheduler.waiting;
    if (list_is_empty(waiting)) {
        return false;
    }
    struct session *s = container_of(waiting->next, struct session, ready);
    list_remove(&s->ready);
    session_serve(s);
    return true;
}

static bool shake_one(struct worker *w) {
    if (queue_is_empty(&w->scheduler.quick)) {
        return false;
    }
    handshake_step(queue_take(&w->scheduler.quick));
    return true;
}

static bool shake_slowly(struct worker *w) {
    struct scheduler *all = &w->scheduler;
    bool under_way = all->in_step != NULL, over = false;
    if (!under_way && queue_is_empty(&all->slow)) {
        return false;
    }
    if (under_way) {
        over = coroutine_resume(all->fiber);
    } else {
        begin_slow_step(all, queue_take(&all->slow));
        over = all->in_step != NULL && coroutine_run(all->fiber, make_step, all);
    }
    if (over) {
        end_slow_step(all);
    }
    return true;
}

/* Each listener has its turn, whatever the others have to take. */
static bool accept_one(struct worker *w) {
    size_t *next = &w->scheduler.next_listener;
    for (size_t tries = 0; tries < w->listener_count; tries++) {
        struct listener *l = &w->listeners[*next];
        *next = (*next + 1) % w->listener_count;
        if (listener_accept(l)) {
            return true;
        }
    }
    return false;
}

static bool accept_some(struct worker *w) {
    unsigned accepted = 0;
    while (accepted < ACCEPTS_A_PIECE && accept_one(w)) {
        accepted++;
    }
    return accepted > 0;
}

/* Each does one piece of its work, if there is any. */
static bool (*const kinds[])(struct worker *w) = {serve_one, shake_one, accept_some, shake_slowly};
enum { KINDS = sizeof kinds / sizeof *kinds };

void scheduler_run(struct worker *w, uint64_t since_ns) {
    struct scheduler *all = &w->scheduler;
    uint64_t now_ns = uv_hrtime(), share_ns = (now_ns - since_ns) / CONNECTED_TO_STRANGERS;
    all->until_ns = now_ns + (share_ns > BUDGET_NS ? share_ns : BUDGET_NS);
    for (unsigned idle = 0; idle < KINDS;) {
        bool worked = kinds[all->next](w);
        all->next = (all->next + 1) % KINDS;
        idle = worked ? 0 : idle + 1;
        if (worked && uv_hrtime() >= all->until_ns) {
            return;
        }
    }
}

bool scheduler_has_work(const struct worker *w) {
    const struct scheduler *all = &w->scheduler;
    for (size_t i = 0; i < w->listener_count; i++) {
        if (w->listeners[i].more) {
            return true;
        }
    }
    return !list_is_empty(&all->waiting) || !queue_is_empty(&all->quick) ||
           !queue_is_empty(&all->slow) || all->in_step != NULL;
}
