/* A doubly linked list whose links are embedded in its members. */
#ifndef POSTERN_CORE_LIST_H
#define POSTERN_CORE_LIST_H

#include <stdbool.h>
#include <stddef.h>

/* The head of a list or the link of a member. list_init makes an empty list or an unlinked member;
 * others read `next` and `prev` to walk. */
struct list {
    struct list *prev, *next;
};

#define container_of(pointer, type, member) ((type *)(((char *)(pointer)) - offsetof(type, member)))

static inline void list_init(struct list *l) {
    l->prev = l->next = l;
}

static inline bool list_is_empty(const struct list *head) {
    return head->next == head;
}

static inline void list_append(struct list *head, struct list *l) {
    l->prev = head->prev;
    l->next = head;
    head->prev->next = l;
    head->prev = l;
}

static inline void list_prepend(struct list *head, struct list *l) {
    list_append(head->next, l);
}

/* Nothing happens to a member that is not in a list. */
static inline void list_remove(struct list *l) {
    l->prev->next = l->next;
    l->next->prev = l->prev;
    list_init(l);
}

#endif
