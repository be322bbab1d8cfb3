#include "net/deadline.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>

/* `head` is a ring: head.next is the oldest, head.prev the newest. An empty list is kept for the
 * next of its duration, or given to another duration, so there are never more lists than durations
 * in use at once. */
struct deadline_list {
    struct deadline_list *next;
    uint64_t duration_ms;
    struct deadline head;
};

static bool is_empty(const struct deadline_list *list) {
    return list->head.next == &list->head;
}

static struct deadline_list *list_for(struct deadlines *all, uint64_t duration_ms) {
    struct deadline_list *unused = NULL;
    for (struct deadline_list *list = all->lists; list != NULL; list = list->next) {
        if (list->duration_ms == duration_ms) {
            return list;
        }
        if (is_empty(list)) {
            unused = list;
        }
    }
    if (unused == NULL) {
        unused = calloc(1, sizeof *unused);
        if (unused == NULL) {
            return NULL;
        }
        unused->head.next = unused->head.prev = &unused->head;
        unused->next = all->lists;
        all->lists = unused;
    }
    unused->duration_ms = duration_ms;
    return unused;
}

static void unlink_from_ring(struct deadline *d) {
    d->prev->next = d->next;
    d->next->prev = d->prev;
}

bool deadline_set(struct deadlines *all, struct deadline *d, uint64_t now_ms,
                  uint64_t duration_ms) {
    struct deadline_list *list = d->list;
    if (list != NULL) {
        unlink_from_ring(d);
    }
    if (list == NULL || list->duration_ms != duration_ms) {
        list = duration_ms == UINT64_MAX ? NULL : list_for(all, duration_ms);
        d->list = list;
        if (list == NULL) {
            return duration_ms == UINT64_MAX;
        }
    }
    d->at_ms = now_ms + duration_ms;
    d->next = &list->head;
    d->prev = list->head.prev;
    d->prev->next = d;
    list->head.prev = d;
    return true;
}

void deadline_clear(struct deadline *d) {
    if (d->list != NULL) {
        unlink_from_ring(d);
        d->list = NULL;
    }
}

bool deadline_is_set(const struct deadline *d) {
    return d->list != NULL;
}

struct deadline *deadlines_take_due(struct deadlines *all, uint64_t now_ms) {
    for (struct deadline_list *list = all->lists; list != NULL; list = list->next) {
        if (!is_empty(list) && list->head.next->at_ms <= now_ms) {
            struct deadline *due = list->head.next;
            deadline_clear(due);
            return due;
        }
    }
    return NULL;
}

uint64_t deadlines_next(const struct deadlines *all) {
    uint64_t next = UINT64_MAX;
    for (struct deadline_list *list = all->lists; list != NULL; list = list->next) {
        if (!is_empty(list) && list->head.next->at_ms < next) {
            next = list->head.next->at_ms;
        }
    }
    return next;
}

void deadlines_free(struct deadlines *all) {
    while (all->lists != NULL) {
        struct deadline_list *list = all->lists;
        assert(is_empty(list));
        all->lists = list->next;
        free(list);
    }
}
