/* The calls that were at work when a server ended, from its records: nobody waits for them any more, and they are told.
 */
#pragma once

#include <jansson.h>

#include "ledger/ledger.h"

enum { INTERRUPTED_NAMED = 100 }; /* more are only counted */

/* Requests, runs and checkpoints come one kind after the other: what is known of a call is gathered by its key. */
struct interrupted {
    json_t *tools, *checkpoints, *runs; /* owned: by key */
};

void interrupted_init(struct interrupted *interrupted);
void interrupted_visit(struct interrupted *interrupted, const struct record_kind *kind, const void *record);
/* How many there were; {"tool", "checkpoint", "message"} of each is added to `list`. */
int64_t interrupted_tell(const struct interrupted *interrupted, json_t *list);
void interrupted_fini(struct interrupted *interrupted);
