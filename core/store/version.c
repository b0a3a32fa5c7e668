#include "store/version.h"

#include <errno.h>
#include <stdbool.h>
#include <unistd.h>

#include "store/db.h"
#include "store/store.h"

int version_count_steps(const char *const *steps) {
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

int version_write(sqlite3 *db, const char *component, int version, struct theseus_error *err) {
    CLEANUP(sqlite3_finalize) sqlite3_stmt *upsert = NULL;

    if (db_exec(db,
                "CREATE TABLE IF NOT EXISTS schema_versions "
                "(component TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT",
                err) < 0 ||
        db_prepare(db,
                   "INSERT INTO schema_versions (component, version) VALUES (?1, ?2) "
                   "ON CONFLICT (component) DO UPDATE SET version = excluded.version",
                   &upsert, err) < 0)
        return -1;
    (void)sqlite3_bind_text(upsert, 1, component, -1, SQLITE_STATIC);
    (void)sqlite3_bind_int(upsert, 2, version);
    return sqlite3_step(upsert) == SQLITE_DONE ? 0 : db_fail(db, err, "cannot write table schema_versions");
}

int version_newer(const char *component, int version, int known, struct theseus_error *err) {
    return fail(err, ERR_NEWER,
                "the database is newer (component '%s': %d steps, known %d); run the version that wrote it, or a "
                "later one",
                component, version, known);
}

int version_find(sqlite3 *db, const char *component, int known, int *ret_version, struct theseus_error *err) {
    if (read_version(db, component, ret_version, err) < 0)
        return -1;
    return *ret_version > known ? version_newer(component, *ret_version, known, err) : 0;
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

int version_each(sqlite3 *db, store_version_fn *visit, void *arg, struct theseus_error *err) {
    bool has = false;

    if (has_versions(db, &has, err) < 0)
        return -1;
    return has ? each_row(db, visit, arg, err) : 0;
}

static bool is_missing(const struct store *store) {
    return access(store_path(store), F_OK) < 0 && errno == ENOENT;
}

int store_pending(struct store *store, const char *component, const char *const *steps, int *ret_pending,
                  struct theseus_error *err) {
    const int known = version_count_steps(steps);
    sqlite3 *db;
    int version = 0;

    if (is_missing(store)) {
        *ret_pending = known;
        return 0;
    }
    if (store_db(store, &db, err) < 0 || version_find(db, component, known, &version, err) < 0)
        return -1;
    *ret_pending = known - version;
    return 0;
}

int store_each_version(struct store *store, store_version_fn *visit, void *arg, struct theseus_error *err) {
    sqlite3 *db;

    if (is_missing(store))
        return 0;
    return store_db(store, &db, err) < 0 ? -1 : version_each(db, visit, arg, err);
}
