#include "broker/dial_queue.h"

#include "broker/dial_limit.h"

#include <stdlib.h>
#include <uv.h>

/* Of each line in a turn of the loop: a dial takes 15 us, and established sessions wait. */
enum { DIALS_A_TURN = 4 };

struct dial_line {
    struct list link;
    struct backend *backend;
    const struct config_dials *bounds;
    struct list waiting; /* struct dial_waiter */
    struct list last;    /* those that yield */
    size_t count;        /* of both */
    size_t places;       /* of these, how many may begin; they count as under way */
};

void dial_queue_init(struct dial_queue *queue) {
    list_init(&queue->lines);
}

static void free_line(struct dial_line *line) {
    list_remove(&line->link);
    free(line);
}

void dial_queue_free(struct dial_queue *queue) {
    for (struct list *l = queue->lines.next, *next; l != &queue->lines; l = next) {
        next = l->next;
        free(container_of(l, struct dial_line, link));
    }
    list_init(&queue->lines);
}

bool dial_queue_is_empty(const struct dial_queue *queue) {
    for (const struct list *l = queue->lines.next; l != &queue->lines; l = l->next) {
        if (container_of(l, struct dial_line, link)->count > 0) {
            return false;
        }
    }
    return true;
}

/* An old configuration's line is left to the dials that are in it. */
static struct dial_line *find_or_make(struct dial_queue *queue, struct backend *backend,
                                      const struct config_dials *bounds) {
    for (struct list *l = queue->lines.next; l != &queue->lines; l = l->next) {
        struct dial_line *line = container_of(l, struct dial_line, link);
        if (line->backend == backend && line->bounds == bounds) {
            return line;
        }
    }
    struct dial_line *line = calloc(1, sizeof *line);
    if (line != NULL) {
        line->backend = backend;
        line->bounds = bounds;
        list_init(&line->waiting);
        list_init(&line->last);
        list_append(&queue->lines, &line->link);
    }
    return line;
}

static struct list *part_of(struct dial_line *line, const struct dial_waiter *waiter) {
    return waiter->last ? &line->last : &line->waiting;
}

/* `before` is the head for the last place, or the first waiter. */
static void insert(struct dial_line *line, struct list *before, struct dial_waiter *waiter) {
    list_append(before, &waiter->link);
    waiter->line = line;
    line->count++;
}

static void take_out(struct dial_waiter *waiter) {
    list_remove(&waiter->link);
    waiter->line->count--;
    waiter->line = NULL;
}

static int line_up(struct dial_queue *queue, struct backend *backend,
                   const struct config_dials *bounds, struct dial_waiter *waiter) {
    struct dial_line *line = find_or_make(queue, backend, bounds);
    if (line == NULL) {
        return UV_ENOMEM;
    }
    insert(line, part_of(line, waiter), waiter);
    return 0;
}

int dial_queue_enter(struct dial_queue *queue, struct backend *backend,
                     const struct config_dials *bounds, struct dial_waiter *waiter,
                     uint64_t now_ms) {
    if (dial_limit_begin(backend_limit(backend), bounds, now_ms)) {
        return DIAL_ADMITTED;
    }
    int rc = line_up(queue, backend, bounds, waiter);
    if (rc != 0) {
        dial_limit_gives_up(backend_limit(backend));
    }
    return rc;
}

int dial_queue_line_up(struct dial_queue *queue, struct backend *backend,
                       const struct config_dials *bounds, struct dial_waiter *waiter) {
    int rc = line_up(queue, backend, bounds, waiter);
    if (rc == 0) {
        dial_limit_waits(backend_limit(backend));
    }
    return rc;
}

static void give_places_back(struct dial_line *line) {
    for (; line->places > 0; line->places--) {
        dial_limit_waits_again(backend_limit(line->backend));
    }
}

int dial_queue_return(struct dial_queue *queue, struct backend *backend,
                      const struct config_dials *bounds, struct dial_waiter *waiter) {
    struct dial_line *line = find_or_make(queue, backend, bounds);
    if (line == NULL) {
        return UV_ENOMEM;
    }
    dial_limit_waits_again(backend_limit(backend));
    insert(line, part_of(line, waiter)->next, waiter);
    give_places_back(line);
    return 0;
}

void dial_queue_yield(struct dial_waiter *waiter) {
    struct dial_line *line = waiter->line;
    if (!waiter->last && line != NULL) {
        list_remove(&waiter->link);
        list_append(&line->last, &waiter->link);
    }
    waiter->last = true;
}

void dial_queue_leave(struct dial_waiter *waiter) {
    struct dial_line *line = waiter->line;
    take_out(waiter);
    if (line->places > line->count) {
        line->places--;
        dial_limit_end(backend_limit(line->backend));
    } else {
        dial_limit_gives_up(backend_limit(line->backend));
    }
}

static struct dial_waiter *take_first(struct dial_line *line) {
    struct list *part = list_is_empty(&line->waiting) ? &line->last : &line->waiting;
    struct dial_waiter *first = container_of(part->next, struct dial_waiter, link);
    take_out(first);
    return first;
}

/* They have another backend, or wait for any. */
static void dissolve(struct dial_line *line) {
    give_places_back(line);
    for (size_t left = line->count; left > 0 && line->count > 0; left--) {
        struct dial_waiter *first = take_first(line);
        dial_limit_gives_up(backend_limit(line->backend));
        first->go(first, false);
    }
}

/* Lines that come while others are looked at are at the end. */
void dial_queue_tick(struct dial_queue *queue, uint64_t now_ms) {
    for (struct list *l = queue->lines.next, *next; l != &queue->lines; l = next) {
        struct dial_line *line = container_of(l, struct dial_line, link);
        if (backend_is_down(line->backend)) {
            dissolve(line);
        } else if (line->count > line->places) {
            line->places += dial_limit_admit(backend_limit(line->backend), line->bounds,
                                             line->count - line->places, now_ms);
        }
        next = l->next;
        if (line->count == 0) {
            free_line(line);
        }
    }
}

static void serve_line(struct dial_line *line) {
    for (unsigned i = 0; i < DIALS_A_TURN && line->places > 0; i++) {
        struct dial_waiter *first = take_first(line);
        line->places--;
        first->go(first, true);
    }
}

bool dial_queue_serve(struct dial_queue *queue) {
    bool more = false;
    for (struct list *l = queue->lines.next; l != &queue->lines; l = l->next) {
        struct dial_line *line = container_of(l, struct dial_line, link);
        serve_line(line);
        more = more || line->places > 0;
    }
    return more;
}
