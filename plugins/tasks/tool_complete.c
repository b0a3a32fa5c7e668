/*
 * orchestrator_complete_task: what was worked out is kept as an artifact, and next_action says what becomes of the
 * task.
 *
 * The file of a large artifact is written by a thread of its own (queue.h) before the call is queued for the writer: it
 * is on the disk before the row that names it.
 */
#include <string.h>

#include "artifact.h"
#include "session.h"
#include "task.h"
#include "tool.h"
#include "tree.h"
#include "words.h"

const char complete_input[] = INPUT(
    TASK_ID ", \"summary\": {\"type\": \"string\", \"description\": \"in a sentence or two\"}, \"detailed_work\": "
            "{\"type\": \"string\", \"description\": \"all of it: code, text, findings\"}, \"next_action\": {\"enum\": "
            "[\"continue\", \"needs_revision\", \"blocked\", \"complete\"]}, \"file_paths\": {\"type\": \"array\", "
            "\"items\": " STRING "}, \"artifact_type\": {\"enum\": [\"code\", \"documentation\", \"analysis\", "
            "\"design\", \"test\", \"config\", \"general\"], \"default\": \"general\"}, " SESSION_ID,
    "\"task_id\", \"summary\", \"detailed_work\", \"next_action\"");

const char complete_output[] =
    OUTPUT("\"task_id\": " STRING ", \"artifact_id\": " STRING ", \"status\": " STRING ", \"next_action\": " STRING
           ", \"bytes\": " INTEGER ", \"parent_progress\": " OBJECT,
           "\"session_id\", \"task_id\", \"artifact_id\", \"status\"");

static enum status status_after(const char *next_action) {
    if (strcmp(next_action, "complete") == 0)
        return STATUS_COMPLETED;
    return strcmp(next_action, "blocked") == 0 ? STATUS_BLOCKED : STATUS_IN_PROGRESS;
}

/* To go on with what one works at is no step from one state to another. */
static int move(struct work *work, const char *task_id, struct task *task, enum status to) {
    const char *summary = work_string(work, "summary");

    if (to == STATUS_IN_PROGRESS && task->status == STATUS_IN_PROGRESS)
        return sql_run(work, "UPDATE tasks SET summary = ?2, updated_at = ?3 WHERE id = ?1", "isi", task->id, summary,
                       work->now);
    return task_move(work, task_id, task, to, summary);
}

int tool_complete_prepare(struct work *work) {
    return artifact_store_file(work, json_object_get(work->args, "detailed_work"));
}

static int answer_progress(struct work *work, const struct task *task) {
    if (!task->parent)
        return 0;
    json_auto_t *parent = json_object();
    if (tree_add_progress(work, parent, task->parent) < 0)
        return -1;
    return json_object_set(work->value, "parent_progress", json_object_get(parent, "progress")) < 0
               ? work_no_memory(work)
               : 0;
}

static int keep(struct work *work, const struct task *task, char artifact_id[static ID_TEXT]) {
    const json_t *content = json_object_get(work->args, "detailed_work");
    const char *type = work_string(work, "artifact_type");
    struct artifact artifact = {.task = task->id,
                                .type = type ? type : "general",
                                .next_action = work_string(work, "next_action"),
                                .summary = work_string(work, "summary"),
                                .content = json_string_value(content),
                                .len = json_string_length(content),
                                .file_paths = json_object_get(work->args, "file_paths")};

    return artifact_add(work, &artifact, artifact_id);
}

int tool_complete(struct work *work) {
    const char *task_id = work_string(work, "task_id"), *next_action = work_string(work, "next_action");
    char artifact_id[ID_TEXT];
    struct task task;

    if (task_find(work, task_id, &task) < 0 || move(work, task_id, &task, status_after(next_action)) < 0 ||
        keep(work, &task, artifact_id) < 0 || session_touch(work) < 0)
        return -1;
    work->value =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:I}", "session_id", work->session.session_id, "task_id", task_id,
                  "artifact_id", artifact_id, "status", status_name(task.status), "next_action", next_action, "bytes",
                  (json_int_t)json_string_length(json_object_get(work->args, "detailed_work")));
    text_print(&work->text, "%s is %s; its work is %s.\nSession: %s", task_id, status_name(task.status), artifact_id,
               work->session.session_id);
    return work->value ? answer_progress(work, &task) : work_no_memory(work);
}
