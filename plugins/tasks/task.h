/* Tasks as rows: finding them, their states, and what answers say of them. */
#pragma once

#include "sql.h"
#include "transition.h"
#include "work.h"

struct task {
    int64_t id, session, parent; /* 0: none */
    enum status status;
    bool was_completed;
};

enum { TASK_SHORT_TITLE = 80 }; /* bytes of a title in a list */

/*
 * The one that `task_id` names, of the session that the call is about, which is found first; when that is "every", the
 * session becomes the task's. 0, WORK_MUST_WRITE, or -1: there is none.
 */
int task_find(struct work *work, const char *task_id, struct task *ret_task);
/* As above, where the session is known. */
int task_get(struct work *work, const char *task_id, struct task *ret_task);

/* Moves it on: refused where the table does not allow it, or prerequisites are missing. `summary` NULL: as it is. */
int task_move(struct work *work, const char *task_id, struct task *task, enum status to, const char *summary);
int task_check_start(struct work *work, const char *task_id, const struct task *task);

/* ---- as JSON ---- */

/* The columns that task_row_new() reads, of `tasks t`, and the joins that they need. */
#define TASK_COLUMNS                                                                                              \
    "t.id, t.task_id, t.title, t.status, t.task_type, t.specialist_type, t.complexity, p.task_id, s.session_id, " \
    "t.description, t.estimated_effort, t.due_date, t.context, t.summary, t.reason, t.created_at, t.updated_at, " \
    "t.started_at, t.completed_at"
#define TASK_JOINS " LEFT JOIN tasks p ON p.id = t.parent JOIN task_sessions s ON s.id = t.session "

enum { ROW_DETAIL = 1 << 0, ROW_SESSION = 1 << 1, ROW_CHILDREN = 1 << 2, ROW_ARTIFACTS = 1 << 3 };

/* A title as lists show it: at most TASK_SHORT_TITLE bytes, as JSON counts them. New reference. */
json_t *task_title_new(const char *title);
/* From a row of TASK_COLUMNS; `wanted` are flags of above. New reference; NULL: `err`. */
json_t *task_row_new(struct work *work, sqlite3_stmt *row, unsigned wanted);
/* All of one task. New reference; NULL: `err`. */
json_t *task_detail_new(struct work *work, int64_t id, unsigned wanted);
/* One line for reading: "task_1 [pending] Title (coder, 1 of 3 done)". */
void task_print(struct text *into, const json_t *row);

void task_set_time(json_t *object, const char *key, int64_t ms); /* nothing where it is 0 */
