/*
 * The turn of a tool that never runs beside itself (THESEUS_SERIAL): one has it, the others come after it in order. Not
 * safe between threads by itself: the registry's lock guards it.
 */
#pragma once

#include <stdbool.h>

#include "base/list.h"

struct turn {
    bool taken;
    struct list waiting; /* links of the waiters', borrowed */
};

void turn_init(struct turn *turn);

/* May the tool be entered? Then it is the caller's until turn_leave(). Else `waiter`, unless NULL, is put at the end.
 */
bool turn_enter(struct turn *turn, struct list *waiter);
/* Who has it now, no longer in the list; NULL: nobody. A waiter that gives up takes itself out of the list. */
struct list *turn_leave(struct turn *turn);
