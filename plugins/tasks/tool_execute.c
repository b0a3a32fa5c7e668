/* orchestrator_execute_task: everything that one needs to begin, and the state that says so. */
#include <string.h>

#include "artifact.h"
#include "session.h"
#include "specialist.h"
#include "task.h"
#include "tool.h"
#include "words.h"

const char execute_input[] = INPUT(TASK_ID ", " DETAIL ", " SESSION_ID, "\"task_id\"");
const char execute_output[] =
    OUTPUT("\"task_id\": " STRING ", \"status\": {\"const\": \"in_progress\"}, \"task\": " OBJECT
           ", \"context\": " OBJECT ", \"specialist_type\": " STRING ", \"instructions\": " STRING
           ", \"prerequisites\": " LIST ", \"previous_work\": " LIST,
           "\"session_id\", \"task_id\", \"status\", \"task\", \"instructions\", \"prerequisites\"");

enum { CONTENT_SHOWN = 4000 }; /* bytes of an artifact, unless all of it is wanted */

/* Content that is longer is cut, and says how to get the rest. */
static void cut_contents(json_t *artifacts) {
    json_t *artifact;
    size_t i;

    json_array_foreach (artifacts, i, artifact) {
        const char *content = json_string_value(json_object_get(artifact, "content"));
        size_t len = content ? text_fitting(content, CONTENT_SHOWN) : 0;
        if (content && content[len])
            (void)json_object_set_new(artifact, "content",
                                      json_sprintf("%.*s\n[cut: detail = true shows all of it]", (int)len, content));
    }
}

static json_t *artifacts_new(struct work *work, int64_t task, bool whole) {
    json_t *artifacts = artifact_list_new(work, task, whole ? -1 : 3, true);

    if (!whole)
        cut_contents(artifacts);
    return artifacts;
}

static void print_artifacts(struct text *into, const json_t *artifacts) {
    const json_t *artifact;
    size_t i;

    json_array_foreach (artifacts, i, artifact) {
        const char *content = json_string_value(json_object_get(artifact, "content"));
        text_print(into, "--- %s: %s\n%s\n", json_string_value(json_object_get(artifact, "artifact_id")),
                   json_string_value(json_object_get(artifact, "summary")),
                   content ? content : "(its file is missing or altered)");
    }
}

static int add_prerequisite(struct work *work, json_t *list, sqlite3_stmt *row, bool whole) {
    json_t *artifacts = artifacts_new(work, sqlite3_column_int64(row, 0), whole);

    if (!artifacts)
        return -1;
    text_print(&work->text, "Prerequisite %s, %s: %s\n", sql_text(row, 1), sql_text(row, 2),
               sql_text(row, 3) ? sql_text(row, 3) : "");
    print_artifacts(&work->text, artifacts);
    return json_array_append_new(list,
                                 json_pack("{s:s, s:s, s:s*, s:o}", "task_id", sql_text(row, 1), "title",
                                           sql_text(row, 2), "summary", sql_text(row, 3), "artifacts", artifacts)) < 0
               ? work_no_memory(work)
               : 0;
}

static int add_prerequisites(struct work *work, int64_t task, bool whole) {
    CLEANUP(sql_done)
    sqlite3_stmt *rows = sql_query(work,
                                   "SELECT p.id, p.task_id, p.title, p.summary FROM task_dependencies d "
                                   "JOIN tasks p ON p.id = d.prerequisite WHERE d.task = ?1 ORDER BY p.id",
                                   "i", task);
    json_t *list = json_array();
    int r;

    if (json_object_set_new(work->value, "prerequisites", list) < 0)
        return work_no_memory(work);
    while ((r = sql_next(work, rows)) > 0)
        if (add_prerequisite(work, list, rows, whole) < 0)
            return -1;
    return r;
}

static int add_previous(struct work *work, int64_t task, bool whole) {
    json_t *artifacts = artifacts_new(work, task, whole);

    if (!artifacts)
        return -1;
    if (json_array_size(artifacts) > 0)
        text_print(&work->text, "Work so far:\n");
    print_artifacts(&work->text, artifacts);
    return json_object_set_new(work->value, "previous_work", artifacts) < 0 ? work_no_memory(work) : 0;
}

static int answer(struct work *work, const char *task_id, const json_t *task) {
    const json_t *context = json_object_get(task, "context");
    const char *specialist = json_string_value(json_object_get(task, "specialist_type"));
    const char *instructions = specialist_instructions(specialist);
    CLEANUP(memory_free) char *dumped = context ? json_dumps(context, JSON_COMPACT) : NULL;

    work->value = json_pack("{s:s, s:s, s:s, s:O, s:s, s:s, s:O*}", "session_id", work->session.session_id, "task_id",
                            task_id, "status", "in_progress", "task", task, "specialist_type", specialist,
                            "instructions", instructions, "context", context);
    text_print(&work->text, "%s: %s\n%s\n\n%s\n", task_id, json_string_value(json_object_get(task, "title")),
               json_string_value(json_object_get(task, "description")), instructions);
    if (dumped)
        text_print(&work->text, "Context: %s\n", dumped);
    return work->value ? 0 : work_no_memory(work);
}

/* Whoever has begun may ask again. */
static int start(struct work *work, const char *task_id, struct task *task) {
    if (task->status == STATUS_IN_PROGRESS)
        return 0;
    return task_move(work, task_id, task, STATUS_IN_PROGRESS, NULL);
}

int tool_execute(struct work *work) {
    const char *task_id = work_string(work, "task_id");
    bool whole = work_flag(work, "detail", false);
    struct task task;

    if (task_find(work, task_id, &task) < 0 || start(work, task_id, &task) < 0)
        return -1;
    json_auto_t *row = task_detail_new(work, task.id, 0);
    if (!row || answer(work, task_id, row) < 0 || add_prerequisites(work, task.id, whole) < 0 ||
        add_previous(work, task.id, whole) < 0)
        return -1;
    text_print(&work->text, "When it is done: orchestrator_complete_task. Session: %s", work->session.session_id);
    return 0;
}
