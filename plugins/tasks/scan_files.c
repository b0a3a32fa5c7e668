/* Artifacts against their files. */
#include "scan.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "artifact.h"
#include "sql.h"

enum { STRAY_MS = 3600 * 1000 }; /* a file is older than the call that wrote it can be */

static int look(struct scan *scan, sqlite3_stmt *row) {
    const char *hash = sql_text(row, 3);
    bool was_missing = sqlite3_column_int(row, 5);
    bool is_there = false;

    if (artifact_check(scan->work, hash, sqlite3_column_int64(row, 4), scan->level >= SCAN_FULL, &is_there) < 0)
        return scan_note(scan, "unreadable_artifact", sql_text(row, 2), false,
                         "the file of %s cannot be read (%s): artifacts/%s", sql_text(row, 1), strerror(errno), hash);
    if (is_there != was_missing)
        return 0; /* as it is known */
    if (scan->mends && sql_run(scan->work, "UPDATE task_artifacts SET missing = ?2 WHERE id = ?1", "ii",
                               sqlite3_column_int64(row, 0), (int64_t)!is_there) < 0)
        return -1;
    if (is_there)
        return 0;
    return scan_note(scan, "missing_artifact", sql_text(row, 2), scan->mends,
                     "the file of %s is missing or has another content: artifacts/%s", sql_text(row, 1), hash);
}

int scan_artifacts(struct scan *scan) {
    CLEANUP(text_fini) struct text sql = {0};
    int r;

    scan_print_sql(scan, &sql,
                   "SELECT a.id, a.artifact_id, t.task_id, a.hash, a.bytes, a.missing FROM tasks t "
                   "JOIN task_artifacts a ON a.task = t.id",
                   " AND a.hash IS NOT NULL ORDER BY a.id");
    if (sql.failed)
        return work_no_memory(scan->work);
    CLEANUP(sql_done) sqlite3_stmt *rows = sql_query(scan->work, sql.data, "i", scan->id);
    while ((r = sql_next(scan->work, rows)) > 0)
        if (look(scan, rows) < 0)
            return -1;
    return r;
}

static bool is_old(const struct scan *scan, const char *path) {
    struct stat st;

    return stat(path, &st) == 0 && (int64_t)st.st_mtim.tv_sec * 1000 < scan->work->now - STRAY_MS;
}

static int look_at_file(struct scan *scan, const char *directory, const char *name) {
    CLEANUP(text_fini) struct text path = {0};
    int64_t rows = 0;

    text_print(&path, "%s/%s", directory, name);
    if (path.failed || name[0] == '.' || !is_old(scan, path.data))
        return 0;
    if (sql_number(scan->work, 0, &rows, "SELECT count(*) FROM task_artifacts WHERE hash = ?1", "s", name) < 0)
        return -1;
    if (rows > 0)
        return 0;
    bool removed = scan->mends && unlink(path.data) == 0;
    return scan_note(scan, "stray_file", NULL, removed, "no artifact has the file artifacts/%s", name);
}

static int each_file(struct scan *scan, const char *directory) {
    DIR *dir = opendir(directory);
    const struct dirent *entry;
    int r = 0;

    while (dir && r == 0 && (entry = readdir(dir)))
        r = look_at_file(scan, directory, entry->d_name);
    if (dir)
        (void)closedir(dir);
    return r; /* no directory: there never was a large artifact */
}

int scan_strays(struct scan *scan) {
    CLEANUP(text_fini) struct text directory = {0};

    return artifact_directory(scan->work, &directory) < 0 ? -1 : each_file(scan, directory.data);
}
