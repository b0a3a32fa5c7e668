/* Circles among the tasks of a template: a task waits for its dependencies, and a parent for its children. */
#pragma once

#include "faults.h"

/* `tasks` by their keys; what they name is there. */
void circles_check(const json_t *tasks, struct faults *faults);
