/*
 * The prepared statements of one connection, by component and SQL text.
 *
 * One thread, the connection's, gets statements and uses them; any thread may forget a component. A forgotten statement
 * is finalised at once unless the connection is inside another component's statement at that moment; then when its
 * thread asks for a statement the next time.
 */
#pragma once

#include <sqlite3.h>

#include "base/error.h"
#include "base/mem.h"

struct statements;

enum { STATEMENTS_MAX = 512 }; /* different texts of one component on one connection */

struct statements *statements_new(sqlite3 *db); /* `db` is borrowed and outlives it */
struct statements *statements_free(struct statements *statements);

/* Borrowed: prepared at most once, reset and without bindings. For one use at a time; the same text is the same
 * statement. */
MUST_CHECK int statements_get(struct statements *statements, const char *component, const char *sql,
                              sqlite3_stmt **ret_statement, struct theseus_error *err);

void statements_forget(struct statements *statements, const char *component); /* any thread */

DEFINE_CLEANUP(struct statements *, statements_free)
