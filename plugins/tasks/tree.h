/* How tasks hang together: children and what they have reached, prerequisites, and what may not be in a circle. */
#pragma once

#include "page.h"
#include "task.h"

/* "progress" of its children, where it has any, into a row. 0 or -1. */
int tree_add_progress(struct work *work, json_t *row, int64_t id);
/* "dependencies" and "dependents", where there are any; of many the first, and "…_has_more". 0 or -1. */
int tree_add_dependencies(struct work *work, json_t *row, int64_t id);
/* A page of "children", each {task_id, title, status}; "children_has_more" where there are. 0 or -1. */
int tree_add_children(struct work *work, json_t *row, int64_t id, struct page *page);

/*
 * May a child of `parent` (0: of none) wait for `prerequisite`? Refused where that waits for the parent: a task waits
 * for its prerequisites, and a parent for its children, so all would wait for each other.
 */
int tree_check_wait(struct work *work, const char *prerequisite_id, int64_t parent, int64_t prerequisite);

/* How many others wait for it and are not over, and how many children it has. */
int tree_count_dependents(struct work *work, int64_t id, int64_t *ret_dependents, int64_t *ret_children);
