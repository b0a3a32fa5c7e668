#include "test.h"

#include "store/migrate.h"

#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/fs.h"
#include "base/mem.h"
#include "scratch.h"
#include "store/store.h"

enum { PROCESSES = 4 };

static const char *const kv_steps[] = {
    "CREATE TABLE kv (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT; INSERT INTO kv VALUES ('a', '1')",
    "ALTER TABLE kv ADD COLUMN expires INTEGER",
    "UPDATE kv SET expires = 9",
    NULL,
};

static int64_t ask(struct store *store, const char *sql) {
    sqlite3_stmt *statement = NULL;

    assert_int_equal(store_statement(store, "test", sql, &statement, NULL), 0);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t answer = sqlite3_column_int64(statement, 0);
    assert_int_equal(sqlite3_reset(statement), SQLITE_OK);
    return answer;
}

static int run(struct store *store, const char *sql) {
    sqlite3 *db = NULL;

    assert_int_equal(store_db(store, &db, NULL), 0);
    return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

static int pending(struct store *store, const char *component, const char *const *steps) {
    int count = -1;

    assert_int_equal(store_pending(store, component, steps, &count, NULL), 0);
    return count;
}

static void applies_all_steps_in_order(void **state) {
    assert_int_equal(store_migrate(store_of(state), "kv", kv_steps, NULL), 0);
    assert_int_equal(ask(store_of(state), "SELECT expires FROM kv WHERE key = 'a'"), 9);
    assert_int_equal(ask(store_of(state), "SELECT version FROM schema_versions WHERE component = 'kv'"), 3);
}

static void applies_only_what_is_pending(void **state) {
    const char *const first[] = {kv_steps[0], NULL};

    assert_int_equal(store_migrate(store_of(state), "kv", first, NULL), 0);
    assert_int_equal(run(store_of(state), "INSERT INTO kv VALUES ('b', '2')"), SQLITE_OK);
    assert_int_equal(pending(store_of(state), "kv", kv_steps), 2);
    assert_int_equal(store_migrate(store_of(state), "kv", kv_steps, NULL), 0);
    assert_int_equal(store_migrate(store_of(state), "kv", kv_steps, NULL), 0);
    assert_int_equal(ask(store_of(state), "SELECT sum(expires) FROM kv"), 18);
    assert_int_equal(pending(store_of(state), "kv", kv_steps), 0);
}

static void asks_for_pending_steps_without_making_a_file(void **state) {
    struct scratch *scratch = *state;

    assert_int_equal(pending(scratch->store, "kv", kv_steps), 3);
    assert_int_equal(access(scratch->path, F_OK), -1);
}

static void add_version(void *arg, const char *component, int version) {
    char *text = arg;

    (void)sprintf(text + strlen(text), "%s %d, ", component, version);
}

static void tells_how_far_each_component_is(void **state) {
    struct scratch *scratch = *state;
    const char *const other[] = {"CREATE TABLE other (x INTEGER)", NULL};
    char text[64] = "";

    assert_int_equal(store_each_version(scratch->store, add_version, text, NULL), 0);
    assert_string_equal(text, "");
    assert_int_equal(access(scratch->path, F_OK), -1);
    assert_int_equal(store_migrate(scratch->store, "other", other, NULL), 0);
    assert_int_equal(store_migrate(scratch->store, "kv", kv_steps, NULL), 0);
    assert_int_equal(store_each_version(scratch->store, add_version, text, NULL), 0);
    assert_string_equal(text, "kv 3, other 1, ");
    assert_int_equal(run(scratch->store, "DROP TABLE schema_versions"), SQLITE_OK);
    assert_int_equal(store_each_version(scratch->store, add_version, text, NULL), 0);
}

static void counts_each_component_by_itself(void **state) {
    const char *const other[] = {"CREATE TABLE other (x INTEGER)", NULL};

    assert_int_equal(store_migrate(store_of(state), "kv", kv_steps, NULL), 0);
    assert_int_equal(pending(store_of(state), "other", other), 1);
    assert_int_equal(store_migrate(store_of(state), "other", other, NULL), 0);
    assert_int_equal(store_migrate(store_of(state), "none", NULL, NULL), 0);
    assert_int_equal(ask(store_of(state), "SELECT count(*) FROM schema_versions"), 2);
}

static void takes_everything_back_when_a_step_fails(void **state) {
    const char *const steps[] = {kv_steps[0], "ALTER TABLE nowhere ADD COLUMN x", kv_steps[1], NULL};
    struct theseus_error err = {0};

    assert_int_equal(store_migrate(store_of(state), "kv", steps, &err), -1);
    assert_string_equal(err.message, "migration of component 'kv', step 2: no such table: nowhere");
    assert_int_equal(ask(store_of(state), "SELECT count(*) FROM sqlite_schema"), 0);
    assert_int_equal(store_transactions(store_of(state)), 0);
    assert_int_equal(ask(store_of(state), "PRAGMA foreign_keys"), 1);
    assert_int_equal(store_migrate(store_of(state), "kv", kv_steps, NULL), 0);
}

static const char *const other_steps[] = {"CREATE TABLE other (x INTEGER)", "INSERT INTO other VALUES (1)", NULL};
static const char *const bad_steps[] = {"CREATE TABLE bad (x INTEGER)", "INSERT INTO nowhere VALUES (1)", NULL};

static void counts_a_call(void *arg) {
    ++*(int *)arg;
}

static int counts_and_agrees(void *arg, struct theseus_error *err) {
    (void)err;
    ++*(int *)arg;
    return 0;
}

static int does_not_agree(void *arg, struct theseus_error *err) {
    (void)arg;
    return fail(err, ERR_SYSTEM, "there is no room for a backup");
}

static void applies_the_steps_of_several_components_as_one(void **state) {
    struct store_steps parts[] = {{"kv", kv_steps, 7}, {"none", NULL, 7}, {"other", other_steps, 7}};
    struct migration migration = {.parts = parts, .count = 3};

    assert_int_equal(store_migrate(store_of(state), "kv", (const char *const[]){kv_steps[0], NULL}, NULL), 0);
    assert_int_equal(store_migrate_all(store_of(state), &migration, NULL), 0);
    assert_int_equal(parts[0].applied, 2);
    assert_int_equal(parts[1].applied, 0);
    assert_int_equal(parts[2].applied, 2);
    assert_int_equal(ask(store_of(state), "SELECT sum(x) FROM other"), 1);
    assert_int_equal(ask(store_of(state), "SELECT sum(version) FROM schema_versions"), 5);
    assert_int_equal(store_migrate_all(store_of(state), &migration, NULL), 0);
    assert_int_equal(parts[0].applied + parts[2].applied, 0);
}

static void takes_all_components_back_when_one_fails(void **state) {
    struct store_steps parts[] = {{.component = "kv", .steps = kv_steps}, {.component = "bad", .steps = bad_steps}};
    int committing = 0;
    struct migration migration = {.parts = parts, .count = 2, .committing = counts_a_call, .arg = &committing};
    struct theseus_error err = {0};

    assert_int_equal(store_migrate_all(store_of(state), &migration, &err), -1);
    assert_string_equal(err.message, "migration of component 'bad', step 2: no such table: nowhere");
    assert_int_equal(ask(store_of(state), "SELECT count(*) FROM sqlite_schema"), 0);
    assert_int_equal(committing, 0);
}

static void tells_before_the_first_step_and_before_the_commit(void **state) {
    struct store_steps part = {.component = "kv", .steps = kv_steps};
    int calls = 0;
    struct migration migration = {
        .parts = &part, .count = 1, .before = does_not_agree, .committing = counts_a_call, .arg = &calls};
    struct theseus_error err = {0};

    assert_int_equal(store_migrate_all(store_of(state), &migration, &err), -1);
    assert_string_equal(err.message, "there is no room for a backup");
    assert_int_equal(ask(store_of(state), "SELECT count(*) FROM sqlite_schema"), 0);
    assert_int_equal(calls, 0);
    migration.before = counts_and_agrees;
    assert_int_equal(store_migrate_all(store_of(state), &migration, NULL), 0);
    assert_int_equal(calls, 2);
    assert_int_equal(store_migrate_all(store_of(state), &migration, NULL), 0);
    assert_int_equal(calls, 2); /* nothing was pending */
}

static void refuses_a_newer_database(void **state) {
    const char *const older[] = {kv_steps[0], NULL};
    struct theseus_error err = {0};
    int count = -1;

    assert_int_equal(store_migrate(store_of(state), "kv", kv_steps, NULL), 0);
    assert_int_equal(store_migrate(store_of(state), "kv", older, &err), -1);
    assert_int_equal(err.code, ERR_NEWER);
    assert_non_null(strstr(err.message, "the database is newer (component 'kv': 3 steps, known 1)"));
    assert_int_equal(store_pending(store_of(state), "kv", older, &count, NULL), -1);
    assert_int_equal(count, -1);
}

static void refuses_a_step_that_leaves_the_transaction(void **state) {
    const char *const commits[] = {"CREATE TABLE t (x INTEGER); COMMIT", NULL};
    const char *const attaches[] = {"ATTACH ':memory:' AS more", NULL};
    struct theseus_error err = {0};

    assert_int_equal(store_migrate(store_of(state), "kv", commits, &err), -1);
    assert_non_null(strstr(err.message, "step 1: not authorized (a step may not begin or end a transaction"));
    assert_int_equal(ask(store_of(state), "SELECT count(*) FROM sqlite_schema"), 0);
    assert_int_equal(store_migrate(store_of(state), "kv", attaches, NULL), -1);
    assert_int_equal(run(store_of(state), "BEGIN; COMMIT"), SQLITE_OK); /* forbidden in steps only */
}

static void refuses_steps_that_leave_dangling_references(void **state) {
    const char *const steps[] = {
        "CREATE TABLE parent (id INTEGER PRIMARY KEY); CREATE TABLE child (of INTEGER REFERENCES parent)",
        "INSERT INTO child VALUES (7)",
        NULL,
    };
    struct theseus_error err = {0};

    assert_int_equal(store_migrate(store_of(state), "family", steps, &err), -1);
    assert_string_equal(err.message, "migration of component 'family', steps 1 to 2: row 1 of table 'child' would "
                                     "refer to nothing in table 'parent'");
    assert_int_equal(ask(store_of(state), "SELECT count(*) FROM sqlite_schema"), 0);
}

static void rebuilds_a_table_without_losing_what_refers_to_it(void **state) {
    const char *const steps[] = {
        "CREATE TABLE parent (id INTEGER PRIMARY KEY);"
        "CREATE TABLE child (of INTEGER REFERENCES parent ON DELETE CASCADE);"
        "INSERT INTO parent VALUES (1); INSERT INTO child VALUES (1)",
        "CREATE TABLE parent_new (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO parent_new SELECT id, '' FROM parent;"
        "DROP TABLE parent; ALTER TABLE parent_new RENAME TO parent",
        NULL,
    };

    assert_int_equal(store_migrate(store_of(state), "family", steps, NULL), 0);
    assert_int_equal(ask(store_of(state), "SELECT count(*) FROM child"), 1);
    assert_int_equal(run(store_of(state), "INSERT INTO child VALUES (2)"), SQLITE_CONSTRAINT_FOREIGNKEY);
}

static void refuses_to_migrate_inside_a_transaction(void **state) {
    struct theseus_error err = {0};

    assert_int_equal(run(store_of(state), "BEGIN"), SQLITE_OK);
    assert_int_equal(store_migrate(store_of(state), "kv", kv_steps, &err), -1);
    assert_int_equal(err.code, ERR_BUSY);
    assert_int_equal(run(store_of(state), "ROLLBACK"), SQLITE_OK);
}

static void migrates_a_database_that_the_first_version_wrote(void **state) {
    const char *const written = "CREATE TABLE schema_versions (component TEXT PRIMARY KEY, version INTEGER) STRICT;"
                                "INSERT INTO schema_versions VALUES ('kv', 1);"
                                "CREATE TABLE kv (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;"
                                "INSERT INTO kv VALUES ('old', 'kept')";

    assert_int_equal(run(store_of(state), written), SQLITE_OK);
    assert_int_equal(store_migrate(store_of(state), "kv", kv_steps, NULL), 0);
    assert_int_equal(ask(store_of(state), "SELECT count(*) FROM kv WHERE value = 'kept' AND expires = 9"), 1);
}

/* What each of the processes below does: opens the same new database and migrates it. */
static int migrate_as_child(const char *path) {
    CLEANUP(store_free) struct store *store = store_new(path);
    struct theseus_error err = {0};

    if (store_migrate(store, "kv", kv_steps, &err) == 0)
        return 0;
    (void)fprintf(stderr, "%s\n", err.message);
    return 1;
}

static void migrates_once_when_processes_come_together(void **state) {
    struct scratch *scratch = *state;

    for (int round = 0; round < 10; round++) {
        CLEANUP(free) char *name = xasprintf("round-%d.db", round);
        CLEANUP(free) char *path = path_join(scratch->dir, name);
        char *const argv[] = {(char *)"migrate", path, NULL};
        pid_t children[PROCESSES];
        int failed = 0;

        for (int i = 0; i < PROCESSES; i++)
            assert_int_equal(posix_spawn(&children[i], "/proc/self/exe", NULL, NULL, argv, environ), 0);
        for (int i = 0; i < PROCESSES; i++) {
            int status = -1;
            assert_int_equal(waitpid(children[i], &status, 0), children[i]);
            failed += status != 0;
        }
        assert_int_equal(failed, 0);
        CLEANUP(store_free) struct store *store = store_new(path);
        assert_int_equal(ask(store, "SELECT count(*) FROM kv"), 1); /* a second run of step 1 would have failed */
    }
}

int main(int argc, char **argv) {
#define scratch_test(function) cmocka_unit_test_setup_teardown(function, make_scratch, remove_scratch)
    const struct CMUnitTest tests[] = {
        scratch_test(applies_all_steps_in_order),
        scratch_test(applies_only_what_is_pending),
        scratch_test(asks_for_pending_steps_without_making_a_file),
        scratch_test(tells_how_far_each_component_is),
        scratch_test(counts_each_component_by_itself),
        scratch_test(takes_everything_back_when_a_step_fails),
        scratch_test(applies_the_steps_of_several_components_as_one),
        scratch_test(takes_all_components_back_when_one_fails),
        scratch_test(tells_before_the_first_step_and_before_the_commit),
        scratch_test(refuses_a_newer_database),
        scratch_test(refuses_a_step_that_leaves_the_transaction),
        scratch_test(refuses_steps_that_leave_dangling_references),
        scratch_test(rebuilds_a_table_without_losing_what_refers_to_it),
        scratch_test(refuses_to_migrate_inside_a_transaction),
        scratch_test(migrates_a_database_that_the_first_version_wrote),
        scratch_test(migrates_once_when_processes_come_together),
    };

    if (argc == 2)
        return migrate_as_child(argv[1]);
    return cmocka_run_group_tests_name("store/migrate", tests, NULL, NULL);
}
