/*
 * orchestrator_import: what `theseus import FILE` calls. The original's database is opened, and large artifacts are
 * written, before the transaction in which everything else comes over, or nothing.
 */
#include <string.h>
#include <sys/stat.h>

#include "import.h"
#include "session.h"
#include "sql.h"
#include "tasks.h"
#include "tool.h"
#include "words.h"

const char import_input[] =
    INPUT("\"file\": {\"type\": \"string\", \"minLength\": 1, \"description\": \"its tasks.sqlite\"}", "\"file\"");
const char import_output[] = OUTPUT("\"working_directory\": " STRING ", \"tasks\": " OBJECT ", \"artifacts\": " OBJECT
                                    ", \"links\": " INTEGER ", \"not_taken\": " LIST ", \"not_taken_total\": " INTEGER,
                                    "\"session_id\", \"tasks\", \"artifacts\", \"not_taken\", \"not_taken_total\"");

/* Whoever opens the own database beside SQLite and closes it again takes away the locks of this process. */
static bool is_own(const struct work *work, const char *path) {
    sqlite3 *db = theseus_db(work->tasks->ctx);
    const char *own = db ? sqlite3_db_filename(db, "main") : NULL;
    struct stat a, b;

    return own && stat(own, &a) == 0 && stat(path, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

int tool_import_prepare(struct work *work) {
    CLEANUP(text_fini) struct text path = {0};
    const char *file = work_string(work, "file");

    session_directory(work, file, &path); /* as the caller means it */
    if (path.failed)
        return work_no_memory(work);
    if (is_own(work, path.data))
        return work_refuse(work, "'%.120s' is this server's own database", path.data);
    struct import *import = import_new(work, path.data);
    work->prepared = import;
    return import && import_store_files(import) == 0 ? 0 : -1;
}

/* The session that tasks of it came into before, else the open one of its directory, else a new one. */
static int find_session(struct import *import) {
    struct work *work = import->work;
    const char *project = import->source.project.data;
    CLEANUP(sql_done)
    sqlite3_stmt *row = sql_query(work,
                                  "SELECT session_id FROM task_sessions WHERE directory = ?1 AND state = 'open' "
                                  "ORDER BY id DESC LIMIT 1",
                                  "s", project);
    int r = sql_next(work, row);

    if (r > 0)
        r = session_get(work, sql_text(row, 0));
    else if (r == 0)
        r = session_make(work, project);
    return r;
}

static json_t *count_new(const struct import_count *count) {
    return json_pack("{s:I, s:I, s:I}", "found", (json_int_t)count->found, "imported", (json_int_t)count->taken,
                     "imported_before", (json_int_t)count->known);
}

static void print_count(struct text *into, const char *what, const struct import_count *count) {
    text_print(into, "%lld of %lld %s imported", (long long)count->taken, (long long)count->found, what);
    if (count->known)
        text_print(into, ", %lld were before", (long long)count->known);
    text_print(into, "\n");
}

static int answer(struct import *import) {
    struct work *work = import->work;
    const json_t *one;
    size_t i;

    work->value = json_pack("{s:s, s:s, s:o, s:o, s:I, s:O, s:I}", "session_id", work->session.session_id,
                            "working_directory", import->source.project.data, "tasks", count_new(&import->tasks),
                            "artifacts", count_new(&import->artifacts), "links", (json_int_t)import->links, "not_taken",
                            import->lost, "not_taken_total", (json_int_t)import->lost_count);
    if (!work->value || import->failed)
        return work_no_memory(work);
    print_count(&work->text, "tasks", &import->tasks);
    print_count(&work->text, "artifacts", &import->artifacts);
    if (import->lost_count)
        text_print(&work->text, "Not taken, or not as it was (%lld):\n", (long long)import->lost_count);
    json_array_foreach (import->lost, i, one)
        text_print(&work->text, "  %s '%s': %s\n", json_string_value(json_object_get(one, "table")),
                   json_string_value(json_object_get(one, "id")), json_string_value(json_object_get(one, "why")));
    text_print(&work->text, "They are in session %s, of %s", work->session.session_id, import->source.project.data);
    return 0;
}

int tool_import(struct work *work) {
    struct import *import = work->prepared;

    if (import_begin(import, work) < 0 || find_session(import) < 0 || import_tasks(import) < 0 ||
        import_links(import) < 0 || import_artifacts(import) < 0 || session_touch(work) < 0)
        return -1;
    return answer(import);
}
