#include "test.h"

#include "store/upgrade.h"

#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>

#include <sqlite3.h>

#include "base/clock.h"
#include "base/fs.h"
#include "scratch.h"
#include "store/backup.h"
#include "store/store.h"

static const char *const first[] = {"CREATE TABLE t (x INTEGER); INSERT INTO t VALUES (1)", NULL};
static const char *const steps[] = {"CREATE TABLE t (x INTEGER); INSERT INTO t VALUES (1)", "UPDATE t SET x = x + 10",
                                    NULL};
static const char *const bad[] = {"CREATE TABLE t (x INTEGER); INSERT INTO t VALUES (1)", "UPDATE nowhere SET x = 2",
                                  NULL};

static int run_steps(struct store *store, const char *const *list, char **ret_backup, struct theseus_error *err) {
    struct store_steps part = {.component = "p", .steps = list};
    const struct upgrade upgrade = {.parts = &part, .count = 1};

    return upgrade_run(store, &upgrade, ret_backup, err);
}

static int64_t value_in(const char *path) {
    CLEANUP(store_free) struct store *store = store_new(path);
    sqlite3_stmt *statement = NULL;

    assert_int_equal(store_statement(store, "test", "SELECT sum(x) FROM t", &statement, NULL), 0);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    return sqlite3_column_int64(statement, 0);
}

static int backups_of(const struct scratch *scratch) {
    CLEANUP(free) char *path = path_join(scratch->dir, "state/backups");
    DIR *dir = opendir(path);
    int count = 0;

    while (dir && readdir(dir))
        count++;
    if (dir)
        (void)closedir(dir);
    return dir ? count - 2 : 0; /* "." and ".." */
}

static void keeps_the_database_before(void **state) {
    struct scratch *scratch = *state;
    char *backup = NULL;

    assert_int_equal(store_migrate(store_of(state), "p", first, NULL), 0);
    assert_int_equal(run_steps(store_of(state), steps, &backup, NULL), 0);
    assert_int_equal(value_in(scratch->path), 11);
    assert_int_equal(value_in(backup), 1);
    free(backup);
}

static void makes_no_copy_where_there_is_nothing_to_lose(void **state) {
    struct scratch *scratch = *state;
    char *backup = NULL;

    assert_int_equal(run_steps(store_of(state), steps, &backup, NULL), 0); /* a new database */
    assert_null(backup);
    assert_int_equal(run_steps(store_of(state), steps, &backup, NULL), 0); /* nothing is pending */
    assert_null(backup);
    assert_int_equal(backups_of(scratch), 0);
}

static void leaves_no_copy_of_what_did_not_change(void **state) {
    struct scratch *scratch = *state;
    struct theseus_error err = {0};
    char *backup = NULL;

    assert_int_equal(store_migrate(store_of(state), "p", first, NULL), 0);
    assert_int_equal(run_steps(store_of(state), bad, &backup, &err), -1);
    assert_string_equal(err.message, "migration of component 'p', step 2: no such table: nowhere");
    assert_null(backup);
    assert_int_equal(backups_of(scratch), 0);
    assert_int_equal(value_in(scratch->path), 1);
}

static void keeps_the_latest_five(void **state) {
    struct scratch *scratch = *state;
    const char *list[BACKUPS_KEPT + 4] = {first[0]};

    for (int i = 1; i < BACKUPS_KEPT + 3; i++) {
        CLEANUP(free) char *backup = NULL;
        assert_int_equal(run_steps(store_of(state), list, &backup, NULL), 0);
        list[i] = "UPDATE t SET x = x + 1";
    }
    assert_int_equal(backups_of(scratch), BACKUPS_KEPT);
}

/* ---- with others at the same database ---- */

struct writer {
    const char *path;
    atomic_bool stop;
    atomic_int written;
};

/* Adds ones until it is told to stop, and leaves others as much time between them: SQLite's lock goes to nobody in turn.
 */
static void *write_on(void *arg) {
    struct writer *writer = arg;
    CLEANUP(store_free) struct store *store = store_new(writer->path);
    sqlite3 *db = NULL;

    if (store_db(store, &db, NULL) < 0)
        return NULL;
    while (!atomic_load(&writer->stop)) {
        int64_t begin = clock_now_ns();
        if (sqlite3_exec(db, "INSERT INTO t VALUES (1)", NULL, NULL, NULL) == SQLITE_OK)
            atomic_fetch_add(&writer->written, 1);
        int64_t took_ms = (clock_now_ns() - begin) / 1000000;
        (void)sqlite3_sleep(took_ms < 100 ? 1 + (int)took_ms : 100);
    }
    return NULL;
}

/* What is in the copy is what the steps found: nobody wrote between the two. */
static void lets_nobody_write_behind_the_copy(void **state) {
    struct scratch *scratch = *state;
    struct writer writer = {.path = scratch->path};
    const char *const grow[] = {first[0], "CREATE TABLE found (x INTEGER); INSERT INTO found SELECT sum(x) FROM t",
                                NULL};
    pthread_t thread;
    char *backup = NULL;
    sqlite3_stmt *statement = NULL;

    assert_int_equal(store_migrate(scratch->store, "p", first, NULL), 0);
    assert_int_equal(pthread_create(&thread, NULL, write_on, &writer), 0);
    while (atomic_load(&writer.written) < 20)
        (void)sched_yield();
    assert_int_equal(run_steps(scratch->store, grow, &backup, NULL), 0);
    atomic_store(&writer.stop, true);
    (void)pthread_join(thread, NULL);
    assert_int_equal(store_statement(scratch->store, "test", "SELECT x FROM found", &statement, NULL), 0);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    assert_int_equal(value_in(backup), sqlite3_column_int64(statement, 0));
    (void)sqlite3_reset(statement);
    free(backup);
}

static void does_not_wait_longer_than_it_is_told(void **state) {
    struct scratch *scratch = *state;
    struct store_steps part = {.component = "p", .steps = steps};
    const struct upgrade upgrade = {.parts = &part, .count = 1, .wait_ms = 20};
    CLEANUP(store_free) struct store *other = store_new(scratch->path);
    struct theseus_error err = {0};
    char *backup = NULL;
    sqlite3 *db = NULL;

    assert_int_equal(store_migrate(scratch->store, "p", first, NULL), 0);
    assert_int_equal(store_db(other, &db, NULL), 0);
    assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(upgrade_run(scratch->store, &upgrade, &backup, &err), -1);
    assert_int_equal(err.code, ERR_BUSY);
    assert_non_null(strstr(err.message, "database is locked"));
    assert_int_equal(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(upgrade_run(scratch->store, &upgrade, &backup, NULL), 0);
    free(backup);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_SCRATCH(keeps_the_database_before),
        WITH_SCRATCH(makes_no_copy_where_there_is_nothing_to_lose),
        WITH_SCRATCH(leaves_no_copy_of_what_did_not_change),
        WITH_SCRATCH(keeps_the_latest_five),
        WITH_SCRATCH(lets_nobody_write_behind_the_copy),
        WITH_SCRATCH(does_not_wait_longer_than_it_is_told),
    };

    return cmocka_run_group_tests_name("store/upgrade", tests, NULL, NULL);
}
