#include "store/migrate.h"

#include <errno.h>
#include <stdbool.h>
#include <unistd.h>

#include "store/db.h"
#include "store/store.h"

static int count_steps(const char *const *steps) {
    int count = 0;

    while (steps && steps[count])
        count++;
    return count;
}

static int has_versions(sqlite3 *db, bool *ret_has, struct theseus_error *err) {
    CLEANUP(sqlite3_finalize) sqlite3_stmt *select = NULL;

    if (db_prepare(db, "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'schema_versions'", &select,
                   err) < 0)
        return -1;
    if (sqlite3_step(select) != SQLITE_ROW)
        return db_fail(db, err, "cannot read the schema");
    *ret_has = sqlite3_column_int(select, 0) > 0;
    return 0;
}

/* How many steps of the component have been applied; 0 for one that was never seen. */
static int read_version(sqlite3 *db, const char *component, int *ret_version, struct theseus_error *err) {
    CLEANUP(sqlite3_finalize) sqlite3_stmt *select = NULL;
    bool has = false;

    if (has_versions(db, &has, err) < 0)
        return -1;
    if (!has) {
        *ret_version = 0;
        return 0;
    }
    if (db_prepare(db, "SELECT version FROM schema_versions WHERE component = ?1", &select, err) < 0)
        return -1;
    (void)sqlite3_bind_text(select, 1, component, -1, SQLITE_STATIC);
    int r = sqlite3_step(select);
    if (r != SQLITE_ROW && r != SQLITE_DONE)
        return db_fail(db, err, "cannot read table schema_versions");
    *ret_version = r == SQLITE_ROW ? sqlite3_column_int(select, 0) : 0;
    return 0;
}

static int write_version(sqlite3 *db, const char *component, int version, struct theseus_error *err) {
    CLEANUP(sqlite3_finalize) sqlite3_stmt *upsert = NULL;

    if (db_prepare(db,
                   "INSERT INTO schema_versions (component, version) VALUES (?1, ?2) "
                   "ON CONFLICT (component) DO UPDATE SET version = excluded.version",
                   &upsert, err) < 0)
        return -1;
    (void)sqlite3_bind_text(upsert, 1, component, -1, SQLITE_STATIC);
    (void)sqlite3_bind_int(upsert, 2, version);
    return sqlite3_step(upsert) == SQLITE_DONE ? 0 : db_fail(db, err, "cannot write table schema_versions");
}

static int find_pending(sqlite3 *db, const char *component, int known, int *ret_version, struct theseus_error *err) {
    if (read_version(db, component, ret_version, err) < 0)
        return -1;
    if (*ret_version > known)
        return fail(err, ERR_NEWER,
                    "the database is newer (component '%s': %d steps, known %d); run the version that wrote it, or a "
                    "later one",
                    component, *ret_version, known);
    return 0;
}

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

/* Inside the transaction, so with the write lock: what another process did meanwhile is seen. */
static int apply_pending(sqlite3 *db, const char *component, const char *const *steps, struct theseus_error *err) {
    const int known = count_steps(steps);
    int version = 0;

    if (db_exec(db,
                "CREATE TABLE IF NOT EXISTS schema_versions "
                "(component TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT",
                err) < 0 ||
        find_pending(db, component, known, &version, err) < 0)
        return -1;
    for (int i = version; i < known; i++)
        if (apply_step(db, steps[i], err) < 0)
            return error_prefix(err, "migration of component '%s', step %d: ", component, i + 1);
    if (check_references(db, err) < 0)
        return error_prefix(err, "migration of component '%s', steps %d to %d: ", component, version + 1, known);
    return write_version(db, component, known, err);
}

static int migrate_in_transaction(sqlite3 *db, const char *component, const char *const *steps,
                                  struct theseus_error *err) {
    if (db_exec(db, "BEGIN IMMEDIATE", err) < 0)
        return error_prefix(err, "migration of component '%s': ", component);
    if (apply_pending(db, component, steps, err) == 0) {
        if (db_exec(db, "COMMIT", err) == 0)
            return 0;
        (void)error_prefix(err, "migration of component '%s': ", component);
    }
    if (!sqlite3_get_autocommit(db)) /* some failures roll back by themselves */
        (void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return -1;
}

/* Whether references are enforced cannot be changed inside a transaction. */
static int set_references(sqlite3 *db, bool enforced, struct theseus_error *err) {
    return db_exec(db, enforced ? "PRAGMA foreign_keys = ON" : "PRAGMA foreign_keys = OFF", err);
}

int store_migrate(struct store *store, const char *component, const char *const *steps, struct theseus_error *err) {
    const int known = count_steps(steps);
    sqlite3 *db;
    int version = 0;

    if (store_db(store, &db, err) < 0 || find_pending(db, component, known, &version, err) < 0)
        return -1;
    if (version == known)
        return 0;
    if (!sqlite3_get_autocommit(db))
        return fail(err, ERR_BUSY, "component '%s' cannot be migrated inside a transaction", component);
    if (set_references(db, false, err) < 0)
        return -1;
    int r = migrate_in_transaction(db, component, steps, err);
    return set_references(db, true, err) < 0 ? -1 : r;
}

static bool is_missing(const struct store *store) {
    return access(store_path(store), F_OK) < 0 && errno == ENOENT;
}

int store_pending(struct store *store, const char *component, const char *const *steps, int *ret_pending,
                  struct theseus_error *err) {
    const int known = count_steps(steps);
    sqlite3 *db;
    int version = 0;

    if (is_missing(store)) {
        *ret_pending = known;
        return 0;
    }
    if (store_db(store, &db, err) < 0 || find_pending(db, component, known, &version, err) < 0)
        return -1;
    *ret_pending = known - version;
    return 0;
}

static int each_row(sqlite3 *db, store_version_fn *visit, void *arg, struct theseus_error *err) {
    CLEANUP(sqlite3_finalize) sqlite3_stmt *select = NULL;
    int r;

    if (db_prepare(db, "SELECT component, version FROM schema_versions WHERE component IS NOT NULL ORDER BY component",
                   &select, err) < 0)
        return -1;
    while ((r = sqlite3_step(select)) == SQLITE_ROW)
        visit(arg, (const char *)sqlite3_column_text(select, 0), sqlite3_column_int(select, 1));
    return r == SQLITE_DONE ? 0 : db_fail(db, err, "cannot read table schema_versions");
}

int migrate_each_version(sqlite3 *db, store_version_fn *visit, void *arg, struct theseus_error *err) {
    bool has = false;

    if (has_versions(db, &has, err) < 0)
        return -1;
    return has ? each_row(db, visit, arg, err) : 0;
}

int store_each_version(struct store *store, store_version_fn *visit, void *arg, struct theseus_error *err) {
    sqlite3 *db;

    if (is_missing(store))
        return 0;
    return store_db(store, &db, err) < 0 ? -1 : migrate_each_version(db, visit, arg, err);
}
