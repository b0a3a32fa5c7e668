/*
 * Inside the transaction, so with the write lock, nobody else changes a schema: what another process did meanwhile is
 * seen, and what is found pending then stays so to the commit.
 */
#include "store/migrate.h"

#include <stdbool.h>

#include "store/db.h"
#include "store/store.h"
#include "store/version.h"

/* A step that ended the transaction could not be taken back any more; SQLite refuses it when it is prepared. */
static int authorize_step(void *arg, int action, const char *first, const char *second, const char *database,
                          const char *trigger) {
    (void)arg;
    (void)first;
    (void)second;
    (void)database;
    (void)trigger;
    return action == SQLITE_TRANSACTION || action == SQLITE_ATTACH || action == SQLITE_DETACH ? SQLITE_DENY : SQLITE_OK;
}

static int apply_step(sqlite3 *db, const char *sql, struct theseus_error *err) {
    (void)sqlite3_set_authorizer(db, authorize_step, NULL);
    int r = sqlite3_exec(db, sql, NULL, NULL, NULL);
    if (r != SQLITE_OK)
        (void)fail(err, ERR_INVALID, "%s%s", sqlite3_errmsg(db),
                   r == SQLITE_AUTH ? " (a step may not begin or end a transaction, or attach a file)" : "");
    (void)sqlite3_set_authorizer(db, NULL, NULL);
    return r == SQLITE_OK ? 0 : -1;
}

static int check_references(sqlite3 *db, struct theseus_error *err) {
    CLEANUP(sqlite3_finalize) sqlite3_stmt *check = NULL;

    if (db_prepare(db, "PRAGMA foreign_key_check", &check, err) < 0)
        return -1;
    int r = sqlite3_step(check);
    if (r == SQLITE_DONE)
        return 0;
    if (r != SQLITE_ROW)
        return db_fail(db, err, "cannot check the references between tables");
    return fail(err, ERR_INVALID, "row %lld of table '%s' would refer to nothing in table '%s'",
                sqlite3_column_int64(check, 1), (const char *)sqlite3_column_text(check, 0),
                (const char *)sqlite3_column_text(check, 2));
}

static int apply_steps(sqlite3 *db, struct store_steps *part, struct theseus_error *err) {
    int version = 0, known = version_count_steps(part->steps);

    if (version_find(db, part->component, known, &version, err) < 0)
        return -1;
    for (int i = version; i < known; i++)
        if (apply_step(db, part->steps[i], err) < 0)
            return error_prefix(err, "migration of component '%s', step %d: ", part->component, i + 1);
    part->applied = known - version;
    return known > version ? version_write(db, part->component, known, err) : 0;
}

/* Of all parts together. */
static int count_pending(sqlite3 *db, const struct migration *migration, int *ret_pending, struct theseus_error *err) {
    int pending = 0;

    for (size_t i = 0; i < migration->count; i++) {
        const struct store_steps *part = &migration->parts[i];
        int version = 0, known = version_count_steps(part->steps);
        if (version_find(db, part->component, known, &version, err) < 0)
            return -1;
        pending += known - version;
    }
    *ret_pending = pending;
    return 0;
}

/* "component 'a', steps 2 to 3", or of several: for what only shows when all are applied. */
static int blame(const struct migration *migration, struct theseus_error *err) {
    const struct store_steps *only = NULL;

    for (size_t i = 0; i < migration->count; i++) {
        if (migration->parts[i].applied == 0)
            continue;
        if (only)
            return error_prefix(err, "migration of several components: ");
        only = &migration->parts[i];
    }
    int known = only ? version_count_steps(only->steps) : 0;
    return only ? error_prefix(err, "migration of component '%s', steps %d to %d: ", only->component,
                               known - only->applied + 1, known)
                : -1;
}

static int apply_all(sqlite3 *db, const struct migration *migration, struct theseus_error *err) {
    for (size_t i = 0; i < migration->count; i++)
        if (apply_steps(db, &migration->parts[i], err) < 0)
            return -1;
    return check_references(db, err) < 0 ? blame(migration, err) : 0;
}

static int apply_pending(sqlite3 *db, const struct migration *migration, struct theseus_error *err) {
    int pending = 0;

    if (count_pending(db, migration, &pending, err) < 0)
        return -1;
    if (pending == 0)
        return 0; /* another process was faster */
    if (migration->before && migration->before(migration->arg, err) < 0)
        return -1;
    if (apply_all(db, migration, err) < 0)
        return -1;
    if (migration->committing)
        migration->committing(migration->arg);
    return 0;
}

static int begin(sqlite3 *db, int wait_ms, struct theseus_error *err) {
    if (wait_ms > 0)
        (void)sqlite3_busy_timeout(db, wait_ms);
    int r = db_exec(db, "BEGIN IMMEDIATE", err);
    (void)sqlite3_busy_timeout(db, DB_BUSY_TIMEOUT_MS);
    return r;
}

static int migrate_in_transaction(sqlite3 *db, const struct migration *migration, struct theseus_error *err) {
    if (begin(db, migration->wait_ms, err) < 0)
        return error_prefix(err, "migration: ");
    if (apply_pending(db, migration, err) == 0) {
        if (db_exec(db, "COMMIT", err) == 0)
            return 0;
        (void)error_prefix(err, "migration: ");
    }
    if (!sqlite3_get_autocommit(db)) /* some failures roll back by themselves */
        (void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return -1;
}

/* Whether references are enforced cannot be changed inside a transaction. */
static int set_references(sqlite3 *db, bool enforced, struct theseus_error *err) {
    return db_exec(db, enforced ? "PRAGMA foreign_keys = ON" : "PRAGMA foreign_keys = OFF", err);
}

int store_migrate_all(struct store *store, const struct migration *migration, struct theseus_error *err) {
    sqlite3 *db;
    int pending = 0;

    for (size_t i = 0; i < migration->count; i++)
        migration->parts[i].applied = 0;
    if (store_db(store, &db, err) < 0 || count_pending(db, migration, &pending, err) < 0)
        return -1;
    if (pending == 0)
        return 0;
    if (!sqlite3_get_autocommit(db))
        return fail(err, ERR_BUSY, "the database cannot be migrated inside a transaction");
    if (set_references(db, false, err) < 0)
        return -1;
    int r = migrate_in_transaction(db, migration, err);
    return set_references(db, true, err) < 0 ? -1 : r;
}

int store_migrate(struct store *store, const char *component, const char *const *steps, struct theseus_error *err) {
    struct store_steps part = {.component = component, .steps = steps};
    const struct migration migration = {.parts = &part, .count = 1};

    return store_migrate_all(store, &migration, err);
}
