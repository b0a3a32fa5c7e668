/*
 * Opening.
 *
 * Two things go wrong when a new database is opened from several sides at once. Connections that both want to switch
 * the write-ahead log on fail with "locked" without waiting. And POSIX gives up every lock that a process has on a file
 * as soon as it closes any descriptor of it, so the empty file may not be made and closed while another thread opens
 * it. So one opens at a time, behind a lock on the directory.
 */
#include "store/db.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "store/damage.h"
#include "store/draft.h"

#define CACHE_KIB "256" /* of each connection: there is one per thread, and the tables are small */

static enum errc code_of(int result) {
    switch (result & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_INTERRUPT:
        return ERR_BUSY;
    case SQLITE_NOMEM:
        return ERR_MEMORY;
    case SQLITE_TOOBIG:
        return ERR_LIMIT;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return ERR_INVALID;
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return ERR_ACCESS;
    case SQLITE_READONLY:
    case SQLITE_IOERR:
    case SQLITE_FULL:
    case SQLITE_CANTOPEN:
        return ERR_SYSTEM;
    default: /* SQL that does not hold: a fault of whoever wrote it */
        return ERR_INTERNAL;
    }
}

int db_fail(sqlite3 *db, struct theseus_error *err, const char *format, ...) {
    char context[sizeof(err->message)];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(context, sizeof(context), format, args);
    va_end(args);
    return fail(err, code_of(sqlite3_extended_errcode(db)), "%s: %s", context, sqlite3_errmsg(db));
}

int db_damaged(const char *verdict, struct theseus_error *err) {
    const char *line = verdict ? strchr(verdict, '\n') : NULL; /* the first one only names the database */

    return fail(err, ERR_INVALID, "it is damaged: %s", line ? line + 1 : verdict ? verdict : "no memory");
}

int db_exec(sqlite3 *db, const char *sql, struct theseus_error *err) {
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : db_fail(db, err, "'%s'", sql);
}

int db_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **ret_statement, struct theseus_error *err) {
    CLEANUP(sqlite3_finalize) sqlite3_stmt *statement = NULL;
    const char *rest = NULL;

    if (sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, &rest) != SQLITE_OK)
        return db_fail(db, err, "'%s'", sql);
    if (!statement)
        return fail(err, ERR_INTERNAL, "'%s': there is no statement in this SQL text", sql);
    if (rest[strspn(rest, " \t\r\n;")])
        return fail(err, ERR_INTERNAL, "'%s': more than one statement in one SQL text", sql);
    *ret_statement = TAKE_PTR(statement);
    return 0;
}

static int check_file(const char *path, struct theseus_error *err) {
    struct stat st;

    if (stat(path, &st) < 0)
        return fail_errno(err, "cannot examine the database '%s'", path);
    if (!S_ISREG(st.st_mode))
        return fail(err, ERR_INVALID, "the database '%s' is not a regular file", path);
    if (st.st_uid != geteuid())
        return fail(err, ERR_ACCESS, "the database '%s' belongs to another user (uid %u)", path, st.st_uid);
    if (st.st_mode & 077)
        return fail(err, ERR_ACCESS, "the database '%s' is open to others; mend it with: chmod 600 '%s'", path, path);
    if (access(path, R_OK | W_OK) < 0)
        return fail(err, ERR_ACCESS, "the database '%s' cannot be written (%s); mend it with: chmod 600 '%s'", path,
                    strerror(errno), path);
    return 0;
}

/* The directory, made if it was missing, with the lock that goes when the descriptor is closed. */
static int lock_dir(const char *dir, int *ret_fd, struct theseus_error *err) {
    if (fs_make_private_dir(dir, err) < 0)
        return -1;
    /* SQLite makes its log beside the database, and says only "unable to open" where it cannot. */
    if (access(dir, W_OK | X_OK) < 0)
        return fail(err, ERR_ACCESS, "directory '%s' cannot be written (%s); mend it with: chmod 700 '%s'", dir,
                    strerror(errno), dir);
    CLEANUP(fd_close) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = fd;
    while (fd >= 0 && (r = flock(fd, LOCK_EX)) < 0 && errno == EINTR)
        ;
    if (r < 0)
        return fail_errno(err, "cannot lock the directory '%s'", dir);
    *ret_fd = fd_take(&fd);
    return 0;
}

static int set_modes(sqlite3 *db, struct theseus_error *err) {
    if (sqlite3_extended_result_codes(db, 1) != SQLITE_OK ||
        sqlite3_busy_timeout(db, DB_BUSY_TIMEOUT_MS) != SQLITE_OK ||
        sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL) != SQLITE_OK ||
        sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL) != SQLITE_OK)
        return db_fail(db, err, "cannot set up the connection");
    return db_exec(db, "PRAGMA foreign_keys = ON; PRAGMA synchronous = FULL; PRAGMA cache_size = -" CACHE_KIB, err);
}

/* The first statement that touches the file: what is no database is found here. */
static int use_wal(sqlite3 *db, struct theseus_error *err) {
    CLEANUP(sqlite3_finalize) sqlite3_stmt *pragma = NULL;

    if (db_prepare(db, "PRAGMA journal_mode = WAL", &pragma, err) < 0)
        return -1;
    if (sqlite3_step(pragma) != SQLITE_ROW)
        return db_fail(db, err, "cannot read it or switch its write-ahead log on");
    const char *mode = (const char *)sqlite3_column_text(pragma, 0);
    if (!mode || strcmp(mode, "wal") != 0)
        return fail(err, ERR_SYSTEM, "its file system has no write-ahead log; choose a state_dir on a local disk");
    return 0;
}

/* ---- one that is not there yet ---- */

/* SQLite would make the file for everybody to read; its -wal and -shm files take the mode of this one. */
static int make_file(const char *draft, const char *path, struct theseus_error *err) {
    draft_remove(draft); /* of a process that was killed, and had this one's number */
    CLEANUP(fd_close) int fd = open(draft, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    return fd >= 0 ? 0 : fail_errno(err, "cannot make the database '%s'", path);
}

static int make_draft(const char *draft, const char *path, struct theseus_error *err) {
    CLEANUP(db_close) sqlite3 *db = NULL;

    if (make_file(draft, path, err) < 0)
        return -1;
    if (sqlite3_open_v2(draft, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_EXRESCODE, NULL) != SQLITE_OK)
        return db ? db_fail(db, err, "cannot make the database '%s'", path)
                  : fail(err, ERR_MEMORY, "no memory to make the database '%s'", path);
    return set_modes(db, err) < 0 || use_wal(db, err) < 0 ? error_prefix(err, "database '%s': ", path) : 0;
}

/* It has its name only when it has begun to be a database: whatever has the name and is empty has been emptied. */
static int make_database(const char *path, struct theseus_error *err) {
    CLEANUP(free) char *draft = draft_path(path);

    draft_sweep(path);
    if (make_draft(draft, path, err) == 0 && fs_publish_new(draft, path, err) == 0)
        return 0;
    draft_remove(draft);
    return -1;
}

/* -1: there is no such file. Whatever else keeps us from knowing is an error, and no reason to make one. */
static int find_size(const char *path, int64_t *ret_size, struct theseus_error *err) {
    struct stat st;
    int r = stat(path, &st);

    if (r < 0 && errno != ENOENT)
        return fail_errno(err, "cannot examine the database '%s'", path);
    *ret_size = r < 0 ? -1 : st.st_size;
    return 0;
}

static int check_whole(const char *path, int64_t size, struct theseus_error *err) {
    CLEANUP(free) char *log = xasprintf("%s-wal", path);
    int64_t log_size;

    if (find_size(log, &log_size, err) < 0)
        return -1;
    if (size > 0 || (size < 0 && log_size <= 0))
        return 0;
    return fail(
        err, ERR_INVALID,
        "the database '%s' is %s. End the server, and put a backup back: theseus restore FILE; or remove it and "
        "its -wal, to begin anew",
        path, size == 0 ? "empty: it was truncated" : "gone, and its log is not");
}

int db_check_whole(const char *path, struct theseus_error *err) {
    int64_t size;

    return find_size(path, &size, err) < 0 ? -1 : check_whole(path, size, err);
}

/* Who may do what with it comes first: whatever is wrong with the content, nobody else may see it. */
static int ready_file(const char *path, struct theseus_error *err) {
    int64_t size;

    if (find_size(path, &size, err) < 0 || (size >= 0 && check_file(path, err) < 0) || check_whole(path, size, err) < 0)
        return -1;
    return size < 0 ? make_database(path, err) : 0;
}

int db_lock_place(const char *path, int *ret_lock_fd, struct theseus_error *err) {
    CLEANUP(free) char *dir = path_dir(path);

    return lock_dir(dir, ret_lock_fd, err);
}

int db_lock(const char *path, int *ret_lock_fd, struct theseus_error *err) {
    CLEANUP(fd_close) int lock = -1;

    if (db_lock_place(path, &lock, err) < 0 || check_file(path, err) < 0)
        return -1;
    *ret_lock_fd = fd_take(&lock);
    return 0;
}

int db_open(const char *path, sqlite3 **ret_db, struct theseus_error *err) {
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_FULLMUTEX | SQLITE_OPEN_EXRESCODE;
    CLEANUP(free) char *dir = path_dir(path);
    CLEANUP(fd_close) int lock = -1; /* let go last: closing a connection that failed is part of opening */
    CLEANUP(db_close) sqlite3 *db = NULL;

    if (lock_dir(dir, &lock, err) < 0 || ready_file(path, err) < 0)
        return -1;
    if (sqlite3_open_v2(path, &db, flags, NULL) != SQLITE_OK)
        return db ? db_fail(db, err, "cannot open the database '%s'", path)
                  : fail(err, ERR_MEMORY, "no memory to open the database '%s'", path);
    damage_watch_db(db);
    if (set_modes(db, err) < 0 || use_wal(db, err) < 0)
        return error_prefix(err, "database '%s': ", path);
    *ret_db = TAKE_PTR(db);
    return 0;
}

sqlite3 *db_close(sqlite3 *db) {
    sqlite3_stmt *statement;

    /* Closing frees the virtual tables first, with the statements that they keep for themselves and that nobody else
     * may finalise. What is left then has been forgotten by somebody. */
    if (!db || sqlite3_close(db) == SQLITE_OK)
        return NULL;
    while ((statement = sqlite3_next_stmt(db, NULL)))
        (void)sqlite3_finalize(statement); /* repeats the error of its last step, which was reported then */
    (void)sqlite3_close_v2(db);            /* with an unfinished blob handle of a plugin: when that is closed */
    return NULL;
}
