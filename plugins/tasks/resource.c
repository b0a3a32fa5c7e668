#include "resource.h"

#include <string.h>

#include "session.h"
#include "session_row.h"
#include "sql.h"
#include "task.h"
#include "tasks.h"

#define TASKS_URI "theseus://tasks/"
#define SESSIONS_URI "theseus://sessions/"

enum { OPEN_SHOWN = 100 };

/* ---- a task ---- */

/* What was handed in, without the work itself: orchestrator_execute_task has that. */
static int add_artifacts(struct work *work, json_t *task, int64_t id) {
    CLEANUP(sql_done)
    sqlite3_stmt *rows = sql_query(work,
                                   "SELECT artifact_id, artifact_type, next_action, summary, bytes, created_at "
                                   "FROM task_artifacts WHERE task = ?1 ORDER BY id",
                                   "i", id);
    json_t *list = json_array();
    int r;

    if (json_object_set_new(task, "artifacts", list) < 0)
        return work_no_memory(work);
    while ((r = sql_next(work, rows)) > 0) {
        json_t *one = json_pack("{s:s, s:s, s:s, s:s, s:I}", "artifact_id", sql_text(rows, 0), "artifact_type",
                                sql_text(rows, 1), "next_action", sql_text(rows, 2), "summary", sql_text(rows, 3),
                                "bytes", (json_int_t)sqlite3_column_int64(rows, 4));
        task_set_time(one, "created_at", sqlite3_column_int64(rows, 5));
        if (json_array_append_new(list, one) < 0)
            return work_no_memory(work);
    }
    return r;
}

static int read_task(struct work *work, const char *task_id, json_t **ret_value) {
    int64_t id = 0;

    if (sql_number(work, 0, &id, "SELECT id FROM tasks WHERE task_id = ?1", "s", task_id) < 0)
        return -1;
    if (id == 0)
        return RESOURCE_NONE;
    json_t *task = task_detail_new(work, id, ROW_SESSION | ROW_CHILDREN);
    if (!task || add_artifacts(work, task, id) < 0) {
        json_decref(task);
        return -1;
    }
    *ret_value = task;
    return 0;
}

/* ---- a session ---- */

/* session_add_open() answers into `work`, as the tools do. */
static int fill_session(struct work *work, sqlite3_stmt *row) {
    work->session.id = sqlite3_column_int64(row, 0);
    work->value = session_row_new(row);
    json_t *counts = work->value ? session_counts(work, work->session.id) : NULL;

    if (!counts || json_object_set_new(work->value, "progress", counts) < 0)
        return work->err.code ? -1 : work_no_memory(work);
    return session_add_open(work, 0, (struct page){.limit = OPEN_SHOWN});
}

static int read_session(struct work *work, const char *session_id, json_t **ret_value) {
    CLEANUP(sql_done)
    sqlite3_stmt *row =
        sql_query(work, "SELECT " SESSION_COLUMNS " FROM task_sessions s WHERE s.session_id = ?1", "s", session_id);
    int r = sql_next(work, row);

    if (r <= 0)
        return r < 0 ? -1 : RESOURCE_NONE;
    r = fill_session(work, row);
    if (r == 0)
        *ret_value = json_incref(work->value);
    work_reset(work);
    return r;
}

/* ---- reading ---- */

int resource_read(struct work *work, const char *uri, json_t **ret_value) {
    if (strncmp(uri, TASKS_URI, strlen(TASKS_URI)) == 0)
        return read_task(work, uri + strlen(TASKS_URI), ret_value);
    if (strncmp(uri, SESSIONS_URI, strlen(SESSIONS_URI)) == 0)
        return read_session(work, uri + strlen(SESSIONS_URI), ret_value);
    return RESOURCE_NONE;
}

/* In a transaction, so that all of it is of one moment. */
static int read_at_once(struct work *work, const char *uri, json_t **ret_value) {
    struct work closing = {.tasks = work->tasks};

    if (sql_run(work, "BEGIN", "") < 0)
        return -1;
    int r = resource_read(work, uri, ret_value);
    (void)sql_run(&closing, "ROLLBACK", ""); /* there is nothing to keep */
    return r;
}

/* A failure of ours is none of the words for "there is no such resource". */
static int reply_failure(struct theseus_call *call, const char *message) {
    return theseus_reply(call,
                         json_pack("{s:[{s:s, s:s}], s:b}", "content", "type", "text", "text", message, "isError", 1));
}

static int read_call(struct theseus_call *call, void *self, const json_t *args) {
    const char *uri = json_string_value(json_object_get(args, "uri"));
    struct work *work = work_new(self, call, args);
    json_t *value = NULL;

    if (!work)
        return reply_failure(call, "there is no memory for this call");
    int r = read_at_once(work, uri, &value);
    if (r == 0)
        (void)theseus_reply_json(call, value);
    else if (r == RESOURCE_NONE)
        (void)theseus_reply_error(call,
                                  "there is nothing under %s; orchestrator_query_tasks and "
                                  "orchestrator_list_sessions name what there is",
                                  uri);
    else
        (void)reply_failure(call, work->err.message);
    (void)work_free(work);
    return THESEUS_DONE;
}

const struct theseus_resource resources[] = {
    {.uri = TASKS_URI "{id}",
     .name = "task",
     .title = "A task",
     .description = "All of a task: its state, what it waits for, its children, and summaries of what was handed in.",
     .mime_type = "application/json",
     .read = read_call},
    {.uri = SESSIONS_URI "{id}",
     .name = "session",
     .title = "A session",
     .description = "A session: how far its work is, and what is open in it.",
     .mime_type = "application/json",
     .read = read_call},
    {0},
};
