/* The power goes at any moment of a migration: the database is wholly the old one or wholly the new one. */
#include "test.h"

#include "store/upgrade.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <sqlite3.h>

#include "base/fs.h"
#include "powerloss.h"
#include "scratch.h"
#include "store/store.h"

enum { ROWS = 300 };

static const char *const first[] = {
    "CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT NOT NULL) STRICT;"
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)"
    "INSERT INTO t SELECT i, printf('%0100d', i) FROM n",
    NULL,
};
static const char *const others_first[] = {"CREATE TABLE o (x INTEGER); INSERT INTO o VALUES (1)", NULL};
static const char *const steps[] = {
    first[0],
    "ALTER TABLE t ADD COLUMN note TEXT NOT NULL DEFAULT 'new'; CREATE INDEX t_by_x ON t (x)",
    "UPDATE t SET x = 'changed ' || x",
    NULL,
};
static const char *const others_steps[] = {others_first[0], "UPDATE o SET x = 2", NULL};

static int upgrade(struct store *store, struct theseus_error *err) {
    struct store_steps parts[] = {{.component = "p", .steps = steps}, {.component = "o", .steps = others_steps}};
    const struct upgrade all = {.parts = parts, .count = 2};
    CLEANUP(free) char *backup = NULL;

    return upgrade_run(store, &all, &backup, err);
}

static int64_t ask(struct store *store, const char *sql) {
    sqlite3_stmt *statement = NULL;
    struct theseus_error err = {0};

    if (store_statement(store, "test", sql, &statement, &err) < 0)
        print_error("%s\n", err.message);
    assert_int_equal(err.code, ERR_UNSET);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t answer = sqlite3_column_int64(statement, 0);
    assert_int_equal(sqlite3_reset(statement), SQLITE_OK);
    return answer;
}

/* True: it is the new one. Anything between the two fails the test. */
static bool is_new(const char *path) {
    CLEANUP(store_free) struct store *store = store_new(path);
    bool new = ask(store, "SELECT version FROM schema_versions WHERE component = 'p'") == 3;

    assert_int_equal(ask(store, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'"), 1);
    assert_int_equal(ask(store, "SELECT version FROM schema_versions WHERE component = 'o'"), new ? 2 : 1);
    assert_int_equal(ask(store, "SELECT x FROM o"), new ? 2 : 1);
    assert_int_equal(ask(store, "SELECT count(*) FROM t"), ROWS);
    assert_int_equal(ask(store, "SELECT count(*) FROM t WHERE x LIKE 'changed %'"), new ? ROWS : 0);
    assert_int_equal(ask(store, "SELECT count(*) FROM pragma_table_info('t') WHERE name = 'note'"), new);
    assert_int_equal(ask(store, "SELECT count(*) FROM sqlite_schema WHERE name = 't_by_x'"), new);
    return new;
}

static void copy(const char *from, const char *to) {
    CLEANUP(fd_close) int fd = open(from, O_RDONLY | O_CLOEXEC);

    if (fd >= 0)
        assert_int_equal(fs_copy_fd(fd, to, 0600, NULL), 0);
}

/* The database with its log, under another name. */
static void copy_database(const char *from, const char *to) {
    CLEANUP(free) char *from_log = xasprintf("%s-wal", from), *to_log = xasprintf("%s-wal", to);
    CLEANUP(free) char *shm = xasprintf("%s-shm", to);

    (void)unlink(to);
    (void)unlink(to_log);
    (void)unlink(shm);
    copy(from, to);
    copy(from_log, to_log);
}

static void is_the_old_or_the_new_one_whenever_the_power_goes(void **state) {
    struct scratch *scratch = *state;
    CLEANUP(free) char *before = path_join(scratch->dir, "state/before.db");
    CLEANUP(free) char *after = path_join(scratch->dir, "state/after.db");
    size_t outcomes[2] = {0}, committed;

    assert_int_equal(store_migrate(scratch->store, "p", first, NULL), 0);
    assert_int_equal(store_migrate(scratch->store, "o", others_first, NULL), 0);
    scratch->store = store_free(scratch->store);
    copy_database(scratch->path, before);
    disk_watch();
    struct store *store = store_new(scratch->path);
    assert_int_equal(upgrade(store, NULL), 0);
    committed = disk.count;
    store = store_free(store); /* which writes the log into the database */
    disk_leave();
    for (size_t cut = 0; cut <= disk.count; cut++)
        for (int survival = SURVIVE_ALL; survival <= SURVIVE_SOME; survival++) {
            copy_database(before, after);
            assert_true(cut_at(cut, (enum survival)survival, scratch->path, after));
            bool new = is_new(after);
            assert_true(new || cut < committed); /* what was said to be done stays done */
            outcomes[new]++;
        }
    assert_true(outcomes[false] > 50 && outcomes[true] > 50);
    disk_fini();
    scratch->store = store_new(scratch->path);
}

/* ---- a step that ends the process ---- */

static void end(sqlite3_context *context, int count, sqlite3_value **values) {
    (void)context;
    (void)count;
    (void)values;
    abort();
}

static void is_the_old_one_when_a_step_ends_the_process(void **state) {
    struct scratch *scratch = *state;
    const char *const ending[] = {steps[0], steps[1], "UPDATE t SET x = 'changed ' || x; SELECT end()", NULL};
    int status = 0;

    assert_int_equal(store_migrate(scratch->store, "p", first, NULL), 0);
    assert_int_equal(store_migrate(scratch->store, "o", others_first, NULL), 0);
    scratch->store = store_free(scratch->store);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct rlimit no_core = {0, 0};
        struct store *store = store_new(scratch->path);
        sqlite3 *db = NULL;
        (void)setrlimit(RLIMIT_CORE, &no_core);
        (void)signal(SIGABRT, SIG_DFL);
        if (store_db(store, &db, NULL) == 0)
            (void)sqlite3_create_function(db, "end", 0, SQLITE_UTF8, NULL, end, NULL, NULL);
        (void)!store_migrate(store, "p", ending, NULL);
        _exit(1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    assert_false(is_new(scratch->path));
    scratch->store = store_new(scratch->path);
    assert_int_equal(upgrade(scratch->store, NULL), 0);
    assert_true(is_new(scratch->path));
    assert_non_null(store_of(state));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_SCRATCH(is_the_old_or_the_new_one_whenever_the_power_goes),
        WITH_SCRATCH(is_the_old_one_when_a_step_ends_the_process),
    };

    return cmocka_run_group_tests_name("store/upgrade_power", tests, NULL, NULL);
}
