#include "store/archive.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/log.h"
#include "store/backup.h"
#include "store/db.h"
#include "store/draft.h"
#include "store/migrate.h"
#include "store/schema.h"
#include "store/store.h"
#include "store/version.h"

#define DATABASE "theseus.db"
#define FILES "theseus_files" /* the table of the files beside the database */

static int open_file(const char *path, int flags, sqlite3 **ret_db, struct theseus_error *err) {
    CLEANUP(db_close) sqlite3 *db = NULL;

    if (sqlite3_open_v2(path, &db, flags | SQLITE_OPEN_EXRESCODE, NULL) != SQLITE_OK)
        return db ? db_fail(db, err, "cannot open '%s'", path) : fail(err, ERR_MEMORY, "no memory to open '%s'", path);
    *ret_db = TAKE_PTR(db);
    return 0;
}

/* ---- looking through it ---- */

static int check_pages(sqlite3 *db, struct theseus_error *err) {
    CLEANUP(sqlite3_finalize) sqlite3_stmt *check = NULL;

    if (db_prepare(db, "PRAGMA integrity_check(1)", &check, err) < 0)
        return -1;
    if (sqlite3_step(check) != SQLITE_ROW)
        return db_fail(db, err, "it cannot be read");
    const char *verdict = (const char *)sqlite3_column_text(check, 0);
    return verdict && strcmp(verdict, "ok") == 0 ? 0 : db_damaged(verdict, err);
}

static int check_references(sqlite3 *db, struct theseus_error *err) {
    CLEANUP(sqlite3_finalize) sqlite3_stmt *check = NULL;

    if (db_prepare(db, "PRAGMA foreign_key_check", &check, err) < 0)
        return -1;
    int r = sqlite3_step(check);
    if (r == SQLITE_DONE)
        return 0;
    if (r != SQLITE_ROW)
        return db_fail(db, err, "its references cannot be read");
    return fail(err, ERR_INVALID, "row %lld of table %s refers to a row of table %s that is not there",
                (long long)sqlite3_column_int64(check, 1), (const char *)sqlite3_column_text(check, 0),
                (const char *)sqlite3_column_text(check, 2));
}

static int examine(sqlite3 *db, struct theseus_error *err) {
    return check_pages(db, err) < 0 ? -1 : check_references(db, err);
}

/* On a copy, so that no log is made beside the database and nobody's writes wait. */
int archive_examine(const char *path, const struct artifacts_listener *listener, size_t *ret_named,
                    struct theseus_error *err) {
    CLEANUP(free) char *copy = xasprintf("%s.examined-%d", path, (int)getpid());
    CLEANUP(free) char *state_dir = path_dir(path);
    CLEANUP(free) char *dir = path_join(state_dir, ARTIFACTS_DIR);
    CLEANUP(db_close) sqlite3 *db = NULL;

    int r = backup_try(path, copy, err) < 0 || open_file(copy, SQLITE_OPEN_READWRITE, &db, err) < 0 ||
                    examine(db, err) < 0 || artifacts_check(db, dir, true, listener, ret_named, err) < 0
                ? -1
                : 0;
    db = db_close(db);
    (void)unlink(copy); /* also what of it was made before damage was found */
    return r < 0 ? error_prefix(err, "database '%s': ", path) : 0;
}

/* ---- writing ---- */

static int add_file(sqlite3_stmt *insert, const char *path, const char *name, struct theseus_error *err) {
    CLEANUP(sqlite3_reset) sqlite3_stmt *row = insert;
    CLEANUP(buf_fini) struct buf bytes = {0};

    if (fs_read_file(path, LIMIT_ARTIFACT, &bytes, err) < 0)
        return -1;
    struct span span = buf_span(&bytes);
    if (sqlite3_bind_text(row, 1, name, -1, SQLITE_STATIC) != SQLITE_OK ||
        sqlite3_bind_blob64(row, 2, span.data ? span.data : "", span.len, SQLITE_STATIC) != SQLITE_OK ||
        sqlite3_step(row) != SQLITE_DONE)
        return db_fail(sqlite3_db_handle(row), err, "cannot add '%s'", path);
    return 0;
}

static int add_entry(sqlite3_stmt *insert, const FTSENT *entry, size_t prefix, struct theseus_error *err) {
    switch (entry->fts_info) {
    case FTS_F:
        return add_file(insert, entry->fts_path, entry->fts_path + prefix, err);
    case FTS_DNR:
    case FTS_ERR:
    case FTS_NS:
        return fail(err, ERR_SYSTEM, "cannot look at '%s': %s", entry->fts_path, strerror(entry->fts_errno));
    default:
        return 0; /* a directory, or nothing that a server has made */
    }
}

static int add_each(sqlite3_stmt *insert, const char *dir, struct theseus_error *err) {
    char *const roots[] = {(char *)(uintptr_t)dir, NULL};
    FTSENT *entry;
    int r = 0;

    if (access(dir, F_OK) < 0)
        return errno == ENOENT ? 0 : fail_errno(err, "cannot look through '%s'", dir);
    FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    if (!tree)
        return fail_errno(err, "cannot look through '%s'", dir);
    while (r == 0 && (errno = 0, entry = fts_read(tree)))
        r = add_entry(insert, entry, strlen(dir) + 1, err);
    if (r == 0 && errno)
        r = fail_errno(err, "cannot look through '%s'", dir);
    (void)fts_close(tree);
    return r;
}

/* The copy becomes a file by itself: its log would be a second one. */
static int add_files(sqlite3 *db, const char *dir, struct theseus_error *err) {
    CLEANUP(sqlite3_finalize) sqlite3_stmt *insert = NULL;

    if (db_exec(db,
                "PRAGMA journal_mode = DELETE; BEGIN; CREATE TABLE " FILES
                " (name TEXT PRIMARY KEY, bytes BLOB NOT NULL) STRICT",
                err) < 0 ||
        db_prepare(db, "INSERT INTO " FILES " (name, bytes) VALUES (?1, ?2)", &insert, err) < 0 ||
        add_each(insert, dir, err) < 0)
        return -1;
    return db_exec(db, "COMMIT", err);
}

static int write_draft(const char *path, const char *dir, const char *draft, const struct artifacts_listener *listener,
                       struct theseus_error *err) {
    CLEANUP(db_close) sqlite3 *db = NULL;
    size_t named;

    if (backup_try(path, draft, err) < 0 || open_file(draft, SQLITE_OPEN_READWRITE, &db, err) < 0)
        return -1;
    if (add_files(db, dir, err) < 0 || examine(db, err) < 0)
        return -1;
    return artifacts_check(db, dir, false, listener, &named, err);
}

static int check_free(const char *file, struct theseus_error *err) {
    CLEANUP(free) char *dir = path_dir(file);
    struct stat st;

    if (access(dir, W_OK | X_OK) < 0)
        return fail(err, ERR_INVALID,
                    "cannot write '%s': directory '%s': %s; name a file in a directory that is there and that you may "
                    "write",
                    file, dir, strerror(errno));

    if (lstat(file, &st) == 0)
        return fail(err, ERR_INVALID, "'%s' is there already; name a file that is not", file);
    return errno == ENOENT ? 0 : fail_errno(err, "cannot write '%s'", file);
}

int archive_write(const char *state_dir, const char *file, const struct artifacts_listener *listener,
                  struct theseus_error *err) {
    CLEANUP(free) char *path = path_join(state_dir, DATABASE);
    CLEANUP(free) char *dir = path_join(state_dir, ARTIFACTS_DIR);
    CLEANUP(free) char *draft = draft_path(file);

    if (access(path, F_OK) < 0 && errno == ENOENT)
        return fail(err, ERR_MISSING, "there is no database at '%s' yet", path);
    if (check_free(file, err) < 0)
        return -1;
    draft_sweep(file);
    if (write_draft(path, dir, draft, listener, err) < 0 || fs_publish_new(draft, file, err) < 0) {
        draft_remove(draft);
        return -1;
    }
    return 0;
}

/* ---- putting it back ---- */

static void keep_newest(void *arg, const char *component, int version) {
    if (strcmp(component, SCHEMA_CORE) == 0)
        *(int *)arg = version;
}

/* A plugin's steps are counted when it is loaded, which refuses that plugin alone. */
static int check_version(sqlite3 *db, struct theseus_error *err) {
    int version = 0;

    if (version_each(db, keep_newest, &version, err) < 0)
        return -1;
    return version <= schema_core_count() ? 0
                                          : fail(err, ERR_NEWER, "it is of a newer server (core schema %d, known: %d)",
                                                 version, schema_core_count());
}

static int has_table(sqlite3 *db, const char *name, bool *ret_has, struct theseus_error *err) {
    CLEANUP(sqlite3_finalize) sqlite3_stmt *select = NULL;

    if (db_prepare(db, "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = ?1)", &select, err) < 0)
        return -1;
    if (sqlite3_bind_text(select, 1, name, -1, SQLITE_STATIC) != SQLITE_OK || sqlite3_step(select) != SQLITE_ROW)
        return db_fail(db, err, "it cannot be read");
    *ret_has = sqlite3_column_int(select, 0);
    return 0;
}

/* Any file that SQLite reads would do for it, an empty one, too. */
static int check_kind(sqlite3 *db, struct theseus_error *err) {
    bool has_files = false, has_versions = false;
    struct theseus_error why = {0};

    if (has_table(db, FILES, &has_files, &why) == 0 && has_table(db, "schema_versions", &has_versions, &why) == 0 &&
        (has_files || has_versions))
        return 0;
    if (why.code != ERR_UNSET && why.code != ERR_INVALID)
        return fail(err, why.code, "%s", why.message);
    return fail(err, ERR_INVALID, "it is not a database of this server; name a file that `theseus backup` has written");
}

/* A name leads nowhere but below the directory. */
static int check_name(const char *name, struct theseus_error *err) {
    bool good = name && *name && *name != '/' && !strstr(name, "..") && strlen(name) < LIMIT_ARTIFACT_NAME;

    return good ? 0 : fail(err, ERR_INVALID, "it names a file '%s', which no server has written", name ? name : "");
}

static int put_file(const char *dir, sqlite3_stmt *row, struct theseus_error *err) {
    const char *name = (const char *)sqlite3_column_text(row, 0);

    if (check_name(name, err) < 0)
        return -1;
    CLEANUP(free) char *path = path_join(dir, name);
    CLEANUP(free) char *parent = path_dir(path);
    struct span bytes = {sqlite3_column_blob(row, 1), (size_t)sqlite3_column_bytes(row, 1)};
    return fs_make_private_dir(parent, err) < 0 ? -1 : fs_write_file(path, bytes, 0600, err);
}

/* Before the database: a row whose file is missing would be worse than a file without a row. */
static int put_files(sqlite3 *db, const char *dir, struct theseus_error *err) {
    CLEANUP(sqlite3_finalize) sqlite3_stmt *select = NULL;
    bool has = false;
    int r;

    if (has_table(db, FILES, &has, err) < 0)
        return -1;
    if (!has)
        return 0;
    if (db_prepare(db, "SELECT name, bytes FROM " FILES, &select, err) < 0)
        return -1;
    while ((r = sqlite3_step(select)) == SQLITE_ROW)
        if (put_file(dir, select, err) < 0)
            return -1;
    if (r != SQLITE_DONE)
        return db_fail(db, err, "its files cannot be read");
    (void)sqlite3_reset(select);
    return db_exec(db, "DROP TABLE " FILES, err);
}

/* A copy beside the database, examined: the caller removes it. */
static int make_ready(const char *state_dir, const char *file, const char *draft,
                      const struct artifacts_listener *listener, struct theseus_error *err) {
    CLEANUP(free) char *dir = path_join(state_dir, ARTIFACTS_DIR);
    CLEANUP(fd_close) int fd = open(file, O_RDONLY | O_CLOEXEC);
    CLEANUP(db_close) sqlite3 *db = NULL;
    size_t named;

    if (fd < 0)
        return fail_errno(err, "cannot open '%s'", file);
    if (fs_copy_fd(fd, draft, 0600, err) < 0 || open_file(draft, SQLITE_OPEN_READWRITE, &db, err) < 0 ||
        check_kind(db, err) < 0 || examine(db, err) < 0 || check_version(db, err) < 0 || put_files(db, dir, err) < 0 ||
        artifacts_check(db, dir, false, listener, &named, err) < 0)
        return error_prefix(err, "'%s': ", file);
    return 0;
}

/*
 * A connection with a write-ahead log holds a shared lock for as long as it is open, so only who is alone gets this
 * one. It folds the log into the file, too; what is no database any more is kept as it is.
 */
static int claim(const char *path, struct theseus_error *err) {
    CLEANUP(db_close) sqlite3 *db = NULL;
    struct theseus_error why = {0};

    if (open_file(path, SQLITE_OPEN_READWRITE, &db, err) < 0)
        return -1;
    if (db_exec(db, "PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; COMMIT; PRAGMA wal_checkpoint(TRUNCATE)",
                &why) == 0)
        return 0;
    if (why.code == ERR_BUSY)
        return fail(err, ERR_BUSY, "a server has '%s' open; end it first, by closing its client", path);
    return why.code == ERR_INVALID ? 0 : fail(err, why.code, "'%s': %s", path, why.message);
}

/* The database keeps its name until the other one takes it, so that there is one at every moment. */
static int keep_aside(const char *path, const char *aside, struct theseus_error *err) {
    CLEANUP(free) char *log_path = xasprintf("%s-wal", path);
    CLEANUP(free) char *log_aside = xasprintf("%s-wal", aside);

    if (link(path, aside) < 0)
        return fail_errno(err, "cannot give '%s' the name '%s'", path, aside);
    if (rename(log_path, log_aside) == 0 || errno == ENOENT) /* there only if it could not be folded in */
        return 0;
    (void)fail_errno(err, "cannot rename '%s' to '%s'", log_path, log_aside);
    (void)unlink(aside); /* its other name is left */
    return -1;
}

static int replace(const char *path, const char *draft, const char *aside, struct theseus_error *err) {
    CLEANUP(free) char *dir = path_dir(aside);
    CLEANUP(fd_close) int lock = -1;

    if (fs_make_private_dir(dir, err) < 0 || db_lock(path, &lock, err) < 0 || claim(path, err) < 0 ||
        keep_aside(path, aside, err) < 0)
        return -1;
    return fs_publish(draft, path, err);
}

/* Whoever has a database with a log open holds a lock in the memory that they share, also when the file is gone. */
static int check_unused(const char *path, const char *memory, struct theseus_error *err) {
    CLEANUP(fd_close) int fd = open(memory, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    if (fd < 0 && errno == ENOENT)
        return 0;
    if (fd < 0 || fcntl(fd, F_GETLK, &lock) < 0)
        return fail_errno(err, "cannot find out who uses '%s'", memory);
    if (lock.l_type == F_UNLCK)
        return 0;
    return fail(err, ERR_BUSY,
                "a server (pid %d) has '%s' open, though it is gone; end it first, by closing its client",
                (int)lock.l_pid, path);
}

/* A log that has lost its database would be taken for that of the other one. */
static int put_log_aside(const char *path, const char *log_path, const char *aside, struct theseus_error *err) {
    CLEANUP(free) char *dir = path_dir(aside), *memory = xasprintf("%s-shm", path);

    if (fs_make_private_dir(dir, err) < 0 || check_unused(path, memory, err) < 0)
        return -1;
    if (unlink(memory) < 0 && errno != ENOENT)
        return fail_errno(err, "cannot remove '%s'", memory);
    return rename(log_path, aside) == 0 ? 0 : fail_errno(err, "cannot rename '%s' to '%s'", log_path, aside);
}

/* Without either of the two the next server would begin anew. */
static void put_log_back(const char *path, const char *log_path, const char *aside) {
    if (access(path, F_OK) < 0 && rename(aside, log_path) < 0)
        log_error("the log of the database, '%s', cannot be given its name back, '%s': %s", aside, log_path,
                  strerror(errno));
}

/* Where nothing has the name. `ret_aside`: the log that was there; owned. NULL: there was none. */
static int put_where_none_is(const char *path, const char *draft, const char *aside, char **ret_aside,
                             struct theseus_error *err) {
    CLEANUP(free) char *log_path = xasprintf("%s-wal", path), *log_aside = xasprintf("%s-wal", aside);
    CLEANUP(fd_close) int lock = -1;
    bool has_log;

    *ret_aside = NULL;
    if (db_lock_place(path, &lock, err) < 0 || fs_exists(log_path, &has_log, err) < 0 ||
        (has_log && put_log_aside(path, log_path, log_aside, err) < 0))
        return -1;
    int r = fs_publish_new(draft, path, err);
    if (r < 0 && has_log)
        put_log_back(path, log_path, log_aside);
    else if (has_log)
        *ret_aside = TAKE_PTR(log_aside);
    return r;
}

static char *aside_path(const char *state_dir) {
    char text[CLOCK_TEXT_BYTES];

    (void)clock_rfc3339(clock_wall_ms(), text);
    return xasprintf("%s/backups/before-restore-%s.db", state_dir, text);
}

int archive_restore(const char *state_dir, const char *file, const struct artifacts_listener *listener,
                    char **ret_aside, struct theseus_error *err) {
    CLEANUP(free) char *path = path_join(state_dir, DATABASE);
    CLEANUP(free) char *draft = draft_path(path), *aside = aside_path(state_dir);
    CLEANUP(free) char *log_aside = NULL;
    bool exists;

    if (fs_make_private_dir(state_dir, err) < 0 || fs_exists(path, &exists, err) < 0)
        return -1;
    draft_sweep(path);
    int r = make_ready(state_dir, file, draft, listener, err);
    if (r == 0)
        r = exists ? replace(path, draft, aside, err) : put_where_none_is(path, draft, aside, &log_aside, err);
    if (r < 0)
        draft_remove(draft);
    else
        *ret_aside = exists ? TAKE_PTR(aside) : TAKE_PTR(log_aside);
    return r;
}
