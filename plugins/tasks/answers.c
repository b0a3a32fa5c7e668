#include "answers.h"

#include <stdlib.h>

#include "sql.h"

enum { KEPT_MS = 3600 * 1000 }; /* calls are run again when the next image of the server begins, or not at all */

int answers_find(struct work *work) {
    CLEANUP(sql_done)
    sqlite3_stmt *row =
        sql_query(work, "SELECT answer FROM task_answers WHERE call = ?1", "s", theseus_call_key(work->call));
    int r = sql_next(work, row);

    if (r <= 0)
        return r;
    work->result = json_loads(sql_text(row, 0), 0, NULL);
    return work->result ? 1 : work_no_memory(work);
}

int answers_keep(struct work *work) {
    CLEANUP(memory_free) char *answer = json_dumps(work->result, JSON_COMPACT);

    if (!answer)
        return work_no_memory(work);
    return sql_run(work, "INSERT INTO task_answers (call, answer, answered_at) VALUES (?1, ?2, ?3)", "ssi",
                   theseus_call_key(work->call), answer, work->now);
}

int answers_sweep(struct work *work) {
    return sql_run(work,
                   "DELETE FROM task_answers WHERE id IN (SELECT id FROM task_answers ORDER BY id LIMIT 5000) AND "
                   "answered_at < ?1",
                   "i", work->now - KEPT_MS);
}
