#include "store/schema.h"

#include "store/db.h"
#include "store/store.h"

#include <stddef.h>

#include "base/mem.h"
#include "store/migrate.h"

const char *const schema_core_steps[] = {
    "CREATE TABLE history ("
    "  id INTEGER PRIMARY KEY,"
    "  kind TEXT NOT NULL CHECK (kind IN ('restart', 'reload', 'crash')),"
    "  reason TEXT, mechanism TEXT, phase TEXT, subject TEXT,"
    "  success INTEGER NOT NULL, graceful INTEGER NOT NULL, preserve_state INTEGER NOT NULL,"
    "  client_name TEXT, client_version TEXT, transport TEXT, uid INTEGER,"
    "  boot_before TEXT, boot_after TEXT, version_before TEXT, version_after TEXT,"
    "  started_ms INTEGER NOT NULL,"
    "  duration_ms REAL, blackout_ms REAL, held_ms REAL, suspend_ms REAL,"
    "  requests_held INTEGER, calls_resumed INTEGER, calls_interrupted INTEGER, bytes_carried INTEGER,"
    "  records_differing INTEGER, requests_unanswered INTEGER, calls_lost INTEGER,"
    "  connections_lost INTEGER, connections_resumed INTEGER,"
    "  errors TEXT"
    ") STRICT;"
    "CREATE INDEX history_started ON history (started_ms)",

    "CREATE TABLE audit ("
    "  id INTEGER PRIMARY KEY,"
    "  at_ms INTEGER NOT NULL,"
    "  client_name TEXT, client_version TEXT, transport TEXT, uid INTEGER, session TEXT,"
    "  action TEXT NOT NULL, target TEXT, result TEXT NOT NULL, detail TEXT"
    ") STRICT;"
    "CREATE INDEX audit_at ON audit (at_ms)",

    "CREATE TABLE mcp_tasks ("
    "  id TEXT PRIMARY KEY,"
    "  tool TEXT NOT NULL, uid INTEGER NOT NULL,"
    "  created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL, ttl_ms INTEGER NOT NULL,"
    "  status TEXT NOT NULL CHECK (status IN ('working', 'completed', 'failed', 'cancelled')),"
    "  message TEXT, answer TEXT,"
    "  pid INTEGER NOT NULL, pid_started INTEGER NOT NULL"
    ") STRICT, WITHOUT ROWID;"
    "CREATE INDEX mcp_tasks_created ON mcp_tasks (created_ms)",
    NULL,
};

enum { STEPS = ARRAY_SIZE(schema_core_steps) - 1 };

int schema_core_count(void) {
    return STEPS;
}

static int refuse_older(struct store *store, int pending, struct theseus_error *err) {
    store_tell_mismatch(store, ERR_BUSY);
    return fail(err, ERR_BUSY,
                "the database is of an older version (%d of %d steps are pending): restart with reason "
                "schema_migration",
                pending, (int)STEPS);
}

int schema_for_reading(struct store *store, struct theseus_error *err) {
    struct theseus_error why = {0};
    int pending = 0;

    if (store_pending(store, SCHEMA_CORE, schema_core_steps, &pending, &why) < 0) {
        if (why.code == ERR_NEWER)
            store_tell_mismatch(store, ERR_NEWER);
        return fail(err, (enum errc)why.code, "%s", why.message);
    }
    if (pending == STEPS)
        return SCHEMA_EMPTY;
    return pending == 0 ? 0 : refuse_older(store, pending, err);
}

int schema_for_writing(struct store *store, struct theseus_error *err) {
    int r = schema_for_reading(store, err);

    return r == SCHEMA_EMPTY ? store_migrate(store, SCHEMA_CORE, schema_core_steps, err) : r;
}

int schema_expire(struct store *store, const char *sql, int64_t before_ms, int *ret_removed,
                  struct theseus_error *err) {
    CLEANUP(sqlite3_reset) sqlite3_stmt *delete = NULL;
    int r = schema_for_reading(store, err);

    *ret_removed = 0;
    if (r == SCHEMA_EMPTY)
        return 0;
    if (r < 0 || store_statement(store, SCHEMA_CORE, sql, &delete, err) < 0)
        return -1;
    (void)sqlite3_bind_int64(delete, 1, before_ms);
    if (sqlite3_step(delete) != SQLITE_DONE)
        return db_fail(sqlite3_db_handle(delete), err, "cannot remove what is old");
    *ret_removed = sqlite3_changes(sqlite3_db_handle(delete));
    return 0;
}
