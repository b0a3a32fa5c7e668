/* orchestrator_update_task: what is said of a task, and its state. */
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "session.h"
#include "task.h"
#include "tool.h"
#include "words.h"

const char update_input[] = INPUT(
    TASK_ID ", " TITLE ", \"description\": " STRING ", \"status\": {\"enum\": " WORDS_STATUS
            "}, \"specialist_type\": {\"enum\": " WORDS_SPECIALIST "}, \"complexity\": {\"enum\": " WORDS_COMPLEXITY
            "}, \"estimated_effort\": " STRING ", " DUE_DATE ", \"context\": {\"type\": \"object\", "
            "\"description\": \"takes the place of what was there\"}, " SESSION_ID,
    "\"task_id\"");

const char update_output[] =
    OUTPUT("\"task_id\": " STRING ", \"status\": " STRING ", \"updated\": {\"type\": \"array\", \"items\": " STRING "}",
           "\"session_id\", \"task_id\", \"status\", \"updated\"");

/* Members that are columns of the same name. */
static const struct {
    const char *name, *sql;
} fields[] = {
    {"title", "UPDATE tasks SET title = ?2, updated_at = ?3 WHERE id = ?1"},
    {"description", "UPDATE tasks SET description = ?2, updated_at = ?3 WHERE id = ?1"},
    {"specialist_type", "UPDATE tasks SET specialist_type = ?2, updated_at = ?3 WHERE id = ?1"},
    {"complexity", "UPDATE tasks SET complexity = ?2, updated_at = ?3 WHERE id = ?1"},
    {"estimated_effort", "UPDATE tasks SET estimated_effort = ?2, updated_at = ?3 WHERE id = ?1"},
    {"due_date", "UPDATE tasks SET due_date = ?2, updated_at = ?3 WHERE id = ?1"},
    {"context", "UPDATE tasks SET context = ?2, updated_at = ?3 WHERE id = ?1"},
};

static int set_field(struct work *work, size_t field, int64_t id, json_t *updated) {
    const json_t *given = json_object_get(work->args, fields[field].name);
    CLEANUP(memory_free) char *dumped = json_is_object(given) ? json_dumps(given, JSON_COMPACT) : NULL;
    const char *text = json_is_object(given) ? dumped : json_string_value(given);

    if (!given)
        return 0;
    if (!text)
        return work_no_memory(work);
    (void)json_array_append_new(updated, json_string(fields[field].name));
    return sql_run(work, fields[field].sql, "isi", id, text, work->now);
}

static int set_status(struct work *work, const char *task_id, struct task *task, json_t *updated) {
    const char *status = work_string(work, "status");

    if (!status)
        return 0;
    (void)json_array_append_new(updated, json_string("status"));
    return task_move(work, task_id, task, status_find(status), NULL);
}

static int check_date(struct work *work) {
    const char *text = work_string(work, "due_date");
    int64_t due;

    if (text && !clock_parse(text, &due))
        return work_refuse(work, "due_date '%.40s' is no date such as 2026-03-01 or 2026-03-01T09:30:00Z", text);
    return 0;
}

static int apply(struct work *work, const char *task_id, struct task *task, json_t *updated) {
    if (check_date(work) < 0 || set_status(work, task_id, task, updated) < 0)
        return -1;
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        if (set_field(work, i, task->id, updated) < 0)
            return -1;
    if (json_array_size(updated) == 0)
        return work_refuse(work, "nothing to update: give title, description, status or another field");
    return session_touch(work);
}

int tool_update(struct work *work) {
    const char *task_id = work_string(work, "task_id");
    json_auto_t *updated = json_array();
    struct task task;

    if (task_find(work, task_id, &task) < 0 || apply(work, task_id, &task, updated) < 0)
        return -1;
    work->value = json_pack("{s:s, s:s, s:s, s:O}", "session_id", work->session.session_id, "task_id", task_id,
                            "status", status_name(task.status), "updated", updated);
    text_print(&work->text, "Updated %s, which is %s.\nSession: %s", task_id, status_name(task.status),
               work->session.session_id);
    return 0;
}
