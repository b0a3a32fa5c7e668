#include "store/probe.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "store/db.h"
#include "store/store.h"

/* A value that is written over itself: a page goes to the disk, and nothing is different. */
static int read_version(sqlite3 *db, int *ret_version, struct theseus_error *err) {
    CLEANUP(sqlite3_finalize) sqlite3_stmt *pragma = NULL;

    if (db_prepare(db, "PRAGMA user_version", &pragma, err) < 0)
        return -1;
    if (sqlite3_step(pragma) != SQLITE_ROW)
        return db_fail(db, err, "cannot read the database");
    *ret_version = sqlite3_column_int(pragma, 0);
    return 0;
}

/* Inside a transaction of a plugin's, which must not be disturbed. */
static int try_inside(sqlite3 *db, const char *write, struct theseus_error *err) {
    if (db_exec(db, "SAVEPOINT theseus_probe", err) < 0)
        return -1;
    int r = db_exec(db, write, err);
    return db_exec(db, "ROLLBACK TO theseus_probe; RELEASE theseus_probe", err) < 0 ? -1 : r;
}

/* Only a commit finds out whether the disk takes it: whether there is room, and whether it can be made to stay. */
static int try_write(sqlite3 *db, const char *write, struct theseus_error *err) {
    if (!sqlite3_get_autocommit(db))
        return try_inside(db, write, err);
    if (db_exec(db, "BEGIN IMMEDIATE", err) < 0)
        return -1;
    int r = db_exec(db, write, err) < 0 ? -1 : db_exec(db, "COMMIT", err);
    if (!sqlite3_get_autocommit(db) && db_exec(db, "ROLLBACK", NULL) < 0)
        return -1;
    return r;
}

static int probe(sqlite3 *db, struct theseus_error *err) {
    int version = 0;

    (void)sqlite3_busy_timeout(db, PROBE_BUSY_MS);
    int r = read_version(db, &version, err);
    CLEANUP(free) char *write = xasprintf("PRAGMA user_version = %d", version);
    if (r == 0)
        r = try_write(db, write, err);
    (void)sqlite3_busy_timeout(db, DB_BUSY_TIMEOUT_MS);
    return r < 0 ? error_prefix(err, "the database cannot be written: ") : 0;
}

/* The directory, or the nearest one above it in which it would be made. */
static int check_place(const char *dir, struct theseus_error *err) {
    CLEANUP(free) char *place = xstrdup(dir);
    struct stat st;

    while (stat(place, &st) < 0) {
        if (errno != ENOENT || strcmp(place, "/") == 0)
            return fail_errno(err, "no database can be made in '%s'", dir);
        char *parent = path_dir(place);
        free(place);
        place = parent;
    }
    if (!S_ISDIR(st.st_mode))
        return fail(err, ERR_INVALID, "no database can be made in '%s': '%s' is not a directory", dir, place);
    if (strcmp(place, dir) == 0 && (st.st_mode & 077))
        return fail(err, ERR_ACCESS,
                    "no database can be made in '%s', which is open to others; mend it with: chmod "
                    "700 '%s'",
                    dir, dir);
    return access(place, W_OK | X_OK) == 0 ? 0 : fail_errno(err, "no database can be made in '%s'", dir);
}

void store_probe(struct store *store, struct store_probe *ret_probe) {
    CLEANUP(free) char *dir = path_dir(store_path(store));
    struct store_probe found = {0};
    sqlite3 *db = NULL;
    struct stat st;

    found.exists = stat(store_path(store), &st) == 0;
    if (!found.exists) {
        found.writable = check_place(dir, &found.why) == 0;
    } else if (store_db(store, &db, &found.why) == 0) {
        struct theseus_error err = {0};
        found.writable = probe(db, &err) == 0;
        found.why = err;
        int version = 0;
        found.connected = found.writable || read_version(db, &version, NULL) == 0;
    }
    *ret_probe = found;
}
