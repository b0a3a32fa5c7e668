#include "store/artifacts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fs.h"
#include "store/db.h"
#include "store/sha256.h"

enum {
    YOUNG_S = 3600, /* a file is written before its row, by a call that does not take as long as this */
    TOLD_MAX = 20,  /* of each kind */

};

DEFINE_CLEANUP(DIR *, closedir)

struct checking {
    sqlite3 *db;
    const char *dir;
    const struct artifacts_listener *listener;
    size_t named, bad, strays;
};

static void tell(const struct checking *checking, size_t count, const char *file, const char *what) {
    CLEANUP(free) char *text = xasprintf("file '%s/%s' %s", checking->dir, file, what);

    if (count <= TOLD_MAX)
        checking->listener->tell(checking->listener->arg, text);
}

static void tell_rest(const struct checking *checking, size_t count, const char *what) {
    CLEANUP(free) char *text = count > TOLD_MAX ? xasprintf("%zu more files %s", count - TOLD_MAX, what) : NULL;

    if (text)
        checking->listener->tell(checking->listener->arg, text);
}

/* ---- what the rows name ---- */

static int add_view(sqlite3 *db, const char *view, struct theseus_error *err) {
    char *sql = sqlite3_mprintf("INSERT OR IGNORE INTO temp.named_files SELECT name, bytes FROM main.\"%w\"", view);
    int r = sql ? db_exec(db, sql, err) : fail(err, ERR_MEMORY, "no memory to read view '%s'", view);

    sqlite3_free(sql);
    return r;
}

static int has_versions(sqlite3 *db, bool *ret_has, struct theseus_error *err) {
    CLEANUP(sqlite3_finalize) sqlite3_stmt *select = NULL;

    if (db_prepare(db, "SELECT EXISTS (SELECT 1 FROM main.sqlite_schema WHERE name = 'schema_versions')", &select,
                   err) < 0)
        return -1;
    if (sqlite3_step(select) != SQLITE_ROW)
        return db_fail(db, err, "cannot read the schema");
    *ret_has = sqlite3_column_int(select, 0);
    return 0;
}

/* The views first: a list that is being read is not to see what is written. */
static int gather(sqlite3 *db, struct theseus_error *err) {
    CLEANUP(sqlite3_finalize) sqlite3_stmt *views = NULL;
    bool has = false;
    int r;

    if (db_exec(db,
                "PRAGMA temp_store = MEMORY; DROP TABLE IF EXISTS temp.named_files; "
                "CREATE TEMP TABLE named_files (name TEXT PRIMARY KEY, bytes INTEGER)",
                err) < 0 ||
        has_versions(db, &has, err) < 0)
        return -1;
    if (!has)
        return 0;
    if (db_prepare(db,
                   "SELECT s.name FROM schema_versions v JOIN main.sqlite_schema s ON s.name = v.component || '_files' "
                   "WHERE s.type = 'view'",
                   &views, err) < 0)
        return -1;
    while ((r = sqlite3_step(views)) == SQLITE_ROW)
        if (add_view(db, (const char *)sqlite3_column_text(views, 0), err) < 0)
            return -1;
    return r == SQLITE_DONE ? 0 : db_fail(db, err, "cannot read the schema");
}

/* ---- each of them ---- */

/* What is wrong with it; owned, NULL: nothing. */
static char *fault_of(const struct checking *checking, const char *name, int64_t bytes) {
    CLEANUP(free) char *path = path_join(checking->dir, name);
    CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    char is[SHA256_TEXT];
    struct theseus_error err = {0};
    struct stat st;

    if (fd < 0 && errno == ENOENT)
        return xstrdup("is missing, and a row names it: put it back from a backup");
    if (fd < 0 || fstat(fd, &st) < 0)
        return xasprintf("cannot be read, and a row names it: %s", strerror(errno));
    if (!S_ISREG(st.st_mode) || st.st_size != bytes)
        return xasprintf("has %lld bytes instead of %lld: put it back from a backup", (long long)st.st_size,
                         (long long)bytes);
    if (sha256_fd(fd, is, &err) < 0)
        return xasprintf("cannot be read, and a row names it: %s", err.message);
    return strcmp(is, name) == 0 ? NULL : xstrdup("holds something else than was written: put it back from a backup");
}

static int look_at_named(struct checking *checking, struct theseus_error *err) {
    CLEANUP(sqlite3_finalize) sqlite3_stmt *rows = NULL;
    int r;

    if (db_prepare(checking->db, "SELECT name, bytes FROM temp.named_files ORDER BY name", &rows, err) < 0)
        return -1;
    while ((r = sqlite3_step(rows)) == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(rows, 0);
        CLEANUP(free) char *fault = fault_of(checking, name ? name : "", sqlite3_column_int64(rows, 1));
        checking->named++;
        if (fault)
            tell(checking, ++checking->bad, name ? name : "", fault);
    }
    tell_rest(checking, checking->bad, "are missing or hold something else");
    return r == SQLITE_DONE ? 0 : db_fail(checking->db, err, "cannot read which files are named");
}

/* ---- those that nobody names ---- */

static bool is_young(const struct checking *checking, const char *name) {
    CLEANUP(free) char *path = path_join(checking->dir, name);
    struct stat st;

    return lstat(path, &st) < 0 || st.st_mtim.tv_sec > time(NULL) - YOUNG_S;
}

static int is_named(sqlite3_stmt *find, const char *name, bool *ret_named, struct theseus_error *err) {
    CLEANUP(sqlite3_reset) sqlite3_stmt *row = find;

    if (sqlite3_bind_text(row, 1, name, -1, SQLITE_STATIC) != SQLITE_OK || sqlite3_step(row) != SQLITE_ROW)
        return db_fail(sqlite3_db_handle(row), err, "cannot look for file '%s'", name);
    *ret_named = sqlite3_column_int(row, 0);
    return 0;
}

static int look_at_entry(struct checking *checking, sqlite3_stmt *find, const char *name, struct theseus_error *err) {
    bool named = true;

    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return 0;
    if (is_named(find, name, &named, err) < 0)
        return -1;
    if (!named && !is_young(checking, name))
        tell(checking, ++checking->strays, name,
             "is named by no row: what was begun was not finished, or the row is gone; it can be deleted");
    return 0;
}

static int look_for_strays(struct checking *checking, struct theseus_error *err) {
    CLEANUP(sqlite3_finalize) sqlite3_stmt *find = NULL;
    CLEANUP(closedir) DIR *dir = opendir(checking->dir);
    const struct dirent *entry;

    if (!dir)
        return errno == ENOENT ? 0 : fail_errno(err, "cannot look through '%s'", checking->dir);
    if (db_prepare(checking->db, "SELECT EXISTS (SELECT 1 FROM temp.named_files WHERE name = ?1)", &find, err) < 0)
        return -1;
    while ((entry = readdir(dir)))
        if (look_at_entry(checking, find, entry->d_name, err) < 0)
            return -1;
    tell_rest(checking, checking->strays, "are named by no row");
    return 0;
}

int artifacts_check(sqlite3 *db, const char *dir, bool strays, const struct artifacts_listener *listener,
                    size_t *ret_named, struct theseus_error *err) {
    struct checking checking = {.db = db, .dir = dir, .listener = listener};

    if (gather(db, err) < 0 || look_at_named(&checking, err) < 0)
        return -1;
    if (strays && look_for_strays(&checking, err) < 0)
        return -1;
    *ret_named = checking.named;
    return 0;
}
