#include "task.h"

#include <stdlib.h>
#include <string.h>

#include "active.h"
#include "artifact.h"
#include "clock.h"
#include "session.h"
#include "tasks.h"
#include "tree.h"

enum { CHILDREN_SHOWN = 100, CHILDREN_IN_ROW = 20 };

int task_get(struct work *work, const char *task_id, struct task *ret_task) {
    CLEANUP(sql_done)
    sqlite3_stmt *row =
        sql_query(work,
                  "SELECT t.id, t.session, t.parent, t.status, t.completed_at IS NOT NULL, s.session_id, "
                  "s.updated_at FROM tasks t JOIN task_sessions s ON s.id = t.session "
                  "WHERE t.task_id = ?1",
                  "s", task_id);
    int r = sql_next(work, row);

    if (r < 0)
        return -1;
    if (r == 0 || (!work->session.every && work->session.id != sqlite3_column_int64(row, 1)))
        return work_refuse(work,
                           "there is no task '%.40s' in session '%s'; another session's tasks need its session_id",
                           task_id, work->session.session_id);
    *ret_task = (struct task){sqlite3_column_int64(row, 0), sqlite3_column_int64(row, 1), sqlite3_column_int64(row, 2),
                              status_find(sql_text(row, 3)), sqlite3_column_int(row, 4)};
    if (work->session.every) {
        work->session = (struct session){.id = ret_task->session, .updated_at = sqlite3_column_int64(row, 6)};
        (void)snprintf(work->session.session_id, ID_TEXT, "%s", sql_text(row, 5));
    }
    return 0;
}

int task_find(struct work *work, const char *task_id, struct task *ret_task) {
    int r = session_find(work);

    return r != 0 ? r : task_get(work, task_id, ret_task);
}

/* ---- states ---- */

int task_check_start(struct work *work, const char *task_id, const struct task *task) {
    CLEANUP(text_fini) struct text missing = {0};
    CLEANUP(sql_done)
    sqlite3_stmt *rows =
        sql_query(work,
                  "SELECT p.task_id, p.status FROM task_dependencies d "
                  "JOIN tasks p ON p.id = d.prerequisite WHERE d.task = ?1 AND p.status <> 'completed' "
                  "AND NOT (p.status = 'archived' AND p.completed_at IS NOT NULL)",
                  "i", task->id);
    int r;

    while ((r = sql_next(work, rows)) > 0)
        text_print(&missing, "%s%s (%s)", missing.len ? ", " : "", sql_text(rows, 0), sql_text(rows, 1));
    if (r < 0)
        return -1;
    if (missing.len)
        return work_refuse(work, "task '%.40s' cannot start before its prerequisites are completed: %s", task_id,
                           missing.data);
    return 0;
}

static int store_status(struct work *work, const struct task *task, enum status to, const char *summary) {
    return sql_run(work,
                   "UPDATE tasks SET status = ?2, updated_at = ?3, summary = coalesce(?4, summary), "
                   "started_at = CASE WHEN ?2 = 'in_progress' THEN coalesce(started_at, ?3) ELSE started_at END, "
                   "completed_at = CASE ?2 WHEN 'completed' THEN ?3 WHEN 'archived' THEN completed_at END, "
                   "reason = CASE ?2 WHEN 'cancelled' THEN reason WHEN 'archived' THEN reason END WHERE id = ?1",
                   "isis", task->id, status_name(to), work->now, summary);
}

int task_move(struct work *work, const char *task_id, struct task *task, enum status to, const char *summary) {
    if (!transition_allowed(task->status, to))
        return work_refuse(work, "task '%.40s' is %s and cannot become %s; what may follow is %s", task_id,
                           status_name(task->status), status_name(to), transition_choices(task->status));
    if (to == STATUS_IN_PROGRESS && task_check_start(work, task_id, task) < 0)
        return -1;
    if (store_status(work, task, to, summary) < 0)
        return -1;
    active_change(work->tasks, task->session, (int)status_is_over(task->status) - (int)status_is_over(to));
    task->status = to;
    return session_touch(work);
}

/* ---- as JSON ---- */

void task_set_time(json_t *object, const char *key, int64_t ms) {
    char text[CLOCK_TEXT];

    if (ms == 0)
        return;
    clock_print(ms, text);
    (void)json_object_set_new(object, key, json_string(text));
}

static void set_text(json_t *object, const char *key, const char *text) {
    if (text)
        (void)json_object_set_new(object, key, json_string(text));
}

json_t *task_title_new(const char *title) {
    size_t len = text_fitting_json(title, TASK_SHORT_TITLE);

    if (!title[len])
        return json_stringn(title, len);
    len = text_fitting_json(title, TASK_SHORT_TITLE - strlen("…"));
    return json_sprintf("%.*s…", (int)len, title);
}

static void add_detail(json_t *object, sqlite3_stmt *row) {
    static const struct {
        int column;
        const char *key;
    } texts[] = {{9, "description"}, {10, "estimated_effort"}, {11, "due_date"}, {13, "summary"}, {14, "reason"}},
      times[] = {{15, "created_at"}, {16, "updated_at"}, {17, "started_at"}, {18, "completed_at"}};

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        set_text(object, texts[i].key, sql_text(row, texts[i].column));
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
        task_set_time(object, times[i].key, sqlite3_column_int64(row, times[i].column));
    if (sql_text(row, 12))
        (void)json_object_set_new(object, "context", json_loads(sql_text(row, 12), JSON_ALLOW_NUL, NULL));
}

/* Steals `list` or `object`; NULL: it could not be made. */
static int set_part(json_t *row, const char *key, json_t *part) {
    return part && json_object_set_new(row, key, part) == 0 ? 0 : -1;
}

static int add_parts(struct work *work, json_t *object, int64_t id, unsigned wanted) {
    struct page children = {.limit = wanted & ROW_DETAIL ? CHILDREN_SHOWN : CHILDREN_IN_ROW};

    if (tree_add_progress(work, object, id) < 0)
        return -1;
    if ((wanted & ROW_DETAIL) && tree_add_dependencies(work, object, id) < 0)
        return -1;
    if ((wanted & ROW_CHILDREN) && tree_add_children(work, object, id, &children) < 0)
        return -1;
    if ((wanted & ROW_ARTIFACTS) &&
        set_part(object, "artifacts", artifact_list_new(work, id, wanted & ROW_DETAIL ? -1 : 2, wanted & ROW_DETAIL)) <
            0)
        return -1;
    return 0;
}

json_t *task_row_new(struct work *work, sqlite3_stmt *row, unsigned wanted) {
    const char *title = sql_text(row, 2);
    json_t *object =
        json_pack("{s:s, s:o, s:s, s:s, s:s, s:s, s:s*, s:s*}", "task_id", sql_text(row, 1), "title",
                  wanted & ROW_DETAIL ? json_string(title) : task_title_new(title), "status", sql_text(row, 3),
                  "task_type", sql_text(row, 4), "specialist_type", sql_text(row, 5), "complexity", sql_text(row, 6),
                  "parent_task_id", sql_text(row, 7), "session_id", wanted & ROW_SESSION ? sql_text(row, 8) : NULL);

    if (!object) {
        (void)work_no_memory(work);
        return NULL;
    }
    if (wanted & ROW_DETAIL)
        add_detail(object, row);
    if (add_parts(work, object, sqlite3_column_int64(row, 0), wanted) < 0) {
        json_decref(object);
        return NULL;
    }
    return object;
}

json_t *task_detail_new(struct work *work, int64_t id, unsigned wanted) {
    CLEANUP(sql_done)
    sqlite3_stmt *row = sql_query(work, "SELECT " TASK_COLUMNS " FROM tasks t" TASK_JOINS "WHERE t.id = ?1", "i", id);
    int r = sql_next(work, row);

    if (r == 0)
        (void)work_refuse(work, "the task is gone");
    return r > 0 ? task_row_new(work, row, wanted | ROW_DETAIL) : NULL;
}

static const char *text_of(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

void task_print(struct text *into, const json_t *row) {
    const json_t *progress = json_object_get(row, "progress"), *session = json_object_get(row, "session_id");
    const char *title = text_of(row, "title");
    size_t len = text_fitting(title, TASK_SHORT_TITLE);

    text_print(into, "%s [%s] %.*s%s (%s", text_of(row, "task_id"), text_of(row, "status"), (int)len, title,
               title[len] ? "…" : "", text_of(row, "specialist_type"));
    if (progress)
        text_print(into, ", %lld of %lld done", (long long)json_integer_value(json_object_get(progress, "completed")),
                   (long long)json_integer_value(json_object_get(progress, "total")));
    text_print(into, session ? ", %s)\n" : ")\n", text_of(row, "session_id"));
}
