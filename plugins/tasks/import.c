#include "import.h"

#include <stdlib.h>
#include <string.h>

#include "artifact.h"
#include "clock.h"
#include "sql.h"

enum { DECODINGS = 3 };

/* ---- life ---- */

static void forget(struct import *import) {
    json_decref(import->ids);
    json_decref(import->fresh);
    json_decref(import->wanted);
    json_decref(import->lost);
}

static int find_room(struct work *work, struct text *into) {
    if (artifact_directory(work, into) < 0)
        return -1;
    into->len = (size_t)(strrchr(into->data, '/') - into->data);
    into->data[into->len] = '\0';
    return 0;
}

static int open_original(struct import *import, const char *path) {
    CLEANUP(text_fini) struct text room = {0};
    struct theseus_error err = {0};

    if (find_room(import->work, &room) < 0)
        return -1;
    if (source_open(&import->source, path, room.data, &err) < 0)
        return work_refuse(import->work, "%s", err.message);
    static const char *const needed[] = {"id", "type", "status", "title"};
    for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
        if (!source_has(&import->source, "tasks", needed[i]))
            return work_refuse(import->work,
                               "'%.150s' is no database of the original system: it has no table 'tasks' with a column "
                               "'%s'",
                               path, needed[i]);
    return 0;
}

struct import *import_new(struct work *work, const char *path) {
    struct import *import = calloc(1, sizeof(*import));

    if (!import) {
        (void)work_no_memory(work);
        return NULL;
    }
    if (import_begin(import, work) == 0 && open_original(import, path) == 0)
        return import;
    import_free(import);
    return NULL;
}

void import_free(void *arg) {
    struct import *import = arg;

    source_close(&import->source);
    forget(import);
    free(import);
}

int import_begin(struct import *import, struct work *work) {
    forget(import);
    *import = (struct import){.work = work,
                              .source = import->source,
                              .ids = json_object(),
                              .fresh = json_object(),
                              .wanted = json_array(),
                              .lost = json_array()};
    return import->ids && import->fresh && import->wanted && import->lost ? 0 : work_no_memory(work);
}

int import_broken(struct import *import) {
    return work_refuse(import->work, "'%.120s' cannot be read, and nothing is imported: %s", import->source.path.data,
                       sqlite3_errmsg(import->source.db));
}

/* ---- losses ---- */

void import_lose(struct import *import, const char *format, ...) {
    char *why = NULL;
    va_list args;

    if (++import->lost_count > IMPORT_LOST_SHOWN)
        return;
    va_start(args, format);
    int len = vasprintf(&why, format, args);
    va_end(args);
    if (len < 0) {
        import->failed = true;
        return;
    }
    json_t *one = json_pack("{s:s, s:s, s:s}", "table", import->table, "id", import->id, "why", why);
    if (json_array_append_new(import->lost, one) < 0)
        import->failed = true;
    free(why);
}

/* Whole, and what JSON takes as text. */
static bool is_sound(const char *text, int bytes) {
    json_t *copy = strlen(text) == (size_t)bytes ? json_string(text) : NULL;

    json_decref(copy);
    return copy != NULL;
}

bool import_row(struct import *import, sqlite3_stmt *row, const char *table) {
    const char *id = sql_text(row, 0);
    bool has_id = id && *id && is_sound(id, sqlite3_column_bytes(row, 0));

    import->table = table;
    import->id = has_id ? id : "";
    if (!has_id)
        import_lose(import, "the row has no id that is text");
    return has_id;
}

/* ---- of a row there ---- */

const char *import_text(struct import *import, sqlite3_stmt *row, int column) {
    const char *text = sql_text(row, column);

    if (!text || is_sound(text, sqlite3_column_bytes(row, column)))
        return text;
    import_lose(import, "its %s is no text: it holds a NUL, or bytes that are no UTF-8",
                sqlite3_column_name(row, column));
    return NULL;
}

json_t *import_metadata_new(struct import *import, sqlite3_stmt *row, int column) {
    const char *text = import_text(import, row, column);
    json_t *value = text && *text ? json_loads(text, JSON_DECODE_ANY, NULL) : json_null();

    for (int i = 1; i < DECODINGS && json_is_string(value); i++) {
        json_t *inner = json_loadb(json_string_value(value), json_string_length(value), JSON_DECODE_ANY, NULL);
        json_decref(value);
        value = inner;
    }
    if (json_is_object(value))
        return value;
    if (!json_is_null(value))
        import_lose(import, "its %s is no JSON object", sqlite3_column_name(row, column));
    json_decref(value);
    return json_object();
}

int64_t import_time(struct import *import, sqlite3_stmt *row, int column, int64_t missing) {
    const char *text = import_text(import, row, column);
    int64_t ms = missing;

    if (text && *text && !clock_parse(text, &ms))
        import_lose(import, "its %s '%.40s' is no time", sqlite3_column_name(row, column), text);
    return ms;
}

/* ---- what was taken before ---- */

int import_find(struct import *import, const char *origin, const char *column, int64_t *ret_row) {
    CLEANUP(text_fini) struct text sql = {0};

    text_print(&sql, "SELECT %s FROM task_origins WHERE origin = ?1", column);
    if (sql.failed)
        return work_no_memory(import->work);
    CLEANUP(sql_done) sqlite3_stmt *row = sql_query(import->work, sql.data, "s", origin);
    int r = sql_next(import->work, row);
    if (r > 0)
        *ret_row = sqlite3_column_int64(row, 0);
    return r;
}

int import_remember(struct import *import, const char *origin, int64_t task, int64_t artifact) {
    return sql_run(import->work, "INSERT INTO task_origins (origin, task, artifact) VALUES (?1, ?2, ?3)", "soo", origin,
                   task, artifact);
}
