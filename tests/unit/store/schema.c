#include "test.h"

#include "store/schema.h"

#include <sqlite3.h>

#include "base/hash.h"
#include "scratch.h"
#include "steps.h"
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

/* A row in each table that there is. */
static const struct {
    const char *table, *insert;
} rows[] = {
    {"history", "INSERT INTO history (kind, reason, success, graceful, preserve_state, started_ms) "
                "VALUES ('restart', 'kept', 1, 1, 1, 77)"},
    {"audit", "INSERT INTO audit (at_ms, action, result, detail) VALUES (77, 'restart', 'refused', 'kept')"},
};

static bool has_table(struct store *store, const char *name) {
    CLEANUP(free)
    char *sql = xasprintf("SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = '%s'", name);
    CLEANUP(free) char *count = steps_text(store, sql);

    return strcmp(count, "1") == 0;
}

static void has_kept(struct store *store, const char *table, bool had) {
    CLEANUP(free) char *sql = xasprintf("SELECT count(*) FROM %s", table);
    CLEANUP(free) char *count = steps_text(store, sql);

    assert_string_equal(count, had ? "1" : "0");
}

static void comes_to_the_same_from_every_version_that_there_was(void **state) {
    struct scratch *scratch = *state;
    const int known = steps_count(schema_core_steps);

    assert_int_equal(schema_core_count(), known);
    assert_int_equal(schema_for_writing(scratch->store, NULL), 0);
    CLEANUP(free) char *expected = steps_schema(scratch->store);
    for (int version = 1; version < known; version++) {
        CLEANUP(free) const char **first = steps_of_version(schema_core_steps, version);
        CLEANUP(free) char *path = xasprintf("%s.%d", scratch->path, version);
        CLEANUP(store_free) struct store *store = store_new(path);
        bool had[ARRAY_SIZE(rows)];
        assert_int_equal(store_migrate(store, SCHEMA_CORE, first, NULL), 0);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
            if ((had[i] = has_table(store, rows[i].table)))
                run(store, rows[i].insert);
        assert_int_equal(store_migrate(store, SCHEMA_CORE, schema_core_steps, NULL), 0);
        CLEANUP(free) char *schema = steps_schema(store);
        assert_string_equal(schema, expected);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
            has_kept(store, rows[i].table, had[i]);
        steps_is_sound(store);
        assert_int_equal(schema_for_reading(store, NULL), 0);
    }
}

/* Databases have been made with it: a change comes as a further step. A new step's hash goes to the end. */
static void has_no_published_step_that_has_changed(void **state) {
    static const char *const published[] = {
        "ba723ed7cfce89df0c032d4fc35a6616",
        "71740e6a25787b5b29f56bee78dc7f72",
        "0efb50941226cd4016bb12377beb03a2",
    };

    (void)state;
    assert_int_equal(steps_count(schema_core_steps), ARRAY_SIZE(published));
    for (size_t i = 0; i < ARRAY_SIZE(published); i++) {
        char hash[HASH_TEXT_BYTES];
        hash_text(span_of(schema_core_steps[i]), hash);
        assert_string_equal(hash, published[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_SCRATCH(makes_nothing_for_reading),
        WITH_SCRATCH(makes_the_tables_for_writing),
        WITH_SCRATCH(leaves_an_older_database_to_the_migration),
        WITH_SCRATCH(refuses_a_newer_database),
        WITH_SCRATCH(comes_to_the_same_from_every_version_that_there_was),
        cmocka_unit_test(has_no_published_step_that_has_changed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
