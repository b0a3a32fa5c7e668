/*
 * Doubly linked list through a member of its elements. A link that is in no list points to itself, so removing twice is
 * harmless. Every `struct list` that is a head carries a comment: what is in it, and who owns that.
 */
#pragma once

#include <stdbool.h>

#include "base/mem.h"

struct list {
    struct list *prev, *next;
};

static inline void list_init(struct list *list) {
    list->prev = list->next = list;
}

static inline bool list_empty(const struct list *head) {
    return head->next == head;
}

static inline bool list_is_linked(const struct list *link) {
    return link->next && link->next != link;
}

static inline void list_append(struct list *head, struct list *link) {
    link->prev = head->prev;
    link->next = head;
    head->prev->next = link;
    head->prev = link;
}

static inline void list_remove(struct list *link) {
    if (!link->next)
        return; /* zeroed memory: never linked */
    link->prev->next = link->next;
    link->next->prev = link->prev;
    list_init(link);
}

/* Moves every element of `from` to the end of `to`. */
static inline void list_splice(struct list *to, struct list *from) {
    if (list_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}

#define list_entry(link, type, member) container_of(link, type, member)
#define list_first(head, type, member) (list_empty(head) ? NULL : list_entry((head)->next, type, member))

/* Visits every link; the current one may be removed (and its element freed) inside the loop, no other one may. */
#define list_for_each(link, head)                                                     \
    for (struct list *link = (head)->next, *link##_next = link->next; link != (head); \
         link = link##_next, link##_next = link->next)
