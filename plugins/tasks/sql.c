#include "sql.h"

#include <string.h>

#include "tasks.h"

static sqlite3 *db_of(const struct work *work) {
    return theseus_db(work->tasks->ctx);
}

static const char *advice(int result) {
    switch (result & 0xff) {
    case SQLITE_FULL:
        return "the disk is full; nothing of this call was stored: free some space and call again";
    case SQLITE_READONLY:
        return "the database cannot be written; nothing of this call was stored: make its directory and its files "
               "writable and call again";
    case SQLITE_CANTOPEN:
        return "the database cannot be opened; nothing of this call was stored: look at the rights of its directory";
    case SQLITE_IOERR:
        return "the disk did not take it; nothing of this call was stored: see to space and health of the disk, and "
               "call again";
    case SQLITE_BUSY:
        return "another process keeps the database for itself; nothing of this call was stored: call again";
    case SQLITE_INTERRUPT:
        return "the server is being restarted; nothing of this call was stored: call again";
    default:
        return NULL;
    }
}

int sql_fail(struct work *work) {
    sqlite3 *db = db_of(work);
    int result = db ? sqlite3_extended_errcode(db) : SQLITE_CANTOPEN;
    const char *words = db ? sqlite3_errmsg(db) : theseus_last_error(work->tasks->ctx->host);

    work->broken = true;
    if (db && advice(result))
        return work_refuse(work, "%s (%s)", advice(result), words);
    return work_refuse(work, "the database refused it, nothing of this call was stored: %s", words);
}

bool sql_is_duplicate(struct work *work) {
    int result = sqlite3_extended_errcode(db_of(work));

    return result == SQLITE_CONSTRAINT_UNIQUE || result == SQLITE_CONSTRAINT_PRIMARYKEY;
}

static void bind_number(sqlite3_stmt *statement, int at, int64_t number, bool zero_is_null) {
    if (number == 0 && zero_is_null)
        (void)sqlite3_bind_null(statement, at);
    else
        (void)sqlite3_bind_int64(statement, at, number);
}

static sqlite3_stmt *query(struct work *work, const char *text, const char *types, va_list args) {
    sqlite3_stmt *statement = theseus_statement(work->tasks->ctx, text);

    if (!statement) {
        work->broken = true;
        (void)work_refuse(work, "the database cannot be used: %s", theseus_last_error(work->tasks->ctx->host));
        return NULL;
    }
    for (int at = 1; *types; at++, types++)
        if (*types == 's')
            (void)sqlite3_bind_text(statement, at, va_arg(args, const char *), -1, SQLITE_STATIC);
        else
            bind_number(statement, at, va_arg(args, int64_t), *types == 'o');
    return statement;
}

sqlite3_stmt *sql_query(struct work *work, const char *text, const char *types, ...) {
    va_list args;

    va_start(args, types);
    sqlite3_stmt *statement = query(work, text, types, args);
    va_end(args);
    return statement;
}

int sql_next(struct work *work, sqlite3_stmt *statement) {
    int r = statement ? sqlite3_step(statement) : SQLITE_ERROR;

    if (r == SQLITE_ROW)
        return 1;
    if (!statement)
        return -1;
    if (r != SQLITE_DONE)
        (void)sql_fail(work);
    (void)sqlite3_reset(statement); /* repeats the error, which was reported */
    return r == SQLITE_DONE ? 0 : -1;
}

int sql_run(struct work *work, const char *text, const char *types, ...) {
    va_list args;

    va_start(args, types);
    CLEANUP(sql_done) sqlite3_stmt *statement = query(work, text, types, args);
    va_end(args);
    return sql_next(work, statement) < 0 ? -1 : 0;
}

int sql_number(struct work *work, int64_t missing, int64_t *ret_number, const char *text, const char *types, ...) {
    va_list args;

    va_start(args, types);
    CLEANUP(sql_done) sqlite3_stmt *statement = query(work, text, types, args);
    va_end(args);
    int r = sql_next(work, statement);
    if (r < 0)
        return -1;
    *ret_number =
        r > 0 && sqlite3_column_type(statement, 0) != SQLITE_NULL ? sqlite3_column_int64(statement, 0) : missing;
    return 0;
}

void sql_done(sqlite3_stmt **statement) {
    if (sqlite3_stmt_busy(*statement))   /* else sql_next() has seen its end, and reset it */
        (void)sqlite3_reset(*statement); /* repeats the error of its last step, which was reported then */
}

const char *sql_text(sqlite3_stmt *row, int column) {
    return (const char *)sqlite3_column_text(row, column);
}
