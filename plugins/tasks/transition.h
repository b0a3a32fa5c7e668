/* The states of a task, and which may follow which: one table, asked by everything that changes a state. */
#pragma once

#include <stdbool.h>

enum status {
    STATUS_PENDING,
    STATUS_IN_PROGRESS,
    STATUS_BLOCKED,
    STATUS_COMPLETED,
    STATUS_FAILED,
    STATUS_CANCELLED,
    STATUS_ARCHIVED,
    STATUS_COUNT,
};

const char *status_name(enum status status);
/* "active" is another word for in_progress. STATUS_COUNT: there is no such state. */
enum status status_find(const char *name);
bool status_is_over(enum status status); /* nothing is to be done on it any more */

bool transition_allowed(enum status from, enum status to);
/* "in_progress, blocked, cancelled"; "nothing": borrowed, what may follow `from`. */
const char *transition_choices(enum status from);
