#include "plan.h"

#include <stdlib.h>

#include "active.h"
#include "clock.h"
#include "sql.h"
#include "task.h"
#include "tasks.h"
#include "tree.h"

enum { NAME_ATTEMPTS = 8 }; /* another process may have made the same name in the same millisecond */

static const char *word(const struct plan *plan, const char *key, const char *missing) {
    const char *given = json_string_value(json_object_get(plan->task, key));

    return given ? given : missing;
}

int plan_check(struct work *work, const struct plan *plan) {
    const char *due_date = word(plan, "due_date", NULL);
    int64_t due;

    if (due_date && !clock_parse(due_date, &due))
        return work_refuse(work, "due_date '%.40s' is no date such as 2026-03-01 or 2026-03-01T09:30:00Z", due_date);
    return 0;
}

static int find_parent(struct work *work, struct plan *plan) {
    const char *parent_id = word(plan, "parent_task_id", NULL);
    struct task parent;

    if (!parent_id)
        return 0;
    if (task_get(work, parent_id, &parent) < 0)
        return -1;
    if (parent.status == STATUS_ARCHIVED)
        return work_refuse(work, "the parent '%.40s' is archived and takes no more children", parent_id);
    plan->parent = parent.id;
    return 0;
}

static int find_prerequisite(struct work *work, struct plan *plan, const char *task_id) {
    struct task prerequisite;

    if (task_get(work, task_id, &prerequisite) < 0)
        return -1;
    bool was_done = prerequisite.status == STATUS_ARCHIVED && prerequisite.was_completed;
    if ((prerequisite.status == STATUS_ARCHIVED && !was_done) || prerequisite.status == STATUS_CANCELLED)
        return work_refuse(work, "the task cannot depend on '%.40s': it is %s and will not be completed", task_id,
                           status_name(prerequisite.status));
    if (tree_check_wait(work, task_id, plan->parent, prerequisite.id) < 0)
        return -1;
    plan->prerequisites[plan->count++] = prerequisite.id;
    return 0;
}

int plan_find(struct work *work, struct plan *plan) {
    const json_t *names = json_object_get(plan->task, "dependencies"), *name;
    size_t i;

    if (find_parent(work, plan) < 0)
        return -1;
    if (json_array_size(names) == 0)
        return 0;
    plan->prerequisites = calloc(json_array_size(names), sizeof(int64_t));
    if (!plan->prerequisites)
        return work_no_memory(work);
    json_array_foreach (names, i, name)
        if (find_prerequisite(work, plan, json_string_value(name)) < 0)
            return -1;
    return 0;
}

static int insert(struct work *work, const struct plan *plan, const char *context) {
    return sql_run(work,
                   "INSERT INTO tasks (task_id, session, parent, title, description, task_type, complexity, "
                   "specialist_type, status, estimated_effort, due_date, context, created_at, updated_at) "
                   "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 'pending', ?9, ?10, ?11, ?12, ?12)",
                   "siossssssssi", plan->task_id, work->session.id, plan->parent, word(plan, "title", NULL),
                   word(plan, "description", NULL), word(plan, "task_type", "standard"),
                   word(plan, "complexity", "moderate"), word(plan, "specialist_type", "generic"),
                   word(plan, "estimated_effort", NULL), word(plan, "due_date", NULL), context, work->now);
}

int plan_make(struct work *work, struct plan *plan) {
    const json_t *said = json_object_get(plan->task, "context");
    CLEANUP(memory_free) char *context = said ? json_dumps(said, JSON_COMPACT) : NULL;

    if (said && !context)
        return work_no_memory(work);
    for (int i = 0; i < NAME_ATTEMPTS; i++) {
        id_make(&work->tasks->ids, "task", plan->task_id);
        if (insert(work, plan, context) == 0) {
            work->broken = false;
            work->err = (struct theseus_error){0};
            plan->id = sqlite3_last_insert_rowid(theseus_db(work->tasks->ctx));
            active_change(work->tasks, work->session.id, 1);
            return 0;
        }
        if (!sql_is_duplicate(work))
            break;
    }
    return -1;
}

int plan_link(struct work *work, const struct plan *plan) {
    for (size_t i = 0; i < plan->count; i++)
        if (sql_run(work, "INSERT INTO task_dependencies (task, prerequisite) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
                    "ii", plan->id, plan->prerequisites[i]) < 0)
            return -1;
    return 0;
}

void plan_fini(struct plan *plan) {
    free(plan->prerequisites);
}
