/*
 * A task that is made: first its row, below its parent, then what it waits for. orchestrator_plan_task makes one, a
 * template many that know each other; what is refused to one is refused to the other.
 *
 * All that can be refused is refused by plan_check() and plan_find(), before anything is written: a refusal that comes
 * later undoes what other calls have done in the same transaction.
 */
#pragma once

#include "work.h"

struct plan {
    const json_t *task;     /* what orchestrator_plan_task takes, of the types that it takes; borrowed */
    int64_t id, parent;     /* 0: none */
    int64_t *prerequisites; /* owned */
    size_t count;
    char task_id[ID_TEXT];
};

int plan_check(struct work *work, const struct plan *plan); /* what is said of it by itself. 0 or -1 */
int plan_find(struct work *work, struct plan *plan);        /* its parent and prerequisites, by their names. 0 or -1 */
int plan_make(struct work *work, struct plan *plan);        /* its row, in the call's session. 0 or -1 */
int plan_link(struct work *work, const struct plan *plan);  /* to its prerequisites. 0 or -1 */
void plan_fini(struct plan *plan);
