#include "store/mcp_tasks.h"

#include <stddef.h>
#include <stdlib.h>

#include "store/db.h"
#include "store/row.h"
#include "store/schema.h"
#include "store/store.h"

#define COLUMNS "id, tool, uid, created_ms, updated_ms, ttl_ms, status, message, pid, pid_started"

/* The answer is as long as it is; every other text fits a row's limit. */
static const char put_sql[] = "INSERT OR REPLACE INTO mcp_tasks (" COLUMNS ", answer) "
                              "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
static const char claim_sql[] = "UPDATE mcp_tasks SET pid = ?2, pid_started = ?3 "
                                "WHERE id = ?1 AND status = 'working' AND pid = ?4 AND pid_started = ?5";
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

int mcp_task_drop(struct store *store, const char *id, struct theseus_error *err) {
    CLEANUP(sqlite3_reset) sqlite3_stmt *drop = NULL;

    if (schema_for_writing(store, err) < 0 || ask(store, drop_sql, &drop, err) < 0)
        return -1;
    (void)sqlite3_bind_text(drop, 1, id, -1, SQLITE_STATIC);
    return step(drop, err);
}

/* The texts of a statement are gone with it. */
static void keep(const char **text) {
    *text = *text ? xstrdup(*text) : NULL;
}

static void read_row(sqlite3_stmt *select, struct mcp_task_row *ret_row) {
    *ret_row = (struct mcp_task_row){0};
    row_read(select, 0, columns, ARRAY_SIZE(columns), ret_row);
    ret_row->answer = (const char *)sqlite3_column_text(select, ARRAY_SIZE(columns));
    keep(&ret_row->id);
    keep(&ret_row->tool);
    keep(&ret_row->status);
    keep(&ret_row->message);
    keep(&ret_row->answer);
}

void mcp_task_row_fini(struct mcp_task_row *row) {
    free((char *)(uintptr_t)row->id);
    free((char *)(uintptr_t)row->tool);
    free((char *)(uintptr_t)row->status);
    free((char *)(uintptr_t)row->message);
    free((char *)(uintptr_t)row->answer);
    *row = (struct mcp_task_row){0};
}

int mcp_task_find(struct store *store, const char *id, struct mcp_task_row *ret_row, struct theseus_error *err) {
    CLEANUP(sqlite3_reset) sqlite3_stmt *select = NULL;
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
    read_row(select, ret_row);
    return 0;
}

int mcp_task_claim(struct store *store, const struct mcp_task_row *row, int64_t pid, int64_t pid_started,
                   struct theseus_error *err) {
    CLEANUP(sqlite3_reset) sqlite3_stmt *claim = NULL;

    if (schema_for_writing(store, err) < 0 || ask(store, claim_sql, &claim, err) < 0)
        return -1;
    (void)sqlite3_bind_text(claim, 1, row->id, -1, SQLITE_STATIC);
    (void)sqlite3_bind_int64(claim, 2, pid);
    (void)sqlite3_bind_int64(claim, 3, pid_started);
    (void)sqlite3_bind_int64(claim, 4, row->pid);
    (void)sqlite3_bind_int64(claim, 5, row->pid_started);
    if (step(claim, err) < 0)
        return -1;
    return sqlite3_changes(sqlite3_db_handle(claim)) == 1 ? 0 : MCP_TASK_TAKEN;
}

int mcp_tasks_sweep(struct store *store, int64_t now_ms, int *ret_removed, struct theseus_error *err) {
    return schema_expire(store, sweep_sql, now_ms, ret_removed, err);
}
