#include "test.h"

#include "plugin/migration.h"

#include <dirent.h>

#include <sqlite3.h>

#include "plugin/fixture.h"
#include "plugin/made.h"
#include "store/migrate.h"
#include "store/store.h"

static const char *const steps[] = {
    "CREATE TABLE t (x INTEGER); INSERT INTO t VALUES (1)",
    "UPDATE t SET x = 2",
    "UPDATE t SET x = 3",
    NULL,
};
static const char *const first_step[] = {
    "CREATE TABLE t (x INTEGER); INSERT INTO t VALUES (1)",
    NULL,
};
static const char *const bad_steps[] = {
    "CREATE TABLE t (x INTEGER); INSERT INTO t VALUES (1)",
    "UPDATE nowhere SET x = 2",
    NULL,
};
static const struct theseus_tool no_tools[] = {{0}};

struct scene {
    char *place, *path;
    struct store *store;
    struct made_host *made;
    struct generation *generation;
};

static struct scene *scene_new(void) {
    struct scene *scene = xcalloc(1, sizeof(*scene));

    scene->place = place_new();
    scene->path = path_join(scene->place, "theseus.db");
    scene->store = store_new(scene->path);
    scene->made = made_host_new(1);
    scene->made->host.store = scene->store;
    scene->generation = generation_made(scene->made, "p", no_tools);
    scene->generation->slots.migrations = steps;
    return scene;
}

static void scene_free_cleanup(struct scene **held) {
    struct scene *scene = *held;

    free(scene->generation->backup);
    generation_made_cleanup(&scene->generation);
    scene->store = store_free(scene->store);
    made_host_free_cleanup(&scene->made);
    place_fini_cleanup(&scene->place);
    free(scene->path);
    free(scene);
}

static int value_in(struct store *store) {
    sqlite3_stmt *statement = NULL;

    assert_int_equal(store_statement(store, "test", "SELECT x FROM t", &statement, NULL), 0);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int value = sqlite3_column_int(statement, 0);
    assert_int_equal(sqlite3_reset(statement), SQLITE_OK);
    return value;
}

static int value_at(const char *path) {
    CLEANUP(store_free) struct store *store = store_new(path);

    return value_in(store);
}

static int backups_of(const struct scene *scene) {
    CLEANUP(free) char *path = path_join(scene->place, "backups");
    DIR *dir = opendir(path);
    int count = 0;

    while (dir && readdir(dir))
        count++;
    if (dir)
        (void)closedir(dir);
    return dir ? count - 2 : 0; /* "." and ".." */
}

static void keeps_the_database_before(void **state) {
    CLEANUP(scene_free) struct scene *scene = scene_new();
    struct theseus_error err = {0};

    (void)state;
    assert_int_equal(store_migrate(scene->store, "p", first_step, NULL), 0);
    assert_int_equal(migration_run(scene->generation, NULL), 0);
    assert_int_equal(value_in(scene->store), 3);
    assert_int_equal(backups_of(scene), 1);
    assert_non_null(scene->generation->backup);
    assert_int_equal(value_at(scene->generation->backup), 1);
    (void)fail(&err, ERR_INTERNAL, "start: no");
    migration_note(scene->generation, &err);
    CLEANUP(free)
    char *expected =
        xasprintf("start: no; its schema stays migrated, the database before is in %s", scene->generation->backup);
    assert_string_equal(err.message, expected);
}

/* What the test-load has told is enough where nothing is pending, or where the tables are made on use anyway. */
static void does_not_open_the_database_for_what_is_known(void **state) {
    CLEANUP(scene_free) struct scene *scene = scene_new();

    (void)state;
    scene->generation->schema = 0;
    scene->generation->slots.flags |= THESEUS_SCHEMA_ON_USE;
    assert_int_equal(migration_look(scene->generation, NULL), 0);
    assert_int_equal(migration_run(scene->generation, NULL), 0);
    assert_int_equal(store_connections(scene->store), 0);
    assert_true(atomic_load(&scene->generation->awaits_schema));
    assert_int_equal(migration_on_use(scene->generation, NULL), 0);
    assert_int_equal(value_in(scene->store), 3);
    CLEANUP(scene_free) struct scene *again = scene_new();
    again->generation->schema = 3;
    assert_int_equal(migration_run(again->generation, NULL), 0);
    assert_int_equal(store_connections(again->store), 0);
    assert_false(atomic_load(&again->generation->awaits_schema));
}

/* One step of two: that is looked at again, and leads to what it must lead to. */
static void looks_again_where_steps_are_pending(void **state) {
    CLEANUP(scene_free) struct scene *scene = scene_new();

    (void)state;
    assert_int_equal(store_migrate(scene->store, "p", first_step, NULL), 0);
    scene->generation->schema = 1;
    assert_int_equal(migration_run(scene->generation, NULL), 0);
    assert_int_equal(value_in(scene->store), 3);
    assert_int_equal(backups_of(scene), 1);
}

static void makes_room_for_the_note_in_a_long_reason(void **state) {
    CLEANUP(scene_free) struct scene *scene = scene_new();
    struct theseus_error err = {0};
    char reason[400];

    (void)state;
    assert_int_equal(store_migrate(scene->store, "p", first_step, NULL), 0);
    assert_int_equal(migration_run(scene->generation, NULL), 0);
    for (size_t i = 0; i + 2 < sizeof(reason); i += 2)
        memcpy(reason + i, "ä", 3);
    (void)fail(&err, ERR_INTERNAL, "%s", reason);
    migration_note(scene->generation, &err);
    const char *note = strstr(err.message, "; its schema stays migrated, the database before is in ");
    assert_non_null(note);
    assert_int_equal((note - err.message) % 2, 0); /* no half character is left */
    assert_string_equal(strchr(note, '/'), scene->generation->backup);
}

static void says_where_to_look_when_the_path_is_too_long(void **state) {
    CLEANUP(scene_free) struct scene *scene = scene_new();
    struct theseus_error err = {0};

    (void)state;
    assert_int_equal(store_migrate(scene->store, "p", first_step, NULL), 0);
    assert_int_equal(migration_run(scene->generation, NULL), 0);
    free(scene->generation->backup);
    scene->generation->backup = xasprintf("/%0300d", 0);
    (void)fail(&err, ERR_INTERNAL, "start: no");
    migration_note(scene->generation, &err);
    assert_string_equal(err.message, "start: no; its schema stays migrated, the log names the backup");
}

static void has_nothing_to_keep_the_first_time(void **state) {
    CLEANUP(scene_free) struct scene *scene = scene_new();
    struct theseus_error err = {0};

    (void)state;
    assert_int_equal(migration_run(scene->generation, NULL), 0);
    assert_int_equal(value_in(scene->store), 3);
    assert_int_equal(backups_of(scene), 0);
    (void)fail(&err, ERR_INTERNAL, "start: no");
    migration_note(scene->generation, &err);
    assert_string_equal(err.message, "start: no; its schema stays migrated");
}

static void says_nothing_when_nothing_was_pending(void **state) {
    CLEANUP(scene_free) struct scene *scene = scene_new();
    struct theseus_error err = {0};

    (void)state;
    assert_int_equal(store_migrate(scene->store, "p", steps, NULL), 0);
    assert_int_equal(migration_run(scene->generation, NULL), 0);
    assert_int_equal(backups_of(scene), 0);
    (void)fail(&err, ERR_INTERNAL, "start: no");
    migration_note(scene->generation, &err);
    assert_string_equal(err.message, "start: no");
}

/* A plugin that is tried again and again must not push the backups out that are worth something. */
static void keeps_no_backup_of_what_did_not_change(void **state) {
    CLEANUP(scene_free) struct scene *scene = scene_new();
    struct theseus_error err = {0};

    (void)state;
    assert_int_equal(store_migrate(scene->store, "p", first_step, NULL), 0);
    scene->generation->slots.migrations = bad_steps;
    assert_int_equal(migration_run(scene->generation, &err), -1);
    assert_string_equal(err.message, "migrations: migration of component 'p', step 2: no such table: nowhere");
    migration_note(scene->generation, &err);
    assert_null(strstr(err.message, "stays migrated"));
    assert_int_equal(backups_of(scene), 0);
    assert_int_equal(value_in(scene->store), 1);
}

/* What a code of the database's means to whoever reads it there, it does not mean to a client or to the loader. */
static void gives_the_databases_failures_no_other_meaning(void **state) {
    CLEANUP(scene_free) struct scene *scene = scene_new();
    struct theseus_error err = {0};

    (void)state;
    assert_int_equal(store_migrate(scene->store, "p", steps, NULL), 0);
    scene->generation->slots.migrations = first_step;
    assert_int_equal(migration_run(scene->generation, &err), -1);
    assert_non_null(strstr(err.message, "migrations: the database is newer (component 'p': 3 steps, known 1)"));
    assert_int_equal(err.code, ERR_INTERNAL);
}

static void is_only_tried_in_a_rehearsal(void **state) {
    CLEANUP(scene_free) struct scene *scene = scene_new();
    struct theseus_error err = {0};

    (void)state;
    scene->made->host.rehearsal = true;
    assert_int_equal(store_migrate(scene->store, "p", first_step, NULL), 0);
    assert_int_equal(migration_run(scene->generation, NULL), 0);
    assert_int_equal(backups_of(scene), 0);
    (void)fail(&err, ERR_INTERNAL, "start: no");
    migration_note(scene->generation, &err);
    assert_string_equal(err.message, "start: no");
}

static void on_outdated(void *arg) {
    (void)arg;
}

static void leaves_older_tables_to_a_restart(void **state) {
    CLEANUP(scene_free) struct scene *scene = scene_new();
    struct theseus_error err = {0};

    (void)state;
    scene->made->host.outdated = on_outdated;
    assert_int_equal(store_migrate(scene->store, "p", first_step, NULL), 0);
    assert_int_equal(migration_look(scene->generation, NULL), 0);
    assert_true(scene->generation->outdated);
    assert_int_equal(migration_run(scene->generation, &err), -1);
    assert_string_equal(err.message, "migrations: 2 of 3 steps of its schema are pending, and a restart with reason "
                                     "schema_migration applies them");
    assert_int_equal(value_in(scene->store), 1);
    assert_int_equal(store_migrate(scene->store, "p", steps, NULL), 0);
    assert_int_equal(migration_look(scene->generation, NULL), 0);
    assert_false(scene->generation->outdated);
    assert_int_equal(migration_run(scene->generation, NULL), 0);
}

/* Five backups are kept, and tables that are new are nothing to go back from. */
static void makes_tables_that_are_new_at_once_and_without_a_backup(void **state) {
    CLEANUP(scene_free) struct scene *scene = scene_new();

    (void)state;
    scene->made->host.outdated = on_outdated;
    assert_int_equal(store_migrate(scene->store, "other", (const char *const[]){"CREATE TABLE o (x)", NULL}, NULL), 0);
    assert_int_equal(migration_look(scene->generation, NULL), 0);
    assert_false(scene->generation->outdated);
    assert_int_equal(migration_run(scene->generation, NULL), 0);
    assert_int_equal(value_in(scene->store), 3);
    assert_int_equal(backups_of(scene), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_the_database_before),
        cmocka_unit_test(does_not_open_the_database_for_what_is_known),
        cmocka_unit_test(looks_again_where_steps_are_pending),
        cmocka_unit_test(makes_room_for_the_note_in_a_long_reason),
        cmocka_unit_test(says_where_to_look_when_the_path_is_too_long),
        cmocka_unit_test(has_nothing_to_keep_the_first_time),
        cmocka_unit_test(says_nothing_when_nothing_was_pending),
        cmocka_unit_test(keeps_no_backup_of_what_did_not_change),
        cmocka_unit_test(gives_the_databases_failures_no_other_meaning),
        cmocka_unit_test(is_only_tried_in_a_rehearsal),
        cmocka_unit_test(leaves_older_tables_to_a_restart),
        cmocka_unit_test(makes_tables_that_are_new_at_once_and_without_a_backup),
    };

    return cmocka_run_group_tests_name("plugin/migration", tests, NULL, NULL);
}
