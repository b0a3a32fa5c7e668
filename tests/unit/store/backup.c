#include "test.h"

#include "store/backup.h"

#include <dirent.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <sqlite3.h>

#include "base/buf.h"
#include "plugin/fixture.h"
#include "store/store.h"

struct scratch {
    char *dir, *path, *copy; /* owned */
    struct store *store;     /* owned; the database is dir/state/theseus.db */
};

static int make_scratch(void **state) {
    struct scratch *scratch = xcalloc(1, sizeof(*scratch));

    *state = scratch;
    scratch->dir = place_new();
    scratch->path = path_join(scratch->dir, "state/theseus.db");
    scratch->copy = path_join(scratch->dir, "copy.db");
    scratch->store = store_new(scratch->path);
    return 0;
}

static int remove_scratch(void **state) {
    struct scratch *scratch = *state;

    scratch->store = store_free(scratch->store);
    place_fini_cleanup(&scratch->dir);
    free(scratch->path);
    free(scratch->copy);
    free(scratch);
    return 0;
}

static void run(struct store *store, const char *sql) {
    sqlite3 *db = NULL;

    assert_int_equal(store_db(store, &db, NULL), 0);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
}

/* The sum of column x of table t in the database at `path`. */
static int sum_in(const char *path) {
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;

    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT sum(x) FROM t", -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int sum = sqlite3_column_int(statement, 0);
    (void)sqlite3_finalize(statement);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    return sum;
}

/* The names in the directory below the scratch, sorted, each with a space behind it. Owned. */
static char *names_in(const struct scratch *scratch, const char *below) {
    CLEANUP(free) char *dir = path_join(scratch->dir, below);
    CLEANUP(buf_fini) struct buf names = {0};
    struct dirent **entries = NULL;
    int count = scandir(dir, &entries, NULL, alphasort);

    for (int i = 0; i < count; i++) {
        if (entries[i]->d_name[0] != '.')
            assert_int_equal(buf_printf(&names, NULL, "%s ", entries[i]->d_name), 0);
        free(entries[i]);
    }
    free(entries);
    return names.len ? buf_take_string(&names) : xstrdup("");
}

static void has_names(const struct scratch *scratch, const char *below, const char *expected) {
    CLEANUP(free) char *names = names_in(scratch, below);

    assert_string_equal(names, expected);
}

static void copies_what_is_committed_for_its_user_alone(void **state) {
    struct scratch *scratch = *state;
    CLEANUP(free) char *path = NULL;
    struct stat st;

    run(scratch->store, "CREATE TABLE t (x INTEGER); INSERT INTO t VALUES (4)");
    assert_int_equal(backup_make(scratch->store, &path, NULL), 0);
    run(scratch->store, "UPDATE t SET x = 5");
    assert_int_equal(sum_in(path), 4);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    CLEANUP(free) char *dir = path_dir(path);
    assert_int_equal(stat(dir, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    CLEANUP(free) char *expected = path_join(scratch->dir, "state/backups");
    assert_string_equal(dir, expected);
    assert_int_equal(strspn(path_base(path) + strlen("theseus-"), "0123456789TZ."), strlen("20261122T083000.125Z."));
    CLEANUP(free) char *name = xasprintf("%s ", path_base(path));
    has_names(scratch, "state/backups", name);
}

static void has_nothing_to_copy_before_there_is_a_schema(void **state) {
    struct scratch *scratch = *state;
    char *path = xstrdup("before");

    free(path);
    assert_int_equal(backup_make(scratch->store, &path, NULL), 0);
    assert_null(path);
    has_names(scratch, "state/backups", "");
}

static void keeps_the_latest_five(void **state) {
    struct scratch *scratch = *state;
    char *paths[BACKUPS_KEPT + 2];
    CLEANUP(buf_fini) struct buf latest = {0};

    run(scratch->store, "CREATE TABLE t (x INTEGER)");
    for (int i = 0; i < BACKUPS_KEPT + 2; i++)
        assert_int_equal(backup_make(scratch->store, &paths[i], NULL), 0);
    for (int i = 2; i < BACKUPS_KEPT + 2; i++)
        assert_int_equal(buf_printf(&latest, NULL, "%s ", path_base(paths[i])), 0);
    backup_drop_oldest(scratch->store);
    CLEANUP(free) char *expected = buf_take_string(&latest);
    has_names(scratch, "state/backups", expected);
    backup_drop_oldest(scratch->store);
    has_names(scratch, "state/backups", expected);
    for (int i = 2; i < BACKUPS_KEPT + 2; i++)
        backup_drop(paths[i]);
    backup_drop(NULL);
    has_names(scratch, "state/backups", "");
    for (int i = 0; i < BACKUPS_KEPT + 2; i++)
        free(paths[i]);
}

static void says_why_there_can_be_no_backup(void **state) {
    struct scratch *scratch = *state;
    CLEANUP(free) char *in_the_way = path_join(scratch->dir, "state/backups");
    struct theseus_error err = {0};
    char *path = NULL;

    run(scratch->store, "CREATE TABLE t (x INTEGER)");
    write_bytes(in_the_way, "", 0);
    assert_int_equal(backup_make(scratch->store, &path, &err), -1);
    assert_int_equal(strncmp(err.message, "cannot back the database up: ", 29), 0);
    assert_non_null(strstr(err.message, in_the_way));
    assert_null(path);
}

static void tries_a_closed_database_without_a_trace(void **state) {
    struct scratch *scratch = *state;
    struct stat before, after;

    run(scratch->store, "CREATE TABLE t (x INTEGER); INSERT INTO t VALUES (7)");
    scratch->store = store_free(scratch->store);
    assert_int_equal(stat(scratch->path, &before), 0);
    assert_int_equal(backup_try(scratch->path, scratch->copy, NULL), 0);
    assert_int_equal(sum_in(scratch->copy), 7);
    assert_int_equal(stat(scratch->path, &after), 0);
    assert_memory_equal(&before.st_mtim, &after.st_mtim, sizeof(before.st_mtim));
    has_names(scratch, "state", "theseus.db ");
}

static void tries_a_database_that_a_server_has_open(void **state) {
    struct scratch *scratch = *state;

    run(scratch->store, "CREATE TABLE t (x INTEGER); INSERT INTO t VALUES (7)");
    run(scratch->store, "BEGIN; UPDATE t SET x = 8");
    assert_int_equal(backup_try(scratch->path, scratch->copy, NULL), 0);
    assert_int_equal(sum_in(scratch->copy), 7);
    run(scratch->store, "COMMIT");
    assert_int_equal(sum_in(scratch->path), 8);
    has_names(scratch, "state", "theseus.db theseus.db-shm theseus.db-wal ");
}

/* What a server that was killed has left: all its data may still be in the log. */
static void tries_a_database_that_was_not_closed(void **state) {
    struct scratch *scratch = *state;
    int status = -1;

    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        run(scratch->store, "CREATE TABLE t (x INTEGER); INSERT INTO t VALUES (7)");
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    has_names(scratch, "state", "theseus.db theseus.db-shm theseus.db-wal ");
    CLEANUP(buf_fini) struct buf before = {0}, after = {0};
    CLEANUP(free) char *log_path = xasprintf("%s-wal", scratch->path);
    assert_int_equal(fs_read_file(log_path, 1 << 20, &before, NULL), 0);
    assert_int_equal(backup_try(scratch->path, scratch->copy, NULL), 0);
    assert_int_equal(sum_in(scratch->copy), 7);
    assert_int_equal(fs_read_file(log_path, 1 << 20, &after, NULL), 0);
    assert_true(span_same(buf_span(&before), buf_span(&after)));
    has_names(scratch, "state", "theseus.db theseus.db-shm theseus.db-wal ");
}

static void is_refused(const struct scratch *scratch, enum errc code, const char *why) {
    struct theseus_error err = {0};

    assert_int_equal(backup_try(scratch->path, scratch->copy, &err), -1);
    assert_non_null(strstr(err.message, scratch->path));
    assert_non_null(strstr(err.message, why));
    assert_int_equal(err.code, code);
}

static void finds_what_is_no_database(void **state) {
    struct scratch *scratch = *state;
    CLEANUP(free) char *noise = xcalloc(1, 8192);

    run(scratch->store, "CREATE TABLE t (x INTEGER)");
    scratch->store = store_free(scratch->store);
    memset(noise, 'x', 8192);
    assert_int_equal(fs_write_file(scratch->path, (struct span){noise, 8192}, 0600, NULL), 0);
    is_refused(scratch, ERR_INVALID, "file is not a database");
}

static void finds_damage_in_the_middle(void **state) {
    struct scratch *scratch = *state;
    CLEANUP(buf_fini) struct buf bytes = {0};

    run(scratch->store, "CREATE TABLE t (x INTEGER PRIMARY KEY, y TEXT);"
                        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100) "
                        "INSERT INTO t SELECT i, printf('%500d', i) FROM n");
    scratch->store = store_free(scratch->store);
    assert_int_equal(fs_read_file(scratch->path, 1 << 20, &bytes, NULL), 0);
    assert_true(bytes.len > 5 * 4096);
    memset(bytes.data + bytes.start + 3 * 4096, 0x5a, 4096);
    assert_int_equal(fs_write_file(scratch->path, buf_span(&bytes), 0600, NULL), 0);
    is_refused(scratch, ERR_INVALID, "it is damaged: ");
}

static void finds_what_a_server_would_refuse(void **state) {
    struct scratch *scratch = *state;

    run(scratch->store, "CREATE TABLE t (x INTEGER)");
    assert_int_equal(chmod(scratch->path, 0644), 0);
    is_refused(scratch, ERR_ACCESS, "is open to others; mend it with: chmod 600");
    assert_int_equal(access(scratch->copy, F_OK), -1);
}

int main(void) {
#define scratch_test(function) cmocka_unit_test_setup_teardown(function, make_scratch, remove_scratch)
    const struct CMUnitTest tests[] = {
        scratch_test(copies_what_is_committed_for_its_user_alone),
        scratch_test(has_nothing_to_copy_before_there_is_a_schema),
        scratch_test(keeps_the_latest_five),
        scratch_test(says_why_there_can_be_no_backup),
        scratch_test(tries_a_closed_database_without_a_trace),
        scratch_test(tries_a_database_that_a_server_has_open),
        scratch_test(tries_a_database_that_was_not_closed),
        scratch_test(finds_what_is_no_database),
        scratch_test(finds_damage_in_the_middle),
        scratch_test(finds_what_a_server_would_refuse),
    };

    return cmocka_run_group_tests_name("store/backup", tests, NULL, NULL);
}
