/*
 * Templates: tasks that are planned again and again, as JSON.
 *
 *     {"name": "…", "description": "…",
 *      "parameters": {"what": {"type": "string", "description": "…", "required": true}},
 *      "tasks": {"design": {"title": "Design {{what}}", "description": "…", "specialist_type": "architect"},
 *                "build": {"title": "Build {{what}}", "parent": "design", "dependencies": ["design"]}}}
 *
 * A task has a key that the others name it by, and the members of orchestrator_plan_task. {{name}} stands for a
 * parameter, in every text of a task.
 */
#pragma once

#include "faults.h"

enum {
    TEMPLATE_BYTES = 64 << 10, /* as compact JSON */
    TEMPLATE_TASKS = 100,
    TEMPLATE_PARAMETERS = 50,
};

/* All that is wrong with it. */
void template_check(const json_t *template, struct faults *faults);

/* An object from what a caller gave, which may be JSON text. New reference; NULL: it is none, said in `faults`. */
json_t *template_read_new(const json_t *given, struct faults *faults);

/* How many tasks and parameters, into an answer. */
int template_add_counts(struct work *work, const json_t *template);
