#include "store/mcp_tasks.h"

#include <stddef.h>

#include "store/db.h"
#include "store/row.h"
#include "store/schema.h"
#include "store/store.h"

#define COLUMNS "id, tool, uid, created_ms, updated_ms, ttl_ms, status, message, pid, pid_started"

/* The answer is as long as it is; every other text fits a row's limit. */
static const char put_sql[] = "INSERT OR REPLACE INTO mcp_tasks (" COLUMNS ", answer) "
                              "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
static const char update_sql[] = "UPDATE mcp_tasks SET updated_ms = ?2, message = ?3 WHERE id = ?1";
static const char select_sql[] = "SELECT " COLUMNS ", answer FROM mcp_tasks WHERE id = ?1";
static const char drop_sql[] = "DELETE FROM mcp_tasks WHERE id = ?1";
static const char sweep_sql[] = "DELETE FROM mcp_tasks WHERE created_ms + ttl_ms < ?1 AND status <> 'working'";

#define COLUMN(type, member) \
    { type, offsetof(struct mcp_task_row, member) }

/* In the order of COLUMNS. */
static const struct row_column columns[] = {
    COLUMN(ROW_TEXT, id),
    COLUMN(ROW_TEXT, tool),
    COLUMN(ROW_INTEGER, uid),
    COLUMN(ROW_INTEGER, created_ms),
    COLUMN(ROW_INTEGER, updated_ms),
    COLUMN(ROW_INTEGER, ttl_ms),
    COLUMN(ROW_TEXT, status),
    COLUMN(ROW_TEXT, message),
    COLUMN(ROW_INTEGER, pid),
    COLUMN(ROW_INTEGER, pid_started),
};

static int ask(struct store *store, const char *sql, sqlite3_stmt **ret_statement, struct theseus_error *err) {
    return store_statement(store, SCHEMA_CORE, sql, ret_statement, err);
}

static int step(sqlite3_stmt *statement, struct theseus_error *err) {
    if (sqlite3_step(statement) == SQLITE_DONE)
        return 0;
    return db_fail(sqlite3_db_handle(statement), err, "a task cannot be kept in the database");
}

int mcp_task_put(struct store *store, const struct mcp_task_row *row, struct theseus_error *err) {
    CLEANUP(sqlite3_reset) sqlite3_stmt *put = NULL;

    if (schema_for_writing(store, err) < 0 || ask(store, put_sql, &put, err) < 0)
        return -1;
    row_bind(put, 1, columns, ARRAY_SIZE(columns), row);
    (void)sqlite3_bind_text(put, ARRAY_SIZE(columns) + 1, row->answer, -1, SQLITE_STATIC);
    return step(put, err);
}

int mcp_task_update(struct store *store, const char *id, int64_t now_ms, const char *message,
                    struct theseus_error *err) {
    CLEANUP(sqlite3_reset) sqlite3_stmt *update = NULL;

    if (schema_for_writing(store, err) < 0 || ask(store, update_sql, &update, err) < 0)
        return -1;
    (void)sqlite3_bind_text(update, 1, id, -1, SQLITE_STATIC);
    (void)sqlite3_bind_int64(update, 2, now_ms);
    (void)sqlite3_bind_text(update, 3, message, -1, SQLITE_STATIC);
    return step(update, err);
}

int mcp_task_drop(struct store *store, const char *id, struct theseus_error *err) {
    CLEANUP(sqlite3_reset) sqlite3_stmt *drop = NULL;

    if (schema_for_writing(store, err) < 0 || ask(store, drop_sql, &drop, err) < 0)
        return -1;
    (void)sqlite3_bind_text(drop, 1, id, -1, SQLITE_STATIC);
    return step(drop, err);
}

int mcp_task_find(struct store *store, const char *id, mcp_task_visit_fn *visit, void *arg, struct theseus_error *err) {
    CLEANUP(sqlite3_reset) sqlite3_stmt *select = NULL;
    struct mcp_task_row row = {0};
    int r = schema_for_reading(store, err);

    if (r == SCHEMA_EMPTY)
        return MCP_TASK_NONE;
    if (r < 0 || ask(store, select_sql, &select, err) < 0)
        return -1;
    (void)sqlite3_bind_text(select, 1, id, -1, SQLITE_STATIC);
    r = sqlite3_step(select);
    if (r == SQLITE_DONE)
        return MCP_TASK_NONE;
    if (r != SQLITE_ROW)
        return db_fail(sqlite3_db_handle(select), err, "a task cannot be read");
    row_read(select, 0, columns, ARRAY_SIZE(columns), &row);
    row.answer = (const char *)sqlite3_column_text(select, ARRAY_SIZE(columns));
    visit(arg, &row);
    return 0;
}

int mcp_tasks_sweep(struct store *store, int64_t now_ms, int *ret_removed, struct theseus_error *err) {
    return schema_expire(store, sweep_sql, now_ms, ret_removed, err);
}
