/* A doubly linked list whose links live in its members. */
#ifndef POSTERN_PROXY_LINK_H
#define POSTERN_PROXY_LINK_H

#include <stdbool.h>
#include <stddef.h>

/* A list's head is a link too; link_init makes an empty list or an unlinked member. */
struct link {
    struct link *prev, *next;
};

#define container_of(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

static inline void link_init(struct link *l) {
    l->prev = l->next = l;
}

static inline bool link_is_empty(const struct link *head) {
    return head->next == head;
}

static inline void link_append(struct link *head, struct link *l) {
    l->prev = head->prev;
    l->next = head;
    head->prev->next = l;
    head->prev = l;
}

/* Also fine for a member that is in no list. */
static inline void link_remove(struct link *l) {
    l->prev->next = l->next;
    l->next->prev = l->prev;
    link_init(l);
}

#endif
