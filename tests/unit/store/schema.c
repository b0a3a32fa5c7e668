#include "test.h"

#include "store/schema.h"

#include <sqlite3.h>

#include "scratch.h"
#include "store/migrate.h"

static void run(struct store *store, const char *sql) {
    sqlite3 *db = NULL;

    assert_int_equal(store_db(store, &db, NULL), 0);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
}

static void makes_nothing_for_reading(void **state) {
    struct scratch *scratch = *state;

    assert_int_equal(schema_for_reading(scratch->store, NULL), SCHEMA_EMPTY);
    assert_int_equal(access(scratch->path, F_OK), -1);
    run(scratch->store, "CREATE TABLE of_a_plugin (x)");
    assert_int_equal(schema_for_reading(scratch->store, NULL), SCHEMA_EMPTY);
}

static void makes_the_tables_for_writing(void **state) {
    assert_int_equal(schema_for_writing(store_of(state), NULL), 0);
    assert_int_equal(schema_for_reading(store_of(state), NULL), 0);
    run(store_of(state), "SELECT count(*) FROM history; SELECT count(*) FROM audit");
    assert_int_equal(schema_for_writing(store_of(state), NULL), 0);
}

static void leaves_an_older_database_to_the_migration(void **state) {
    const char *const first_step[] = {schema_core_steps[0], NULL};
    struct theseus_error read_err = {0}, write_err = {0};

    assert_int_equal(store_migrate(store_of(state), SCHEMA_CORE, first_step, NULL), 0);
    assert_int_equal(schema_for_reading(store_of(state), &read_err), -1);
    assert_int_equal(read_err.code, ERR_BUSY);
    assert_int_equal(schema_for_writing(store_of(state), &write_err), -1);
    assert_non_null(strstr(write_err.message, "schema_migration"));
    assert_int_equal(store_migrate(store_of(state), SCHEMA_CORE, schema_core_steps, NULL), 0);
    assert_int_equal(schema_for_writing(store_of(state), NULL), 0);
}

static void refuses_a_newer_database(void **state) {
    struct theseus_error err = {0};

    assert_int_equal(schema_for_writing(store_of(state), NULL), 0);
    run(store_of(state), "UPDATE schema_versions SET version = version + 1 WHERE component = 'core'");
    assert_int_equal(schema_for_reading(store_of(state), &err), -1);
    assert_int_equal(err.code, ERR_NEWER);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_SCRATCH(makes_nothing_for_reading),
        WITH_SCRATCH(makes_the_tables_for_writing),
        WITH_SCRATCH(leaves_an_older_database_to_the_migration),
        WITH_SCRATCH(refuses_a_newer_database),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
