/*
 * The original's artifacts: those in its table, and those that it has written into files beside its database, named
 * TASK_artifact_NUMBER.txt, of which no table knows.
 */
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "artifact.h"
#include "file.h"
#include "import.h"
#include "sql.h"
#include "tasks.h"
#include "words.h"

enum { FILE_MAX_BYTES = 64 << 20 };

#define FILE_MARK "_artifact_"

/* One, wherever it is from. */
struct found {
    const char *task; /* its id there */
    const char *type, *summary, *next_action;
    json_t *content;  /* owned: text */
    json_t *metadata; /* owned; NULL: there is none */
    int64_t created_at;
    struct text origin;
};

static void found_fini(struct found *found) {
    json_decref(found->content);
    json_decref(found->metadata);
    text_fini(&found->origin);
}

typedef int found_fn(struct import *import, const struct found *found);

static const char *text_or(const json_t *object, const char *key, const char *missing) {
    const json_t *value = json_object_get(object, key);
    const char *text = json_string_value(value);

    return text && *text && strlen(text) == json_string_length(value) ? text : missing;
}

/* ---- rows ---- */

enum { ID, TASK, TYPE, NAME, CONTENT, METADATA, CREATED, COLUMNS };

static const char *const columns[COLUMNS] = {
    [ID] = "id",           [TASK] = "task_id",      [TYPE] = "type",          [NAME] = "name",
    [CONTENT] = "content", [METADATA] = "metadata", [CREATED] = "created_at",
};

static bool is_action(const char *word) {
    return words_has("[\"continue\", \"needs_revision\", \"blocked\", \"complete\"]", word);
}

static int read_row(struct import *import, sqlite3_stmt *row, struct found *found) {
    const char *type = import_text(import, row, TYPE), *name = import_text(import, row, NAME),
               *created = sql_text(row, CREATED);

    found->task = import_text(import, row, TASK);
    found->type = type && *type ? type : "general";
    found->metadata = import_metadata_new(import, row, METADATA);
    found->summary = text_or(found->metadata, "summary", name && *name ? name : found->type);
    const char *next_action = text_or(found->metadata, "next_action", "complete");
    found->next_action = is_action(next_action) ? next_action : "complete";
    found->created_at = import_time(import, row, CREATED, import->work->now);
    text_print(&found->origin, "artifact %s %s", import->id, created ? created : "");
    if (sqlite3_column_type(row, CONTENT) != SQLITE_NULL) {
        const char *bytes = sql_text(row, CONTENT);
        found->content = json_stringn(bytes ? bytes : "", (size_t)sqlite3_column_bytes(row, CONTENT));
    }
    return found->origin.failed || !found->metadata ? work_no_memory(import->work) : 0;
}

static int each_row(struct import *import, sqlite3_stmt *row, found_fn *then) {
    CLEANUP(found_fini) struct found found = {0};
    bool has_none = sqlite3_column_type(row, CONTENT) == SQLITE_NULL;

    import->artifacts.found++;
    if (!import_row(import, row, "task_artifacts"))
        return 0;
    if (read_row(import, row, &found) < 0)
        return -1;
    if (!found.content)
        import_lose(import,
                    has_none ? "it has no content" : "its content is no text: it holds bytes that are no UTF-8");
    return found.content && found.task ? then(import, &found) : 0;
}

static void print_select(const struct import *import, struct text *sql) {
    for (int i = 0; i < COLUMNS; i++) {
        bool is_there = source_has(&import->source, "task_artifacts", columns[i]);
        text_print(sql, "%s%s AS %s", i ? ", " : "SELECT ", is_there ? columns[i] : "NULL", columns[i]);
    }
    text_print(sql, " FROM task_artifacts ORDER BY created_at, id");
}

static int each_in_table(struct import *import, found_fn *then) {
    CLEANUP(text_fini) struct text sql = {0};
    struct theseus_error err = {0};

    if (!source_has(&import->source, "task_artifacts", "id"))
        return 0;
    print_select(import, &sql);
    if (sql.failed)
        return work_no_memory(import->work);
    sqlite3_stmt *rows = source_query(&import->source, sql.data, &err);
    int r = 0, step = SQLITE_ERROR;
    while (rows && r == 0 && (step = sqlite3_step(rows)) == SQLITE_ROW)
        r = each_row(import, rows, then);
    if (r == 0 && step != SQLITE_DONE)
        r = import_broken(import);
    (void)sqlite3_finalize(rows);
    return r;
}

/* ---- files ---- */

static void read_content(struct import *import, const char *path, const struct stat *st, struct found *found) {
    CLEANUP(text_fini) struct text content = {0};

    if (!S_ISREG(st->st_mode) || st->st_size > FILE_MAX_BYTES) {
        import_lose(import, "it is no file of at most %d bytes", (int)FILE_MAX_BYTES);
        return;
    }
    if (file_read(path, &content) < 0) {
        import_lose(import, "it cannot be read");
        return;
    }
    found->content = json_stringn(content.data ? content.data : "", content.len);
    if (!found->content)
        import_lose(import, "it holds bytes that are no UTF-8");
}

/* `name` is cut behind the task's id. */
static int each_file(struct import *import, const char *directory, char *name, found_fn *then) {
    CLEANUP(found_fini) struct found found = {.type = "general", .next_action = "complete"};
    CLEANUP(text_fini) struct text path = {0}, summary = {0};
    char *mark = strstr(name, FILE_MARK);
    struct stat st;

    text_print(&path, "%s/%s", directory, name);
    text_print(&summary, "imported from %s", name);
    text_print(&found.origin, "file %s", name);
    if (path.failed || summary.failed || found.origin.failed)
        return work_no_memory(import->work);
    bool seen = stat(path.data, &st) == 0;
    if (!seen && errno == ENOENT)
        return 0; /* it has just gone */
    import->artifacts.found++;
    import->table = "artifacts";
    import->id = found.origin.data + strlen("file ");
    if (!seen) {
        import_lose(import, "it cannot be read");
        return 0;
    }
    read_content(import, path.data, &st, &found);
    *mark = '\0';
    found.task = name;
    found.summary = summary.data;
    found.created_at = (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000;
    return found.content ? then(import, &found) : 0;
}

static bool is_artifact(const char *name) {
    size_t len = strlen(name);
    json_t *sound = json_string(name);

    json_decref(sound);
    return sound && strstr(name, FILE_MARK) > name && len > 4 && strcmp(name + len - 4, ".txt") == 0;
}

static int compare(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int each_in_directory(struct import *import, found_fn *then) {
    const char *path = import->source.path.data;
    CLEANUP(text_fini) struct text directory = {0};
    struct dirent **entries = NULL;
    int r = 0;

    text_print(&directory, "%.*s/artifacts", (int)(strrchr(path, '/') - path), path);
    if (directory.failed)
        return work_no_memory(import->work);
    int count = scandir(directory.data, &entries, NULL, compare);
    if (count < 0 && errno != ENOENT && errno != ENOTDIR) /* most have none */
        return work_refuse(import->work, "'%.120s' cannot be read, and nothing is imported: %s", directory.data,
                           strerror(errno));
    for (int i = 0; i < count; i++) {
        if (r == 0 && is_artifact(entries[i]->d_name))
            r = each_file(import, directory.data, entries[i]->d_name, then);
        free(entries[i]);
    }
    free(entries);
    return r;
}

/* ---- what is done with them ---- */

static int each(struct import *import, found_fn *then) {
    return each_in_table(import, then) < 0 || each_in_directory(import, then) < 0 ? -1 : 0;
}

static int store_file(struct import *import, const struct found *found) {
    return artifact_store_file(import->work, found->content);
}

int import_store_files(struct import *import) {
    int r = each(import, store_file);

    import->work->hash[0] = '\0';
    return r;
}

static int add(struct import *import, const struct found *found, int64_t task) {
    struct artifact artifact = {.task = task,
                                .type = found->type,
                                .next_action = found->next_action,
                                .summary = found->summary,
                                .content = json_string_value(found->content),
                                .len = json_string_length(found->content),
                                .file_paths = json_object_get(found->metadata, "file_paths"),
                                .created_at = found->created_at};
    char artifact_id[ID_TEXT];

    import->work->hash[0] = '\0';
    if (artifact_needs_file(found->content))
        file_hash(artifact.content, artifact.len, import->work->hash); /* it is there already */
    if (artifact_add(import->work, &artifact, artifact_id) < 0)
        return -1;
    import->work->hash[0] = '\0';
    import->artifacts.taken++;
    return import_remember(import, found->origin.data, 0,
                           sqlite3_last_insert_rowid(theseus_db(import->work->tasks->ctx)));
}

static int take(struct import *import, const struct found *found) {
    int64_t task = json_integer_value(json_object_get(import->ids, found->task)), here;
    int r = import_find(import, found->origin.data, "artifact", &here);

    import->artifacts.known += r > 0;
    if (r != 0)
        return r < 0 ? -1 : 0;
    if (task)
        return add(import, found, task);
    import_lose(import, "its task '%.60s' is not there", found->task);
    return 0;
}

int import_artifacts(struct import *import) {
    return each(import, take);
}
