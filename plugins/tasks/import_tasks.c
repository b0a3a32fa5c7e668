/* The original's tasks. What they are linked to is only noted: it may come later. */
#include <ctype.h>
#include <string.h>

#include "active.h"
#include "clock.h"
#include "import.h"
#include "sql.h"
#include "tasks.h"

enum { NAME_ATTEMPTS = 8, NAME_MAX_BYTES = 64 };

enum { ID, SESSION, PARENT, TYPE, STATUS, TITLE, DESCRIPTION, METADATA, CREATED, UPDATED, COMPLETED, COLUMNS };

static const char *const columns[COLUMNS] = {
    [ID] = "id",
    [SESSION] = "session_id",
    [PARENT] = "parent_task_id",
    [TYPE] = "type",
    [STATUS] = "status",
    [TITLE] = "title",
    [DESCRIPTION] = "description",
    [METADATA] = "metadata",
    [CREATED] = "created_at",
    [UPDATED] = "updated_at",
    [COMPLETED] = "completed_at",
};

/* As it will be here. */
struct taken {
    sqlite3_stmt *row;
    const char *title, *description, *task_type, *complexity, *specialist, *status, *due_date, *reason;
    char task_id[NAME_MAX_BYTES + 1];
    struct text effort;
    json_t *metadata, *context; /* owned */
    char *context_text;         /* owned */
    int64_t created_at, updated_at, completed_at;
};

static void taken_fini(struct taken *taken) {
    text_fini(&taken->effort);
    json_decref(taken->metadata);
    json_decref(taken->context);
    free(taken->context_text);
}

/* ---- reading ---- */

static const char *word(struct import *import, enum import_kind kind, const char *theirs, const char *missing) {
    const char *ours = theirs && *theirs ? import_word(kind, theirs) : missing;
    static const char *const names[] = {[IMPORT_STATUS] = "status",
                                        [IMPORT_TYPE] = "type",
                                        [IMPORT_COMPLEXITY] = "complexity",
                                        [IMPORT_SPECIALIST] = "specialist_type"};

    if (!ours)
        import_lose(import, "its %s '%.40s' is not known here; it is '%s' now", names[kind], theirs, missing);
    return ours ? ours : missing;
}

/* Takes a text out of the metadata: what stays in there has no place of its own. Borrowed from `keep`. */
static const char *take_text(struct taken *taken, json_t *keep, const char *key) {
    json_t *value = json_object_get(taken->metadata, key);

    if (json_is_null(value))
        (void)json_object_del(taken->metadata, key);
    if (!json_is_string(value) || strlen(json_string_value(value)) != json_string_length(value) ||
        json_object_set(keep, key, value) < 0)
        return NULL;
    (void)json_object_del(taken->metadata, key);
    return json_string_value(json_object_get(keep, key));
}

static void read_effort(struct taken *taken) {
    json_t *value = json_object_get(taken->metadata, "estimated_effort");

    if (json_is_string(value))
        text_print(&taken->effort, "%s", json_string_value(value));
    else if (json_is_number(value))
        text_print(&taken->effort, "%g", json_number_value(value));
    if (taken->effort.len || json_is_null(value))
        (void)json_object_del(taken->metadata, "estimated_effort");
}

static void read_due_date(struct import *import, struct taken *taken, json_t *keep) {
    const char *date = take_text(taken, keep, "due_date");
    int64_t ms;

    if (!date || !*date)
        return;
    if (clock_parse(date, &ms))
        taken->due_date = date;
    else
        import_lose(import, "its due_date '%.40s' is no date", date);
}

/* {…, "imported": {"session_id": …, "metadata": {…}}}: nothing that it knew is lost. */
static int read_context(struct import *import, struct taken *taken) {
    const char *session = import_text(import, taken->row, SESSION);
    json_t *context = json_object_get(taken->metadata, "context");
    json_auto_t *imported = json_pack("{s:s*}", "session_id", session && *session ? session : NULL);

    taken->context = json_is_object(context) ? json_incref(context) : json_object();
    if (json_is_object(context))
        (void)json_object_del(taken->metadata, "context");
    if (json_object_size(taken->metadata) > 0)
        (void)json_object_set(imported, "metadata", taken->metadata);
    if (json_object_size(imported) > 0)
        (void)json_object_set(taken->context, "imported", imported);
    if (json_object_size(taken->context) == 0)
        return 0;
    taken->context_text = json_dumps(taken->context, JSON_COMPACT);
    return taken->context_text ? 0 : work_no_memory(import->work);
}

/* A completed one has the time of its end, and no other has. */
static void read_times(struct import *import, struct taken *taken) {
    int64_t now = import->work->now, end = import_time(import, taken->row, COMPLETED, 0);
    bool is_archived = strcmp(taken->status, "archived") == 0;

    taken->created_at = import_time(import, taken->row, CREATED, now);
    taken->updated_at = import_time(import, taken->row, UPDATED, taken->created_at);
    if (strcmp(taken->status, "completed") == 0)
        taken->completed_at = end ? end : taken->updated_at;
    else if (is_archived)
        taken->completed_at = end;
}

static void read_title(struct import *import, struct taken *taken) {
    taken->title = import_text(import, taken->row, TITLE);
    taken->description = import_text(import, taken->row, DESCRIPTION);
    if (!taken->description)
        taken->description = "";
    if (!taken->title || !*taken->title) {
        taken->title = "Untitled task";
        import_lose(import, "it has no title; it is '%s' now", taken->title);
    }
}

static int read_row(struct import *import, struct taken *taken, json_t *keep) {
    taken->metadata = import_metadata_new(import, taken->row, METADATA);
    if (!taken->metadata)
        return work_no_memory(import->work);
    read_title(import, taken);
    json_t *reason = json_object_get(json_object_get(taken->metadata, "cancellation"), "reason");
    if (json_is_string(reason) && json_object_set(keep, "reason", reason) == 0)
        taken->reason = json_string_value(reason); /* it stays where it is, too */
    taken->status = word(import, IMPORT_STATUS, import_text(import, taken->row, STATUS), "pending");
    taken->task_type = word(import, IMPORT_TYPE, import_text(import, taken->row, TYPE), "standard");
    taken->complexity = word(import, IMPORT_COMPLEXITY, take_text(taken, keep, "complexity"), "moderate");
    taken->specialist = word(import, IMPORT_SPECIALIST, take_text(taken, keep, "specialist_type"), "generic");
    read_effort(taken);
    read_due_date(import, taken, keep);
    read_times(import, taken);
    return 0;
}

/* ---- links ---- */

static int want(struct import *import, int64_t row, const char *kind, const char *other) {
    json_t *link = json_pack("[I, s, s, s]", (json_int_t)row, import->id, kind, other);

    return json_array_append_new(import->wanted, link) < 0 ? work_no_memory(import->work) : 0;
}

/* Out of the metadata, before what is left of that goes into the context. `row` is not known yet: 0. */
static int want_dependencies(struct import *import, struct taken *taken) {
    json_t *list = json_object_get(taken->metadata, "dependencies"), *one;
    size_t i;

    json_array_foreach (list, i, one) {
        if (!json_is_string(one))
            import_lose(import, "its dependency %zu is no id of a task", i + 1);
        else if (want(import, 0, "dependency", json_string_value(one)) < 0)
            return -1;
    }
    (void)json_object_del(taken->metadata, "dependencies");
    return 0;
}

static void name_row(struct import *import, size_t first, int64_t row) {
    for (size_t i = first; i < json_array_size(import->wanted); i++)
        (void)json_array_set_new(json_array_get(import->wanted, i), 0, json_integer((json_int_t)row));
}

/* ---- storing ---- */

/* Its own name, where that is free and one of ours could be like it. */
static bool may_keep(const char *id) {
    size_t len = strlen(id), i = 0;

    while (i < len && (isalnum((unsigned char)id[i]) || id[i] == '_' || id[i] == '-'))
        i++;
    return len > 0 && len <= NAME_MAX_BYTES && i == len;
}

static int choose_name(struct import *import, struct taken *taken, int attempt) {
    char made[ID_TEXT];
    int64_t there = 0;

    if (attempt == 0 && may_keep(import->id)) {
        if (sql_number(import->work, 0, &there, "SELECT 1 FROM tasks WHERE task_id = ?1", "s", import->id) < 0)
            return -1;
        (void)snprintf(taken->task_id, sizeof(taken->task_id), "%s", import->id);
        if (!there)
            return 0;
    }
    id_make(&import->work->tasks->ids, "task", made);
    (void)snprintf(taken->task_id, sizeof(taken->task_id), "%s", made);
    return 0;
}

static int insert(struct import *import, const struct taken *taken) {
    return sql_run(import->work,
                   "INSERT INTO tasks (task_id, session, title, description, task_type, complexity, specialist_type, "
                   "status, estimated_effort, due_date, context, reason, created_at, updated_at, completed_at) "
                   "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
                   "sissssssssssiio", taken->task_id, import->work->session.id, taken->title, taken->description,
                   taken->task_type, taken->complexity, taken->specialist, taken->status, taken->effort.data,
                   taken->due_date, taken->context_text, taken->reason, taken->created_at, taken->updated_at,
                   taken->completed_at);
}

static int store(struct import *import, struct taken *taken, int64_t *ret_row) {
    for (int attempt = 0; attempt < NAME_ATTEMPTS; attempt++) {
        if (choose_name(import, taken, attempt) < 0)
            return -1;
        if (insert(import, taken) == 0) {
            import->work->broken = false;
            import->work->err = (struct theseus_error){0};
            *ret_row = sqlite3_last_insert_rowid(theseus_db(import->work->tasks->ctx));
            if (strcmp(taken->task_id, import->id) != 0)
                import_lose(import, "its id: it is %s now", taken->task_id);
            return 0;
        }
        if (!sql_is_duplicate(import->work))
            return -1;
    }
    return -1;
}

/* ---- one row, all rows ---- */

static int take_new(struct import *import, sqlite3_stmt *row, const char *origin, int64_t *ret_row) {
    CLEANUP(taken_fini) struct taken taken = {.row = row};
    size_t first = json_array_size(import->wanted);
    json_auto_t *keep = json_object();

    if (!keep || read_row(import, &taken, keep) < 0)
        return import->work->err.code ? -1 : work_no_memory(import->work);
    const char *parent = import_text(import, row, PARENT);
    if ((parent && *parent && want(import, 0, "parent", parent) < 0) || want_dependencies(import, &taken) < 0 ||
        read_context(import, &taken) < 0 || store(import, &taken, ret_row) < 0 ||
        import_remember(import, origin, *ret_row, 0) < 0)
        return -1;
    name_row(import, first, *ret_row);
    import->tasks.taken++;
    return json_object_set_new(import->fresh, import->id, json_true()) < 0 ? work_no_memory(import->work) : 0;
}

static int take_row(struct import *import, sqlite3_stmt *row) {
    CLEANUP(text_fini) struct text origin = {0};
    int64_t here = 0;

    import->tasks.found++;
    if (!import_row(import, row, "tasks"))
        return 0;
    const char *created = sql_text(row, CREATED);
    text_print(&origin, "task %s %s", import->id, created ? created : "");
    if (origin.failed)
        return work_no_memory(import->work);
    int r = import_find(import, origin.data, "task", &here);
    if (r < 0 || (r == 0 && take_new(import, row, origin.data, &here) < 0))
        return -1;
    import->tasks.known += r > 0;
    if (here && json_object_set_new(import->ids, import->id, json_integer((json_int_t)here)) < 0)
        return work_no_memory(import->work);
    return 0;
}

/* A column that an older version did not have yet is empty. */
static void print_select(const struct import *import, struct text *sql) {
    for (int i = 0; i < COLUMNS; i++) {
        bool is_there = source_has(&import->source, "tasks", columns[i]);
        text_print(sql, "%s%s AS %s", i ? ", " : "SELECT ", is_there ? columns[i] : "NULL", columns[i]);
    }
    text_print(sql, " FROM tasks ORDER BY created_at, id");
}

int import_tasks(struct import *import) {
    CLEANUP(text_fini) struct text sql = {0};
    struct theseus_error err = {0};

    print_select(import, &sql);
    if (sql.failed)
        return work_no_memory(import->work);
    sqlite3_stmt *rows = source_query(&import->source, sql.data, &err);
    int r = 0, step = SQLITE_ERROR;
    while (rows && r == 0 && (step = sqlite3_step(rows)) == SQLITE_ROW)
        r = take_row(import, rows);
    if (r == 0 && step != SQLITE_DONE)
        r = import_broken(import);
    (void)sqlite3_finalize(rows);
    active_forget(import->work->tasks);
    return r;
}
