/*
 * Parents and prerequisites of the tasks that are new here. The original let circles be made. All links are made, and
 * what closes a circle is cut by what finds circles in a session.
 */
#include <string.h>

#include "import.h"
#include "scan.h"
#include "sql.h"
#include "tasks.h"

/* A dependency may be said twice: in the metadata and in a table of its own. */
static int make(struct import *import, int64_t row, int64_t other, bool is_parent) {
    if (sql_run(import->work,
                is_parent ? "UPDATE tasks SET parent = ?2 WHERE id = ?1"
                          : "INSERT INTO task_dependencies (task, prerequisite) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
                "ii", row, other) < 0)
        return -1;
    import->links += sqlite3_changes64(theseus_db(import->work->tasks->ctx));
    return 0;
}

static int link_one(struct import *import, const json_t *wanted) {
    int64_t row = json_integer_value(json_array_get(wanted, 0));
    const char *kind = json_string_value(json_array_get(wanted, 2)),
               *name = json_string_value(json_array_get(wanted, 3));
    int64_t other = json_integer_value(json_object_get(import->ids, name));

    import->table = "tasks";
    import->id = json_string_value(json_array_get(wanted, 1));
    if (!other)
        import_lose(import, "its %s '%.60s' is not there", kind, name);
    else if (other == row)
        import_lose(import, "its %s is the task itself", kind);
    return !other || other == row ? 0 : make(import, row, other, strcmp(kind, "parent") == 0);
}

/* Rows of task_dependencies, where there is such a table. Only what is new here gets any. */
static int want_row(struct import *import, sqlite3_stmt *row) {
    if (!import_row(import, row, "task_dependencies"))
        return 0;
    const char *other = import_text(import, row, 1);
    json_t *here = json_object_get(import->ids, import->id);
    if (!here)
        import_lose(import, "the task is not there");
    if (!here || !other || !json_object_get(import->fresh, import->id))
        return 0;
    json_t *link = json_pack("[O, s, s, s]", here, import->id, "dependency", other);
    return json_array_append_new(import->wanted, link) < 0 ? work_no_memory(import->work) : 0;
}

static int read_table(struct import *import) {
    struct theseus_error err = {0};

    if (!source_has(&import->source, "task_dependencies", "dependency_id"))
        return 0;
    sqlite3_stmt *rows = source_query(
        &import->source, "SELECT task_id, dependency_id FROM task_dependencies ORDER BY task_id, dependency_id", &err);
    int r = 0, step = SQLITE_ERROR;
    while (rows && r == 0 && (step = sqlite3_step(rows)) == SQLITE_ROW)
        r = want_row(import, rows);
    if (r == 0 && step != SQLITE_DONE)
        r = import_broken(import);
    (void)sqlite3_finalize(rows);
    return r;
}

/* What it has cut, among the losses. */
static int cut_circles(struct import *import) {
    struct scan scan = {.work = import->work,
                        .scope = SCAN_SESSION,
                        .id = import->work->session.id,
                        .mends = true,
                        .max = IMPORT_LOST_SHOWN,
                        .problems = json_array()};
    const json_t *one;
    size_t i;
    int r = scan.problems ? scan_circles(&scan) : work_no_memory(import->work);

    json_array_foreach (scan.problems, i, one) {
        const char *id = json_string_value(json_object_get(one, "task_id"));
        import->id = id ? id : "";
        import_lose(import, "a cycle is cut: %s", json_string_value(json_object_get(one, "text")));
    }
    import->id = "";
    import->lost_count += scan.found - (int64_t)json_array_size(scan.problems);
    json_decref(scan.problems);
    return r;
}

int import_links(struct import *import) {
    const json_t *one;
    size_t i;

    if (read_table(import) < 0)
        return -1;
    json_array_foreach (import->wanted, i, one)
        if (link_one(import, one) < 0)
            return -1;
    return import->tasks.taken > 0 ? cut_circles(import) : 0;
}
