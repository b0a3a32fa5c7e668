#include "store/audit.h"

#include <stddef.h>

#include "base/clock.h"
#include "base/mem.h"
#include "store/db.h"
#include "store/row.h"
#include "store/schema.h"
#include "store/store.h"

#define COLUMNS "at_ms, client_name, client_version, transport, uid, session, action, target, result, detail"

static const char insert_sql[] = "INSERT INTO audit (" COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
static const char select_sql[] =
    "SELECT " COLUMNS " FROM audit WHERE at_ms >= ?1 ORDER BY at_ms DESC, id DESC LIMIT ?2";
static const char last_sql[] = "SELECT " COLUMNS " FROM audit WHERE action = ?1 ORDER BY at_ms DESC, id DESC LIMIT 1";
static const char delete_sql[] = "DELETE FROM audit WHERE at_ms < ?1";
static const char shorten_sql[] = /* in the order in which they were written */
    "DELETE FROM audit WHERE id <= (SELECT id FROM audit ORDER BY id DESC LIMIT 1 OFFSET ?1)";

#define COLUMN(type, member) \
    { type, offsetof(struct audit_line, member) }

/* In the order of COLUMNS. */
static const struct row_column columns[] = {
    COLUMN(ROW_INTEGER, at_ms),     COLUMN(ROW_TEXT, by.name),   COLUMN(ROW_TEXT, by.version),
    COLUMN(ROW_TEXT, by.transport), COLUMN(ROW_INTEGER, by.uid), COLUMN(ROW_TEXT, session),
    COLUMN(ROW_TEXT, action),       COLUMN(ROW_TEXT, target),    COLUMN(ROW_TEXT, result),
    COLUMN(ROW_TEXT, detail),
};

static int ask(struct store *store, const char *sql, sqlite3_stmt **ret_statement, struct theseus_error *err) {
    return store_statement(store, SCHEMA_CORE, sql, ret_statement, err);
}

int audit_add(struct store *store, const struct audit_line *line, struct theseus_error *err) {
    CLEANUP(sqlite3_reset) sqlite3_stmt *insert = NULL;

    if (schema_for_writing(store, err) < 0 || ask(store, insert_sql, &insert, err) < 0)
        return -1;
    row_bind(insert, 1, columns, ARRAY_SIZE(columns), line);
    if (sqlite3_step(insert) != SQLITE_DONE)
        return db_fail(sqlite3_db_handle(insert), err, "cannot write a line of the audit");
    return 0;
}

static json_t *pack(const struct audit_line *line) {
    char at[CLOCK_TEXT_BYTES];

    return json_pack("{s:s, s:s, s:s?, s:s, s:s?, s:s?, s:{s:s?, s:s?, s:s?, s:o}}", "timestamp",
                     clock_rfc3339(line->at_ms, at), "action", line->action, "target", line->target, "result",
                     line->result, "detail", line->detail, "session", line->session, "requested_by", "name",
                     line->by.name, "version", line->by.version, "transport", line->by.transport, "uid",
                     line->by.uid < 0 ? json_null() : json_integer(line->by.uid));
}

static int read_lines(sqlite3_stmt *select, json_t *list, struct theseus_error *err) {
    int r;

    while ((r = sqlite3_step(select)) == SQLITE_ROW) {
        struct audit_line line = {0};
        row_read(select, 0, columns, ARRAY_SIZE(columns), &line);
        if (json_array_append_new(list, pack(&line)) < 0)
            return fail(err, ERR_MEMORY, "no memory to list the audit");
    }
    return r == SQLITE_DONE ? 0 : db_fail(sqlite3_db_handle(select), err, "cannot read the audit");
}

int audit_list(struct store *store, int64_t since_ms, int limit, json_t **ret_list, struct theseus_error *err) {
    CLEANUP(sqlite3_reset) sqlite3_stmt *select = NULL;
    json_auto_t *list = json_array();
    int r = schema_for_reading(store, err);

    if (r < 0 || (r == 0 && ask(store, select_sql, &select, err) < 0))
        return -1;
    if (select) {
        (void)sqlite3_bind_int64(select, 1, since_ms);
        (void)sqlite3_bind_int(select, 2, limit > 0 ? limit : -1);
        if (read_lines(select, list, err) < 0)
            return -1;
    }
    if (!list)
        return fail(err, ERR_MEMORY, "no memory to list the audit");
    *ret_list = TAKE_PTR(list);
    return 0;
}

int audit_last(struct store *store, const char *action, json_t **ret_line, struct theseus_error *err) {
    CLEANUP(sqlite3_reset) sqlite3_stmt *select = NULL;
    json_auto_t *list = json_array();
    int r = schema_for_reading(store, err);

    if (r < 0 || (r == 0 && ask(store, last_sql, &select, err) < 0))
        return -1;
    if (select) {
        (void)sqlite3_bind_text(select, 1, action, -1, SQLITE_STATIC);
        if (read_lines(select, list, err) < 0)
            return -1;
    }
    *ret_line = json_incref(json_array_get(list, 0));
    return 0;
}

int audit_sweep(struct store *store, int64_t before_ms, int *ret_removed, struct theseus_error *err) {
    return schema_expire(store, delete_sql, before_ms, ret_removed, err);
}

int audit_shorten(struct store *store, int most, int *ret_removed, struct theseus_error *err) {
    return schema_expire(store, shorten_sql, most, ret_removed, err);
}
