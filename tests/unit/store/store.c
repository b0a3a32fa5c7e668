#include "test.h"

#include "store/store.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/fs.h"
#include "base/mem.h"
#include "scratch.h"

static void run(struct store *store, const char *sql) {
    sqlite3 *db = NULL;

    assert_int_equal(store_db(store, &db, NULL), 0);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
}

static int prepared_on(struct store *store) {
    sqlite3 *db = NULL;
    int count = 0;

    assert_int_equal(store_db(store, &db, NULL), 0);
    for (sqlite3_stmt *s = sqlite3_next_stmt(db, NULL); s; s = sqlite3_next_stmt(db, s))
        count++;
    return count;
}

static void makes_no_file_before_it_is_asked(void **state) {
    struct scratch *scratch = *state;
    CLEANUP(free) char *dir = path_dir(scratch->path);

    assert_int_equal(store_connections(scratch->store), 0);
    store_forget(scratch->store, "core");
    assert_int_equal(access(dir, F_OK), -1);
}

static void gives_a_thread_one_connection(void **state) {
    sqlite3 *first = NULL, *second = NULL;

    assert_int_equal(store_db(store_of(state), &first, NULL), 0);
    assert_int_equal(store_db(store_of(state), &second, NULL), 0);
    assert_ptr_equal(first, second);
    assert_int_equal(store_connections(store_of(state)), 1);
}

static void gives_a_thread_its_statement_again(void **state) {
    sqlite3_stmt *first = NULL, *again = NULL;

    assert_int_equal(store_statement(store_of(state), "a", "SELECT 1", &first, NULL), 0);
    assert_int_equal(store_statement(store_of(state), "a", "SELECT 1", &again, NULL), 0);
    assert_ptr_equal(first, again);
    assert_int_equal(store_connections(store_of(state)), 1);
}

static void fails_each_time_while_the_cause_stands(void **state) {
    struct scratch *scratch = *state;
    CLEANUP(free) char *dir = path_dir(scratch->path);
    struct theseus_error err = {0};
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;

    assert_int_equal(fs_write_file(dir, (struct span){"", 0}, 0600, NULL), 0); /* a file where the directory belongs */
    assert_int_equal(store_db(scratch->store, &db, &err), -1);
    assert_non_null(strstr(err.message, dir));
    assert_int_equal(store_statement(scratch->store, "core", "SELECT 1", &statement, NULL), -1);
    assert_int_equal(store_connections(scratch->store), 0);
    assert_int_equal(unlink(dir), 0);
    assert_int_equal(store_db(scratch->store, &db, NULL), 0);
}

static void forgets_one_component_only(void **state) {
    sqlite3_stmt *statement = NULL, *kept = NULL, *again = NULL;

    assert_int_equal(store_statement(store_of(state), "a", "SELECT 1", &statement, NULL), 0);
    assert_int_equal(store_statement(store_of(state), "a", "SELECT 2", &statement, NULL), 0);
    assert_int_equal(store_statement(store_of(state), "b", "SELECT 1", &kept, NULL), 0);
    assert_int_equal(prepared_on(store_of(state)), 3);
    store_forget(store_of(state), "a");
    store_forget(store_of(state), "never seen");
    assert_int_equal(prepared_on(store_of(state)), 1);
    assert_int_equal(store_statement(store_of(state), "b", "SELECT 1", &again, NULL), 0);
    assert_ptr_equal(kept, again);
}

static void counts_open_transactions(void **state) {
    run(store_of(state), "CREATE TABLE t (x INTEGER)");
    assert_int_equal(store_transactions(store_of(state)), 0);
    run(store_of(state), "BEGIN; INSERT INTO t VALUES (1)");
    assert_int_equal(store_transactions(store_of(state)), 1);
    run(store_of(state), "COMMIT");
    assert_int_equal(store_transactions(store_of(state)), 0);
}

enum {
    INSERTS = 10
}; /* each waits for the disk, and another thread for all of them at worst: see DB_BUSY_TIMEOUT_MS */

static void *use_on_a_thread(void *arg) {
    struct store *store = arg;
    sqlite3_stmt *insert = NULL;
    bool good = true;

    for (int i = 0; i < INSERTS && good; i++) {
        good = store_statement(store, "a", "INSERT INTO t VALUES (?1)", &insert, NULL) == 0;
        good = good && sqlite3_bind_int(insert, 1, i) == SQLITE_OK && sqlite3_step(insert) == SQLITE_DONE;
        good = good && sqlite3_reset(insert) == SQLITE_OK;
    }
    return good ? arg : NULL;
}

static void gives_each_thread_its_own_and_closes_it_at_its_end(void **state) {
    sqlite3_stmt *count = NULL;
    pthread_t threads[4];

    run(store_of(state), "CREATE TABLE t (x INTEGER)");
    for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, use_on_a_thread, store_of(state)), 0);
    for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
        void *good = NULL;
        assert_int_equal(pthread_join(threads[i], &good), 0);
        assert_non_null(good);
    }
    assert_int_equal(store_connections(store_of(state)), 1);
    assert_int_equal(store_statement(store_of(state), "a", "SELECT count(*) FROM t", &count, NULL), 0);
    assert_int_equal(sqlite3_step(count), SQLITE_ROW);
    assert_int_equal(sqlite3_column_int(count, 0), ARRAY_SIZE(threads) * INSERTS);
}

/* A thread that stays inside a statement of component "busy" until it is let go. */
struct stay {
    struct store *store;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool inside, leave;
    int prepared_after; /* statements on its connection when it has asked once more */
};

static void wait_inside(sqlite3_context *context, int count, sqlite3_value **values) {
    struct stay *stay = sqlite3_user_data(context);

    (void)count;
    (void)values;
    (void)pthread_mutex_lock(&stay->mutex);
    stay->inside = true;
    (void)pthread_cond_signal(&stay->changed);
    while (!stay->leave)
        (void)pthread_cond_wait(&stay->changed, &stay->mutex);
    (void)pthread_mutex_unlock(&stay->mutex);
}

static void *stay_in_sql(void *arg) {
    struct stay *stay = arg;
    sqlite3_stmt *statement = NULL;
    sqlite3 *db = NULL;

    if (store_db(stay->store, &db, NULL) < 0 ||
        sqlite3_create_function(db, "stay", 0, SQLITE_UTF8, stay, wait_inside, NULL, NULL) != SQLITE_OK ||
        store_statement(stay->store, "gone", "SELECT 1", &statement, NULL) < 0 ||
        store_statement(stay->store, "busy", "SELECT stay()", &statement, NULL) < 0)
        return NULL;
    (void)sqlite3_step(statement);
    (void)sqlite3_reset(statement);
    if (store_statement(stay->store, "busy", "SELECT stay()", &statement, NULL) < 0)
        return NULL;
    stay->prepared_after = prepared_on(stay->store);
    return stay;
}

static void forgets_without_waiting_for_a_long_statement(void **state) {
    struct stay stay = {.store = store_of(state)};
    void *good = NULL;
    pthread_t thread;

    (void)pthread_mutex_init(&stay.mutex, NULL);
    (void)pthread_cond_init(&stay.changed, NULL);
    assert_int_equal(pthread_create(&thread, NULL, stay_in_sql, &stay), 0);
    (void)pthread_mutex_lock(&stay.mutex);
    while (!stay.inside)
        (void)pthread_cond_wait(&stay.changed, &stay.mutex);
    (void)pthread_mutex_unlock(&stay.mutex);
    store_forget(store_of(state), "gone"); /* would never return if it waited */
    (void)pthread_mutex_lock(&stay.mutex);
    stay.leave = true;
    (void)pthread_cond_signal(&stay.changed);
    (void)pthread_mutex_unlock(&stay.mutex);
    assert_int_equal(pthread_join(thread, &good), 0);
    assert_non_null(good);
    assert_int_equal(stay.prepared_after, 1);
}

static void *forget_and_count(void *arg) {
    for (int i = 0; i < 200; i++) {
        store_forget(arg, "b");
        (void)store_transactions(arg);
    }
    return NULL;
}

static void forgets_while_other_components_work(void **state) {
    pthread_t worker, forgetter;
    void *good = NULL;

    run(store_of(state), "CREATE TABLE t (x INTEGER)");
    assert_int_equal(pthread_create(&worker, NULL, use_on_a_thread, store_of(state)), 0);
    assert_int_equal(pthread_create(&forgetter, NULL, forget_and_count, store_of(state)), 0);
    for (int i = 0; i < 100; i++) {
        sqlite3_stmt *statement = NULL;
        assert_int_equal(store_statement(store_of(state), "a", "SELECT count(*) FROM t", &statement, NULL), 0);
        assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
        assert_int_equal(sqlite3_reset(statement), SQLITE_OK);
    }
    assert_int_equal(pthread_join(worker, &good), 0);
    assert_non_null(good);
    assert_int_equal(pthread_join(forgetter, NULL), 0);
}

static void outlives_none_of_its_connections(void **state) {
    struct scratch *scratch = *state;
    CLEANUP(free) char *log_path = xasprintf("%s-wal", scratch->path);
    sqlite3_stmt *statement = NULL;

    run(scratch->store, "CREATE TABLE t (x INTEGER)");
    assert_int_equal(store_statement(scratch->store, "a", "SELECT * FROM t", &statement, NULL), 0);
    assert_int_equal(access(log_path, F_OK), 0);
    scratch->store = store_free(scratch->store);
    assert_int_equal(access(log_path, F_OK), -1); /* the last connection has put it away */
}

int main(void) {
#define scratch_test(function) cmocka_unit_test_setup_teardown(function, make_scratch, remove_scratch)
    const struct CMUnitTest tests[] = {
        scratch_test(makes_no_file_before_it_is_asked),
        scratch_test(gives_a_thread_one_connection),
        scratch_test(gives_a_thread_its_statement_again),
        scratch_test(fails_each_time_while_the_cause_stands),
        scratch_test(forgets_one_component_only),
        scratch_test(counts_open_transactions),
        scratch_test(gives_each_thread_its_own_and_closes_it_at_its_end),
        scratch_test(forgets_without_waiting_for_a_long_statement),
        scratch_test(forgets_while_other_components_work),
        scratch_test(outlives_none_of_its_connections),
    };

    return cmocka_run_group_tests_name("store/store", tests, NULL, NULL);
}
