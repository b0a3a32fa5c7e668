/*
 * How many tasks of a session are open at a time: `[tasks] max_active`.
 *
 * They are counted when the first is planned, and the count is carried along with what this writer does; it is counted
 * again when somebody else has written to the database.
 */
#pragma once

#include "work.h"

struct active_memo {
    int64_t session; /* 0: nothing is known */
    int64_t count;
    int64_t version; /* of the database, as others have left it */
};

/* May so many more be planned in the call's session? 0, or -1: no, or the database failed. */
int active_check(struct work *work, int64_t more);

/* So many more (or fewer) are open in that session. */
void active_change(struct tasks *tasks, int64_t session, int64_t more);
void active_forget(struct tasks *tasks);
/* A transaction has begun. 0 or -1. */
int active_begin(struct work *work);
