/* orchestrator_plan_task: a new task, with its parent and its prerequisites. */
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "session.h"
#include "task.h"
#include "tasks.h"
#include "tool.h"
#include "tree.h"
#include "words.h"

const char plan_input[] = INPUT(
    TITLE ", \"description\": " STRING ", \"task_type\": {\"enum\": " WORDS_TASK_TYPE ", \"default\": \"standard\"}, "
          "\"parent_task_id\": " STRING ", \"complexity\": {\"enum\": " WORDS_COMPLEXITY
          ", \"default\": \"moderate\"}, \"specialist_type\": {\"enum\": " WORDS_SPECIALIST
          ", \"default\": \"generic\"}, \"estimated_effort\": {\"type\": \"string\", \"description\": \"such as 2 "
          "hours\"}, " DUE_DATE ", \"context\": {\"type\": \"object\", \"description\": \"what whoever does it "
          "should know\"}, \"dependencies\": {\"type\": \"array\", \"items\": " STRING
          ", \"description\": \"task_ids that must be completed before it starts\"}, " SESSION_ID,
    "\"title\", \"description\"");

const char plan_output[] =
    OUTPUT("\"task_id\": " STRING ", \"title\": " STRING ", \"status\": " STRING ", \"parent_task_id\": " STRING
           ", \"dependencies\": {\"type\": \"array\", \"items\": " STRING "}",
           "\"session_id\", \"task_id\", \"status\"");

enum { NAME_ATTEMPTS = 8 }; /* another process may have made the same name in the same millisecond */

struct plan {
    int64_t parent, id;
    int64_t *prerequisites; /* owned */
    size_t count;
    char task_id[ID_TEXT];
    const char *due_date;
    char *context;
};

static const char *word(const struct work *work, const char *key, const char *missing) {
    const char *given = work_string(work, key);

    return given ? given : missing;
}

static int find_parent(struct work *work, struct plan *plan) {
    const char *parent_id = work_string(work, "parent_task_id");
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

static int insert(struct work *work, struct plan *plan) {
    return sql_run(work,
                   "INSERT INTO tasks (task_id, session, parent, title, description, task_type, complexity, "
                   "specialist_type, status, estimated_effort, due_date, context, created_at, updated_at) "
                   "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 'pending', ?9, ?10, ?11, ?12, ?12)",
                   "siossssssssi", plan->task_id, work->session.id, plan->parent, work_string(work, "title"),
                   work_string(work, "description"), word(work, "task_type", "standard"),
                   word(work, "complexity", "moderate"), word(work, "specialist_type", "generic"),
                   work_string(work, "estimated_effort"), plan->due_date, plan->context, work->now);
}

static int insert_named(struct work *work, struct plan *plan) {
    for (int i = 0; i < NAME_ATTEMPTS; i++) {
        id_make(&work->tasks->ids, "task", plan->task_id);
        if (insert(work, plan) == 0) {
            work->broken = false;
            work->err = (struct theseus_error){0};
            plan->id = sqlite3_last_insert_rowid(theseus_db(work->tasks->ctx));
            return 0;
        }
        if (!sql_is_duplicate(work))
            break;
    }
    return -1;
}

/* Before anything is written: a refusal that comes later undoes other calls too. */
static int find_prerequisites(struct work *work, struct plan *plan) {
    const json_t *dependencies = json_object_get(work->args, "dependencies"), *one;
    struct task prerequisite;
    size_t i;

    if (json_array_size(dependencies) == 0)
        return 0;
    plan->prerequisites = calloc(json_array_size(dependencies), sizeof(int64_t));
    if (!plan->prerequisites)
        return work_no_memory(work);
    json_array_foreach (dependencies, i, one) {
        const char *task_id = json_string_value(one);
        if (task_get(work, task_id, &prerequisite) < 0)
            return -1;
        bool was_done = prerequisite.status == STATUS_ARCHIVED && prerequisite.was_completed;
        if ((prerequisite.status == STATUS_ARCHIVED && !was_done) || prerequisite.status == STATUS_CANCELLED)
            return work_refuse(work, "the task cannot depend on '%.40s': it is %s and will not be completed", task_id,
                               status_name(prerequisite.status));
        if (tree_check_wait(work, task_id, plan->parent, prerequisite.id) < 0)
            return -1;
        plan->prerequisites[plan->count++] = prerequisite.id;
    }
    return 0;
}

static int add_dependencies(struct work *work, const struct plan *plan) {
    for (size_t i = 0; i < plan->count; i++)
        if (sql_run(work, "INSERT INTO task_dependencies (task, prerequisite) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
                    "ii", plan->id, plan->prerequisites[i]) < 0)
            return -1;
    return 0;
}

static int answer(struct work *work, const struct plan *plan) {
    const char *title = work_string(work, "title"), *parent = work_string(work, "parent_task_id");
    json_t *dependencies = json_object_get(work->args, "dependencies");

    work->value = json_pack("{s:s, s:s, s:s, s:s, s:s*, s:O*}", "session_id", work->session.session_id, "task_id",
                            plan->task_id, "title", title, "status", "pending", "parent_task_id", parent,
                            "dependencies", json_array_size(dependencies) > 0 ? dependencies : NULL);
    text_print(&work->text, "Planned %s: %s\nSession: %s", plan->task_id, title, work->session.session_id);
    return 0;
}

static int run(struct work *work, struct plan *plan) {
    const json_t *context = json_object_get(work->args, "context");
    int64_t due;

    plan->due_date = work_string(work, "due_date");
    if (plan->due_date && !clock_parse(plan->due_date, &due))
        return work_refuse(work, "due_date '%.40s' is no date such as 2026-03-01 or 2026-03-01T09:30:00Z",
                           plan->due_date);
    if (context && !(plan->context = json_dumps(context, JSON_COMPACT)))
        return work_no_memory(work);
    if (find_parent(work, plan) < 0 || find_prerequisites(work, plan) < 0 || insert_named(work, plan) < 0 ||
        add_dependencies(work, plan) < 0 || session_touch(work) < 0)
        return -1;
    return answer(work, plan);
}

int tool_plan(struct work *work) {
    struct plan plan = {0};
    int r = session_find_one(work);

    if (r == 0)
        r = run(work, &plan);
    free(plan.prerequisites);
    free(plan.context);
    return r;
}
