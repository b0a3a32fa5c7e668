#include "archive.h"

#include "sql.h"
#include "tasks.h"
#include "transition.h"

enum { AT_ONCE = 200 }; /* a millisecond or two of the thread that writes */

/* Nothing of a session that was planned later can be old enough: the index that has a state's tasks by their age leads
 * to what is, and to hardly anything else. */
static int archive(struct work *work, enum status status, int64_t before, int64_t *ret_count) {
    sqlite3 *db = theseus_db(work->tasks->ctx);

    if (sql_run(work,
                "UPDATE tasks SET status = 'archived', updated_at = ?3 WHERE id IN (SELECT t.id FROM task_sessions s "
                "CROSS JOIN tasks t ON t.session = s.id AND t.status = ?1 AND t.created_at < ?2 "
                "LEFT JOIN tasks p ON p.id = t.parent WHERE t.updated_at < ?2 "
                "AND (p.id IS NULL OR p.status IN ('completed', 'cancelled', 'archived')) "
                "AND NOT EXISTS (SELECT 1 FROM tasks c WHERE c.parent = t.id AND c.status IN ('pending', "
                "'in_progress', 'blocked', 'failed')) LIMIT ?4)",
                "siii", status_name(status), before, work->now, (int64_t)AT_ONCE) < 0)
        return -1;
    *ret_count = sqlite3_changes64(db);
    return 0;
}

int archive_sweep(struct work *work) {
    int64_t after = atomic_load(&work->tasks->archive_after_ms), count = 0;
    bool has_more = false;

    if (after == 0)
        return 0;
    for (enum status status = 0; status < STATUS_COUNT; status++)
        if (status_is_over(status) && transition_allowed(status, STATUS_ARCHIVED)) {
            if (archive(work, status, work->now - after, &count) < 0)
                return -1;
            has_more = has_more || count == AT_ONCE;
        }
    return has_more;
}
