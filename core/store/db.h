/* One SQLite connection the way this server wants it, and SQLite's failures in our words. Inside store/ only. */
#pragma once

#include <sqlite3.h>

#include "base/error.h"
#include "base/mem.h"

enum { DB_BUSY_TIMEOUT_MS = 5000 }; /* how long one waits for another's write lock */

/*
 * Opens the database, making it (0600, in a directory of 0700) where there is none. A file or directory that others
 * may open is refused. Write-ahead log, every commit synced, foreign keys enforced, nothing in the schema trusted.
 */
MUST_CHECK int db_open(const char *path, sqlite3 **ret_db, struct theseus_error *err);
/* Nobody begins to open it while *ret_lock_fd is open. Refuses what db_open() would; the file must be there. */
MUST_CHECK int db_lock(const char *path, int *ret_lock_fd, struct theseus_error *err);
/* The same of one that is gone. */
MUST_CHECK int db_lock_place(const char *path, int *ret_lock_fd, struct theseus_error *err);
/* Refuses an empty file, and a log without its database: SQLite would take the one for a new database, and put the
 * other into another one. */
MUST_CHECK int db_check_whole(const char *path, struct theseus_error *err);
sqlite3 *db_close(sqlite3 *db); /* finalises whatever is still prepared on it, whoever prepared it */

MUST_CHECK int db_exec(sqlite3 *db, const char *sql, struct theseus_error *err);

/* Exactly one statement, to be kept; text behind it is refused. The caller finalises it. */
MUST_CHECK int db_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **ret_statement, struct theseus_error *err);

/* What `db` failed at last: "<context>: <SQLite's words>". Call it before anything else touches `db`. Returns -1. */
int db_fail(sqlite3 *db, struct theseus_error *err, const char *format, ...) PRINTF_LIKE(3, 4);

/* What an examination by SQLite has found, NULL for want of memory: ERR_INVALID, in one line. Returns -1. */
int db_damaged(const char *verdict, struct theseus_error *err);

DEFINE_CLEANUP(sqlite3 *, db_close)
DEFINE_CLEANUP(sqlite3_stmt *, sqlite3_reset)    /* borrowed for one use */
DEFINE_CLEANUP(sqlite3_stmt *, sqlite3_finalize) /* owned */
