#include "answers.h"

#include "sql.h"

/*
 * A call is run again when the next image of the server begins, or when another server goes on with it: an MCP task
 * lives for 7 days, what a snapshot has for 30. Who writes so much that this would be a table of any size keeps the
 * newest.
 */
static const int64_t KEPT_MS = 31 * INT64_C(24 * 3600 * 1000);
enum { KEPT_MAX = 500000, OLD_AT_ONCE = 5000, MANY_AT_ONCE = 50000 };

int answers_find(struct work *work) {
    CLEANUP(sql_done)
    sqlite3_stmt *row =
        sql_query(work, "SELECT text, value FROM task_answers WHERE call = ?1", "s", theseus_call_key(work->call));
    int r = sql_next(work, row);

    if (r <= 0)
        return r;
    work_reset(work);
    text_print(&work->text, "%s", sql_text(row, 0));
    text_print(&work->stored, "%s", sql_text(row, 1));
    work->done = !work->text.failed && !work->stored.failed;
    return work->done ? 1 : work_no_memory(work);
}

int answers_keep(struct work *work) {
    if (work_store(work) < 0)
        return -1;
    return sql_run(work, "INSERT INTO task_answers (call, text, value, answered_at) VALUES (?1, ?2, ?3, ?4)", "sssi",
                   theseus_call_key(work->call), work->text.data ? work->text.data : "", work->stored.data, work->now);
}

int answers_sweep(struct work *work) {
    if (sql_run(work,
                "DELETE FROM task_answers WHERE id <= (SELECT max(id) FROM task_answers) - ?1 AND "
                "id < (SELECT min(id) FROM task_answers) + ?2",
                "ii", (int64_t)KEPT_MAX, (int64_t)MANY_AT_ONCE) < 0)
        return -1;
    return sql_run(work,
                   "DELETE FROM task_answers WHERE id IN (SELECT id FROM task_answers ORDER BY id LIMIT ?2) AND "
                   "answered_at < ?1",
                   "ii", work->now - KEPT_MS, (int64_t)OLD_AT_ONCE);
}
