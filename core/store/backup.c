/*
 * Both kinds of copy are made with SQLite's own backup, which sees one committed state whatever others write meanwhile.
 *
 * To read a database with a write-ahead log SQLite makes that log if it is not there. A database without one is closed
 * everywhere, and stays so while the directory is locked (see db.c): its file is then all there is to copy.
 */
#include "store/backup.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/fs.h"
#include "store/db.h"
#include "store/store.h"
#include "store/version.h"

#define BACKUP_PREFIX "theseus-"

enum { BACKUP_RETRY_MS = 20 };

/* ---- copying ---- */

static int copy_pages(sqlite3 *from, sqlite3 *to, struct theseus_error *err) {
    sqlite3_backup *backup = sqlite3_backup_init(to, "main", from, "main");
    int r, waited_ms = 0;

    if (!backup)
        return db_fail(to, err, "cannot begin to copy");
    while ((r = sqlite3_backup_step(backup, -1)) == SQLITE_BUSY || r == SQLITE_LOCKED) {
        if (waited_ms >= DB_BUSY_TIMEOUT_MS)
            break;
        waited_ms += sqlite3_sleep(BACKUP_RETRY_MS);
    }
    if (sqlite3_backup_finish(backup) == SQLITE_OK && r == SQLITE_DONE)
        return 0;
    return fail(err, r == SQLITE_BUSY || r == SQLITE_LOCKED ? ERR_BUSY : ERR_SYSTEM, "cannot copy it: %s",
                sqlite3_errstr(r));
}

static int open_plainly(const char *path, int flags, sqlite3 **ret_db, struct theseus_error *err) {
    CLEANUP(db_close) sqlite3 *db = NULL;

    if (sqlite3_open_v2(path, &db, flags | SQLITE_OPEN_EXRESCODE, NULL) != SQLITE_OK)
        return db ? db_fail(db, err, "cannot open '%s'", path)
                  : fail(err, ERR_MEMORY, "no memory to open the database '%s'", path);
    *ret_db = TAKE_PTR(db);
    return 0;
}

/* To a file that is made here: with our mode before anything is in it. */
static int copy_db(sqlite3 *from, const char *copy, struct theseus_error *err) {
    CLEANUP(fd_close) int fd = open(copy, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    CLEANUP(db_close) sqlite3 *to = NULL;

    if (fd < 0)
        return fail_errno(err, "cannot make '%s'", copy);
    if (open_plainly(copy, SQLITE_OPEN_READWRITE, &to, err) == 0 && copy_pages(from, to, err) == 0)
        return 0;
    (void)unlink(copy);
    return -1;
}

/* ---- to go back to ---- */

static int is_empty(sqlite3 *db, bool *ret_empty, struct theseus_error *err) {
    CLEANUP(sqlite3_finalize) sqlite3_stmt *select = NULL;

    if (db_prepare(db, "SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema)", &select, err) < 0)
        return -1;
    if (sqlite3_step(select) != SQLITE_ROW)
        return db_fail(db, err, "cannot read the schema");
    *ret_empty = sqlite3_column_int(select, 0);
    return 0;
}

/* "theseus-20261122T083000.125Z.db": in the order of names they are in the order of time. */
static char *name_of(int64_t wall_ms) {
    char text[CLOCK_TEXT_BYTES];
    char *end = clock_rfc3339(wall_ms, text);

    for (const char *from = text; *from; from++)
        if (*from != '-' && *from != ':')
            *end++ = *from;
    *end = '\0';
    return xasprintf(BACKUP_PREFIX "%s.db", text);
}

/* The place of the copy, and of its draft: a name that is complete is a copy that is. */
static int copy_under_new_name(sqlite3 *db, const char *dir, char **ret_path, struct theseus_error *err) {
    int64_t now = clock_wall_ms();

    for (;; now++) {
        CLEANUP(free) char *name = name_of(now);
        CLEANUP(free) char *path = path_join(dir, name);
        CLEANUP(free) char *draft = xasprintf("%s.new", path);
        if (access(path, F_OK) == 0 || access(draft, F_OK) == 0)
            continue; /* within the same millisecond */
        if (copy_db(db, draft, err) < 0)
            return -1;
        if (fs_publish_new(draft, path, err) < 0) {
            (void)unlink(draft);
            return -1;
        }
        *ret_path = TAKE_PTR(path);
        return 0;
    }
}

static int is_backup(const struct dirent *entry) {
    return strncmp(entry->d_name, BACKUP_PREFIX, strlen(BACKUP_PREFIX)) == 0;
}

static char *dir_of(const struct store *store) {
    CLEANUP(free) char *state_dir = path_dir(store_path(store));

    return path_join(state_dir, "backups");
}

/* Best effort: what is left is found next time. */
void backup_drop_oldest(struct store *store) {
    CLEANUP(free) char *dir = dir_of(store);
    struct dirent **entries = NULL;
    int count = scandir(dir, &entries, is_backup, alphasort);

    for (int i = 0; i < count; i++) {
        CLEANUP(free) char *path = path_join(dir, entries[i]->d_name);
        if (i < count - BACKUPS_KEPT)
            (void)unlink(path);
        free(entries[i]);
    }
    free(entries);
}

static void sync_dir(const char *dir) {
    CLEANUP(fd_close) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd >= 0)
        (void)fsync(fd); /* not every file system can */
}

int backup_make(struct store *store, char **ret_path, struct theseus_error *err) {
    CLEANUP(free) char *dir = dir_of(store);
    CLEANUP(db_close) sqlite3 *db = NULL;
    bool empty = true;

    if (db_open(store_path(store), &db, err) < 0 || is_empty(db, &empty, err) < 0)
        return -1;
    if (empty) {
        *ret_path = NULL;
        return 0;
    }
    if (fs_make_private_dir(dir, err) < 0 || copy_under_new_name(db, dir, ret_path, err) < 0)
        return error_prefix(err, "cannot back the database up: ");
    sync_dir(dir);
    return 0;
}

void backup_drop(const char *path) {
    if (path)
        (void)unlink(path); /* best effort, as above */
}

/* ---- to try things on ---- */

static int copy_closed(const char *path, const char *copy, struct theseus_error *err) {
    CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);

    return fd < 0 ? fail_errno(err, "cannot open it") : fs_copy_fd(fd, copy, 0600, err);
}

static int copy_open(const char *path, const char *copy, struct theseus_error *err) {
    CLEANUP(db_close) sqlite3 *db = NULL;

    if (open_plainly(path, SQLITE_OPEN_READONLY, &db, err) < 0)
        return -1;
    (void)sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    return copy_db(db, copy, err);
}

static int look_through(const char *copy, struct theseus_error *err) {
    CLEANUP(db_close) sqlite3 *db = NULL;
    CLEANUP(sqlite3_finalize) sqlite3_stmt *check = NULL;

    if (open_plainly(copy, SQLITE_OPEN_READWRITE, &db, err) < 0)
        return -1;
    int r = sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &check, NULL);
    if (r == SQLITE_OK)
        r = sqlite3_step(check);
    if (r != SQLITE_ROW)
        return db_fail(db, err, "it cannot be read");
    const char *verdict = (const char *)sqlite3_column_text(check, 0);
    if (verdict && strcmp(verdict, "ok") == 0)
        return 0;
    return db_damaged(verdict, err);
}

int backup_check_missing(const char *path, struct theseus_error *err) {
    return db_check_whole(path, err);
}

int backup_try(const char *path, const char *copy, struct theseus_error *err) {
    CLEANUP(free) char *log_path = xasprintf("%s-wal", path);
    CLEANUP(fd_close) int lock = -1;
    bool has_log;

    if (db_lock(path, &lock, err) < 0 || db_check_whole(path, err) < 0 || fs_exists(log_path, &has_log, err) < 0)
        return -1;
    int r = has_log ? copy_open(path, copy, err) : copy_closed(path, copy, err);
    if (r < 0 || look_through(copy, err) < 0)
        return error_prefix(err, "database '%s': ", path);
    return 0;
}

/* ---- to look at ---- */

/* The file as it is, without any other beside it, said in SQLite's own way. */
static int write_uri(struct buf *uri, const char *path, struct theseus_error *err) {
    int r = buf_printf(uri, err, "file:");

    for (; r == 0 && *path; path++)
        r = buf_printf(uri, err, isalnum((unsigned char)*path) || strchr("/.-_", *path) ? "%c" : "%%%02x",
                       (unsigned char)*path);
    return r < 0 ? -1 : buf_append(uri, (struct span){"?immutable=1", sizeof("?immutable=1")}, err); /* and the NUL */
}

static int each_version(const char *name, int flags, store_version_fn *visit, void *arg, struct theseus_error *err) {
    CLEANUP(db_close) sqlite3 *db = NULL;

    if (open_plainly(name, SQLITE_OPEN_READONLY | flags, &db, err) < 0)
        return -1;
    (void)sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    (void)sqlite3_busy_timeout(db, DB_BUSY_TIMEOUT_MS);
    return version_each(db, visit, arg, err);
}

int backup_versions(const char *path, store_version_fn *visit, void *arg, struct theseus_error *err) {
    CLEANUP(free) char *log_path = xasprintf("%s-wal", path);
    CLEANUP(buf_fini) struct buf uri = {0};
    CLEANUP(fd_close) int lock = -1;
    bool has_log;

    if (db_lock(path, &lock, err) < 0 || write_uri(&uri, path, err) < 0 || fs_exists(log_path, &has_log, err) < 0)
        return -1;
    int r = has_log ? each_version(path, 0, visit, arg, err)
                    : each_version(buf_span(&uri).data, SQLITE_OPEN_URI, visit, arg, err);
    return r < 0 ? error_prefix(err, "database '%s': ", path) : 0;
}
