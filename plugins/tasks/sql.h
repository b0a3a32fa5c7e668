/*
 * SQL for a run of a tool: statements are prepared once a thread, bound by a word of types, and every failure of the
 * database becomes the run's error.
 *
 *     CLEANUP(sql_done) sqlite3_stmt *rows = sql_query(work, "SELECT title FROM tasks WHERE session = ?1", "i", id);
 *     while ((r = sql_next(work, rows)) > 0)
 *         ... sqlite3_column_text(rows, 0) ...
 *
 * The same text is the same statement: it may not be asked for again while its rows are still read.
 */
#pragma once

#include <sqlite3.h>

#include "work.h"

/*
 * One letter a value: 's' const char * (NULL is NULL), 'i' int64_t, 'o' int64_t of which 0 is NULL. Texts are borrowed
 * until the statement is done. NULL: it failed, `err` says why.
 */
sqlite3_stmt *sql_query(struct work *work, const char *text, const char *types, ...);
/* 1: a row; 0: there is none, and the statement is done; -1: it failed. A NULL statement has failed already. */
int sql_next(struct work *work, sqlite3_stmt *statement);
/* A statement without rows, from beginning to end. 0 or -1. */
int sql_run(struct work *work, const char *text, const char *types, ...);
/* One number of one row; `missing` where there is no row or it is NULL. 0 or -1. */
int sql_number(struct work *work, int64_t missing, int64_t *ret_number, const char *text, const char *types, ...);

void sql_done(sqlite3_stmt **statement);             /* for CLEANUP */
const char *sql_text(sqlite3_stmt *row, int column); /* borrowed until the next row; NULL is NULL */

/* Turns the database's last failure on this thread into the run's error. Returns -1. */
int sql_fail(struct work *work);
bool sql_is_duplicate(struct work *work); /* did the last statement fail because a name is taken? */
