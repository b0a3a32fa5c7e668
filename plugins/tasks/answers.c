#include "answers.h"

#include "sql.h"

enum { KEPT_MS = 3600 * 1000 }; /* calls are run again when the next image of the server begins, or not at all */

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
    return sql_run(work,
                   "DELETE FROM task_answers WHERE id IN (SELECT id FROM task_answers ORDER BY id LIMIT 5000) AND "
                   "answered_at < ?1",
                   "i", work->now - KEPT_MS);
}
