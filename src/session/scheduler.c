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

static void queue_init(struct handshake_queue *queue) {
    list_init(&queue->begun);
    list_init(&queue->fresh);
}

void scheduler_init(struct scheduler *all) {
    *all = (struct scheduler){0};
    list_init(&all->waiting);
    queue_init(&all->quick);
    queue_init(&all->heavy);
}

void scheduler_free(struct scheduler *all) {
    engine_stack_free(all->stack);
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
    struct handshake_queue *queue = s->heavy ? &all->heavy : &all->quick;
    if (list_is_empty(&s->queue)) {
        list_append(s->engine != NULL ? &queue->begun : &queue->fresh, &s->queue);
    }
}

/* Before all others: none of them can use the stack until this step is over. */
void scheduler_resume_handshake(struct worker *w, struct session *s) {
    list_append(w->scheduler.heavy.begun.next, &s->queue);
}

static bool on_should_pause(void *arg) {
    const struct scheduler *all = arg;
    return uv_hrtime() >= all->until_ns;
}

struct engine_stack *scheduler_stack(struct worker *w) {
    struct scheduler *all = &w->scheduler;
    if (all->stack == NULL) {
        all->stack = engine_stack_new(on_should_pause, all);
    }
    return all->stack;
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

/* One step or a piece of one; or of the step that a session left which has ended since. */
static bool shake_heavily(struct worker *w) {
    struct scheduler *all = &w->scheduler;
    if (!queue_is_empty(&all->heavy)) {
        handshake_step(queue_take(&all->heavy));
        return true;
    }
    if (engine_stack_has_work(all->stack)) {
        engine_stack_work(all->stack);
        return true;
    }
    return false;
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
static bool (*const kinds[])(struct worker *w) = {serve_one, shake_one, accept_some, shake_heavily};
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
           !queue_is_empty(&all->heavy) || engine_stack_has_work(all->stack);
}
