#include "test.h"

#include "store/statements.h"

#include <stdlib.h>

static int open_memory(void **state) {
    return sqlite3_open(":memory:", (sqlite3 **)state) == SQLITE_OK ? 0 : -1;
}

static int close_memory(void **state) {
    return sqlite3_close(*state); /* fails when a statement was not finalised */
}

static void finds_a_statement_again_by_its_text(void **state) {
    CLEANUP(statements_free) struct statements *statements = statements_new(*state);
    char text[] = "SELECT ?1", copy[] = "SELECT ?1";
    sqlite3_stmt *first = NULL, *again = NULL, *other = NULL;

    assert_int_equal(statements_get(statements, "a", text, &first, NULL), 0);
    memset(text, 'x', sizeof(text) - 1); /* the caller's text may go */
    assert_int_equal(statements_get(statements, "a", copy, &again, NULL), 0);
    assert_ptr_equal(first, again);
    assert_int_equal(statements_get(statements, "b", copy, &other, NULL), 0);
    assert_ptr_not_equal(first, other);
}

static void hands_a_statement_out_reset_and_unbound(void **state) {
    CLEANUP(statements_free) struct statements *statements = statements_new(*state);
    sqlite3_stmt *statement = NULL;

    assert_int_equal(statements_get(statements, "a", "SELECT ?1", &statement, NULL), 0);
    assert_int_equal(sqlite3_bind_int(statement, 1, 7), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    assert_true(sqlite3_stmt_busy(statement));
    assert_int_equal(statements_get(statements, "a", "SELECT ?1", &statement, NULL), 0);
    assert_false(sqlite3_stmt_busy(statement));
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    assert_int_equal(sqlite3_column_type(statement, 0), SQLITE_NULL);
}

static void names_the_component_whose_sql_fails(void **state) {
    CLEANUP(statements_free) struct statements *statements = statements_new(*state);
    struct theseus_error err = {0};
    sqlite3_stmt *statement = NULL;

    assert_int_equal(statements_get(statements, "tasks", "SELEC 1", &statement, &err), -1);
    assert_string_equal(err.message, "component 'tasks': 'SELEC 1': near \"SELEC\": syntax error");
    assert_null(statement);
}

static void takes_as_many_texts_as_the_limit_and_no_more(void **state) {
    CLEANUP(statements_free) struct statements *statements = statements_new(*state);
    struct theseus_error err = {0};
    sqlite3_stmt *statement = NULL;

    for (int i = 0; i < STATEMENTS_MAX; i++) {
        CLEANUP(free) char *sql = xasprintf("SELECT %d", i);
        assert_int_equal(statements_get(statements, "a", sql, &statement, NULL), 0);
    }
    assert_int_equal(statements_get(statements, "a", "SELECT 'more'", &statement, &err), -1);
    assert_int_equal(err.code, ERR_LIMIT);
    assert_int_equal(statements_get(statements, "a", "SELECT 1", &statement, NULL), 0);
    assert_int_equal(statements_get(statements, "b", "SELECT 'more'", &statement, NULL), 0);
}

static void finalises_what_is_forgotten(void **state) {
    CLEANUP(statements_free) struct statements *statements = statements_new(*state);
    sqlite3_stmt *statement = NULL;

    assert_int_equal(statements_get(statements, "a", "SELECT 1", &statement, NULL), 0);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW); /* even one that nobody reset */
    statements_forget(statements, "a");
    statements_forget(statements, "a");
    assert_null(sqlite3_next_stmt(*state, NULL));
    assert_int_equal(statements_get(statements, "a", "SELECT 1", &statement, NULL), 0);
}

int main(void) {
#define memory_test(function) cmocka_unit_test_setup_teardown(function, open_memory, close_memory)
    const struct CMUnitTest tests[] = {
        memory_test(finds_a_statement_again_by_its_text), memory_test(hands_a_statement_out_reset_and_unbound),
        memory_test(names_the_component_whose_sql_fails), memory_test(takes_as_many_texts_as_the_limit_and_no_more),
        memory_test(finalises_what_is_forgotten),
    };

    return cmocka_run_group_tests_name("store/statements", tests, NULL, NULL);
}
