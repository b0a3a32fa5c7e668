/* orchestrator_synthesize_results: what the children of a task have brought, put together. */
#include "artifact.h"
#include "session.h"
#include "task.h"
#include "tool.h"
#include "tree.h"
#include "words.h"

const char synthesize_input[] = INPUT(
    "\"parent_task_id\": {\"type\": \"string\", \"minLength\": 1}, " DETAIL ", " SESSION_ID, "\"parent_task_id\"");
const char synthesize_output[] =
    OUTPUT("\"parent_task_id\": " STRING ", \"title\": " STRING ", \"status\": " STRING ", \"complete\": {\"type\": "
           "\"boolean\", \"description\": \"is every child over?\"}, \"progress\": " OBJECT ", \"results\": " LIST
           ", \"open\": " LIST,
           "\"session_id\", \"parent_task_id\", \"complete\", \"results\", \"open\"");

static int add_result(struct work *work, sqlite3_stmt *row, bool whole) {
    const char *summary = sql_text(row, 4);
    json_t *artifacts = artifact_list_new(work, sqlite3_column_int64(row, 0), -1, whole);

    if (!artifacts)
        return -1;
    text_print(&work->text, "## %s (%s, %s)\n%s\n", sql_text(row, 2), sql_text(row, 1), sql_text(row, 3),
               summary ? summary : "");
    return json_array_append_new(json_object_get(work->value, "results"),
                                 json_pack("{s:s, s:s, s:s, s:s*, s:o}", "task_id", sql_text(row, 1), "title",
                                           sql_text(row, 2), "status", sql_text(row, 3), "summary", summary,
                                           "artifacts", artifacts)) < 0
               ? work_no_memory(work)
               : 0;
}

static int add_open(struct work *work, sqlite3_stmt *row) {
    json_t *one = json_pack("{s:s, s:s, s:s}", "task_id", sql_text(row, 1), "title", sql_text(row, 2), "status",
                            sql_text(row, 3));

    return json_array_append_new(json_object_get(work->value, "open"), one) < 0 ? work_no_memory(work) : 0;
}

/* A child that has brought something has a result, whatever its state; the others are named if they are not over. */
static int add_children(struct work *work, int64_t parent, bool whole) {
    CLEANUP(sql_done)
    sqlite3_stmt *rows = sql_query(
        work, "SELECT id, task_id, title, status, summary FROM tasks WHERE parent = ?1 ORDER BY id", "i", parent);
    int r;

    while ((r = sql_next(work, rows)) > 0) {
        enum status status = status_find(sql_text(rows, 3));
        if ((status == STATUS_COMPLETED || sql_text(rows, 4)) && add_result(work, rows, whole) < 0)
            return -1;
        if (!status_is_over(status) && add_open(work, rows) < 0)
            return -1;
    }
    return r;
}

static void print_open(struct work *work) {
    const json_t *open = json_object_get(work->value, "open"), *one;
    size_t i;

    if (json_array_size(open) > 0)
        text_print(&work->text, "## Not done yet\n");
    json_array_foreach (open, i, one)
        text_print(&work->text, "- %s [%s] %s\n", json_string_value(json_object_get(one, "task_id")),
                   json_string_value(json_object_get(one, "status")), json_string_value(json_object_get(one, "title")));
    text_print(&work->text, "Session: %s", work->session.session_id);
}

int tool_synthesize(struct work *work) {
    const char *parent_id = work_string(work, "parent_task_id");
    struct task parent;
    int r = task_find(work, parent_id, &parent);

    if (r != 0)
        return r;
    json_auto_t *row = task_detail_new(work, parent.id, 0);
    if (!row)
        return -1;
    const char *title = json_string_value(json_object_get(row, "title"));
    work->value = json_pack("{s:s, s:s, s:s, s:s, s:O*, s:[], s:[]}", "session_id", work->session.session_id,
                            "parent_task_id", parent_id, "title", title, "status", status_name(parent.status),
                            "progress", json_object_get(row, "progress"), "results", "open");
    text_print(&work->text, "# %s\n", title);
    if (!work->value || add_children(work, parent.id, work_flag(work, "detail", false)) < 0)
        return work->err.code ? -1 : work_no_memory(work);
    bool complete = json_array_size(json_object_get(work->value, "open")) == 0;
    print_open(work);
    return json_object_set_new(work->value, "complete", json_boolean(complete)) < 0 ? work_no_memory(work) : 0;
}
