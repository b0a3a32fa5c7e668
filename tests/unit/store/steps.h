/* Lists of steps: what comes of one that was interrupted by a version of the program, as by all at once. */
#pragma once

#include <stdlib.h>

#include <sqlite3.h>

#include "base/mem.h"
#include "store/migrate.h"
#include "store/store.h"

static inline int steps_count(const char *const *steps) {
    int count = 0;

    while (steps[count])
        count++;
    return count;
}

/* The first `count` of them, as an older version knew them. Owned array of borrowed texts. */
static inline const char **steps_of_version(const char *const *steps, int count) {
    const char **first = xcalloc((size_t)count + 1, sizeof(*first));

    for (int i = 0; i < count; i++)
        first[i] = steps[i];
    return first;
}

static inline char *steps_text(struct store *store, const char *sql) {
    sqlite3_stmt *statement = NULL;
    struct theseus_error err = {0};

    if (store_statement(store, "test", sql, &statement, &err) < 0)
        print_error("%s\n", err.message);
    assert_int_equal(err.code, ERR_UNSET);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    const char *text = (const char *)sqlite3_column_text(statement, 0);
    char *copy = xstrdup(text ? text : "");
    assert_int_equal(sqlite3_reset(statement), SQLITE_OK);
    return copy;
}

/* Everything that the schema has, in the order of names; and columns, which a rebuilt table may write differently. */
static inline char *steps_schema(struct store *store) {
    return steps_text(store, "SELECT group_concat(line, char(10)) FROM (SELECT s.type || ' ' || s.name || ' ' || "
                             "coalesce((SELECT group_concat(c.name || ' ' || c.type || ' ' || c.\"notnull\" || ' ' || "
                             "c.pk || ' ' || coalesce(c.dflt_value, '-'), ', ') FROM pragma_table_info(s.name) c), '') "
                             "AS line FROM sqlite_schema s ORDER BY 1)");
}

static inline void steps_is_sound(struct store *store) {
    CLEANUP(free) char *verdict = steps_text(store, "PRAGMA integrity_check");
    CLEANUP(free) char *dangling = steps_text(store, "SELECT count(*) FROM pragma_foreign_key_check");

    assert_string_equal(verdict, "ok");
    assert_string_equal(dangling, "0");
}
