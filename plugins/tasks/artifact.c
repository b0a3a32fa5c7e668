#include "artifact.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "sql.h"
#include "task.h"
#include "tasks.h"

int artifact_directory(struct work *work, struct text *into) {
    sqlite3 *db = theseus_db(work->tasks->ctx);
    const char *path = db ? sqlite3_db_filename(db, "main") : NULL, *slash = path ? strrchr(path, '/') : NULL;

    if (!slash)
        return sql_fail(work);
    text_print(into, "%.*s/artifacts", (int)(slash - path), path);
    return into->failed ? work_no_memory(work) : 0;
}

int artifact_path(struct work *work, const char *hash, struct text *into) {
    if (artifact_directory(work, into) < 0)
        return -1;
    text_print(into, "/%s", hash);
    return into->failed ? work_no_memory(work) : 0;
}

bool artifact_needs_file(const json_t *content) {
    size_t len = json_string_length(content);

    return len > ARTIFACT_INLINE || (len > 0 && strlen(json_string_value(content)) != len);
}

int artifact_store_file(struct work *work, const json_t *content) {
    const char *bytes = json_string_value(content);
    CLEANUP(text_fini) struct text directory = {0};
    size_t len = json_string_length(content);
    struct theseus_error err = {0};

    work->hash[0] = '\0';
    if (!artifact_needs_file(content))
        return 0;
    if (artifact_directory(work, &directory) < 0)
        return -1;
    file_hash(bytes, len, work->hash);
    if (file_store(directory.data, work->hash, bytes, len, &err) < 0)
        return work_refuse(work, "the work is not stored, and the task is as it was: %s", err.message);
    return 0;
}

int artifact_add(struct work *work, const struct artifact *artifact, char ret_id[static ID_TEXT]) {
    bool has_paths = json_array_size(artifact->file_paths) > 0, in_file = work->hash[0];
    CLEANUP(memory_free) char *paths = has_paths ? json_dumps(artifact->file_paths, JSON_COMPACT) : NULL;

    if (has_paths && !paths)
        return work_no_memory(work);
    id_make(&work->tasks->ids, "artifact", ret_id);
    return sql_run(work,
                   "INSERT INTO task_artifacts (artifact_id, task, artifact_type, next_action, summary, content, hash, "
                   "bytes, file_paths, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
                   "sisssssisi", ret_id, artifact->task, artifact->type, artifact->next_action, artifact->summary,
                   in_file ? NULL : artifact->content, in_file ? work->hash : NULL, (int64_t)artifact->len, paths,
                   artifact->created_at ? artifact->created_at : work->now);
}

int artifact_check(struct work *work, const char *hash, int64_t bytes, bool deep, bool *ret_whole) {
    CLEANUP(text_fini) struct text path = {0};

    if (artifact_path(work, hash, &path) == 0)
        return file_check(path.data, hash, bytes, deep, ret_whole);
    errno = ENOMEM;
    return -1;
}

/* ---- as JSON ---- */

/*
 * Columns: artifact_id, artifact_type, next_action, summary, content, hash, bytes, file_paths, created_at.
 * *ret_content NULL: its file is not there, or holds something else than was handed in; nobody is to build on that.
 */
static int read_content(struct work *work, sqlite3_stmt *row, json_t **ret_content) {
    CLEANUP(text_fini) struct text path = {0}, content = {0};
    const char *hash = sql_text(row, 5);
    char is[65];

    *ret_content = hash ? NULL : json_string(sql_text(row, 4));
    if (!hash)
        return 0;
    if (artifact_path(work, hash, &path) < 0)
        return -1;
    if (file_read(path.data, &content) < 0) /* the row says that it is missing once maintenance has seen that */
        return errno == ENOENT || errno == ENOTDIR ? 0
                                                   : work_refuse(work, "the file of artifact '%s' cannot be read: %s",
                                                                 sql_text(row, 0), strerror(errno));
    file_hash(content.data ? content.data : "", content.len, is);
    *ret_content = strcmp(is, hash) == 0 ? json_stringn(content.data ? content.data : "", content.len) : NULL;
    return 0;
}

/* A new reference. */
static int make_row(struct work *work, sqlite3_stmt *row, bool with_content, json_t **ret_object) {
    json_t *content = NULL;

    if (with_content && read_content(work, row, &content) < 0)
        return -1;
    size_t len = text_fitting(sql_text(row, 3), with_content ? (size_t)-2 : 60);
    json_t *object = json_pack("{s:s, s:s, s:s%}", "artifact_id", sql_text(row, 0), "artifact_type", sql_text(row, 1),
                               "summary", sql_text(row, 3), len);

    *ret_object = object;
    if (!object || !with_content) {
        json_decref(content);
        return object ? 0 : work_no_memory(work);
    }
    (void)json_object_set_new(object, "next_action", json_string(sql_text(row, 2)));
    (void)json_object_set_new(object, "bytes", json_integer(sqlite3_column_int64(row, 6)));
    task_set_time(object, "created_at", sqlite3_column_int64(row, 8));
    if (sql_text(row, 7))
        (void)json_object_set_new(object, "file_paths", json_loads(sql_text(row, 7), JSON_ALLOW_NUL, NULL));
    (void)json_object_set_new(object, content ? "content" : "missing", content ? content : json_true());
    return 0;
}

json_t *artifact_list_new(struct work *work, int64_t task, int64_t limit, bool with_content) {
    CLEANUP(sql_done)
    sqlite3_stmt *rows = sql_query(work,
                                   "SELECT artifact_id, artifact_type, next_action, summary, content, hash, bytes, "
                                   "file_paths, created_at FROM task_artifacts WHERE id IN (SELECT id FROM "
                                   "task_artifacts WHERE task = ?1 ORDER BY id DESC LIMIT ?2) ORDER BY id",
                                   "ii", task, limit);
    json_t *list = json_array(), *object = NULL;
    int r;

    while ((r = sql_next(work, rows)) > 0 && (r = make_row(work, rows, with_content, &object)) == 0)
        (void)json_array_append_new(list, object);
    if (r == 0 && list)
        return list;
    json_decref(list);
    if (r == 0)
        (void)work_no_memory(work);
    return NULL;
}
