#include "answers.h"

#include <stdlib.h>

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
    work->value = json_loads(sql_text(row, 1), JSON_ALLOW_NUL, NULL);
    return work_finish(work) < 0 ? -1 : 1;
}

int answers_keep(struct work *work) {
    CLEANUP(memory_free) char *value = json_dumps(work->value, JSON_COMPACT);

    if (!value)
        return work_no_memory(work);
    return sql_run(work, "INSERT INTO task_answers (call, text, value, answered_at) VALUES (?1, ?2, ?3, ?4)", "sssi",
                   theseus_call_key(work->call), work->text.data ? work->text.data : "", value, work->now);
}

int answers_sweep(struct work *work) {
    return sql_run(work,
                   "DELETE FROM task_answers WHERE id IN (SELECT id FROM task_answers ORDER BY id LIMIT 5000) AND "
                   "answered_at < ?1",
                   "i", work->now - KEPT_MS);
}
