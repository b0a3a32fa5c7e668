#include "plugin/turn.h"

#include <stddef.h>

void turn_init(struct turn *turn) {
    turn->taken = false;
    list_init(&turn->waiting);
}

bool turn_enter(struct turn *turn, struct list *waiter) {
    bool free_now = !turn->taken;

    turn->taken = true;
    if (!free_now && waiter)
        list_append(&turn->waiting, waiter);
    return free_now;
}

struct list *turn_leave(struct turn *turn) {
    struct list *next = list_empty(&turn->waiting) ? NULL : turn->waiting.next;

    if (next)
        list_remove(next);
    else
        turn->taken = false;
    return next;
}
