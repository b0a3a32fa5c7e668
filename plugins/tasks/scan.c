#include "scan.h"

#include <stdlib.h>
#include <string.h>

#include "sql.h"
#include "task.h"
#include "tasks.h"

enum { STALE_MS = 24 * 3600 * 1000, NOTED_MAX = 200 };

int scan_note(struct scan *scan, const char *kind, const char *task_id, bool mended, const char *format, ...) {
    char *printed = NULL;
    va_list args;

    scan->found++;
    scan->mended += mended;
    if (json_array_size(scan->problems) >= (scan->max ? scan->max : NOTED_MAX))
        return 0;
    va_start(args, format);
    int len = vasprintf(&printed, format, args);
    va_end(args);
    if (len < 0)
        return work_no_memory(scan->work);
    json_t *problem =
        json_pack("{s:s, s:s*, s:s, s:b}", "kind", kind, "task_id", task_id, "text", printed, "mended", (int)mended);
    free(printed);
    return json_array_append_new(scan->problems, problem) < 0 ? work_no_memory(scan->work) : 0;
}

void scan_print_sql(const struct scan *scan, struct text *sql, const char *select, const char *more) {
    static const char *const scopes[] = {
        [SCAN_SESSION] = "t.session = ?1",
        [SCAN_PROJECT] = "t.session IN (SELECT o.id FROM task_sessions o WHERE o.directory = "
                         "(SELECT directory FROM task_sessions WHERE id = ?1))",
        [SCAN_TREE] = "t.id IN (WITH RECURSIVE tree (id) AS (VALUES (?1) UNION SELECT c.id FROM tasks c JOIN tree "
                      "ON c.parent = tree.id) SELECT id FROM tree)",
    };

    text_print(sql, "%s WHERE %s%s", select, scopes[scan->scope], more);
}

/* One kind of fault: the rows of a query (id, task_id, another name or NULL), and the statement that mends one. */
struct fault {
    const char *kind, *select, *more;
    const char *mend; /* ?1 is the task's id, ?2 now; NULL: that is for people */
    const char *text; /* with %s for the other name */
};

static int note_row(struct scan *scan, const struct fault *fault, sqlite3_stmt *row) {
    bool mends = scan->mends && fault->mend;
    const char *task_id = sql_text(row, 1), *other = sql_text(row, 2);

    if (mends && sql_run(scan->work, fault->mend, "ii", sqlite3_column_int64(row, 0), scan->work->now) < 0)
        return -1;
    return scan_note(scan, fault->kind, task_id, mends, "%s%s%s", fault->text, other ? " " : "", other ? other : "");
}

/* All rows are read before one is mended: a statement that writes may change what another one reads. */
static int find(struct scan *scan, const struct fault *fault) {
    CLEANUP(text_fini) struct text sql = {0};

    scan_print_sql(scan, &sql, fault->select, fault->more);
    if (sql.failed)
        return work_no_memory(scan->work);
    CLEANUP(sql_done) sqlite3_stmt *rows = sql_query(scan->work, sql.data, "ii", scan->id, scan->work->now - STALE_MS);
    int r;
    while ((r = sql_next(scan->work, rows)) > 0)
        if (note_row(scan, fault, rows) < 0)
            return -1;
    return r;
}

#define OPEN "t.status IN ('pending', 'in_progress', 'blocked', 'failed')"

static const struct fault faults[] = {
    {"orphan", "SELECT t.id, t.task_id, NULL FROM tasks t LEFT JOIN tasks p ON p.id = t.parent",
     " AND t.parent IS NOT NULL AND ?2 AND (p.id IS NULL OR p.session <> t.session) ORDER BY t.id",
     "UPDATE tasks SET parent = NULL, updated_at = ?2 WHERE id = ?1", "its parent is not there any more"},
    {"orphan", "SELECT t.id, t.task_id, p.task_id FROM tasks t JOIN tasks p ON p.id = t.parent",
     " AND ?2 AND p.status = 'archived' AND " OPEN " ORDER BY t.id",
     "UPDATE tasks SET parent = NULL, updated_at = ?2 WHERE id = ?1", "it is open and its parent is archived:"},
    {"stale", "SELECT t.id, t.task_id, NULL FROM tasks t",
     " AND t.status = 'in_progress' AND t.updated_at < ?2 ORDER BY t.id",
     "UPDATE tasks SET status = 'pending', updated_at = ?2 WHERE id = ?1",
     "it has been in_progress for more than a day without a change"},
};

static const struct fault in_vain = {
    "waits_in_vain",
    "SELECT t.id, t.task_id, p.task_id FROM tasks t JOIN task_dependencies d ON d.task = t.id "
    "LEFT JOIN tasks p ON p.id = d.prerequisite",
    " AND ?2 AND " OPEN " AND (p.id IS NULL OR p.status = 'cancelled' OR (p.status = 'archived' AND p.completed_at IS "
    "NULL)) ORDER BY t.id",
    NULL,
    "it waits for a task that will not be completed:",
};

/* The whole database, by SQLite's own means. */
static int check_database(struct scan *scan) {
    CLEANUP(sql_done) sqlite3_stmt *check = sql_query(scan->work, "PRAGMA integrity_check", "");
    CLEANUP(sql_done) sqlite3_stmt *references = sql_query(scan->work, "PRAGMA foreign_key_check", "");
    int r;

    while ((r = sql_next(scan->work, check)) > 0)
        if (strcmp(sql_text(check, 0), "ok") != 0 &&
            scan_note(scan, "database", NULL, false, "%s", sql_text(check, 0)) < 0)
            return -1;
    if (r < 0)
        return -1;
    while ((r = sql_next(scan->work, references)) > 0)
        if (scan_note(scan, "database", NULL, false, "row %lld of %s refers to nothing in %s",
                      (long long)sqlite3_column_int64(references, 1), sql_text(references, 0),
                      sql_text(references, 2)) < 0)
            return -1;
    return r;
}

int scan_run(struct scan *scan) {
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
        if (find(scan, &faults[i]) < 0)
            return -1;
    if (scan_circles(scan) < 0 || scan_artifacts(scan) < 0)
        return -1;
    if (scan->level >= SCAN_COMPREHENSIVE && (find(scan, &in_vain) < 0 || scan_strays(scan) < 0))
        return -1;
    return scan->level >= SCAN_FULL ? check_database(scan) : 0;
}
