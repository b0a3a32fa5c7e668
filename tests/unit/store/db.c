#include "test.h"

#include "store/db.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int make_scratch(void **state) {
    char *dir = xstrdup("/tmp/theseus-db-XXXXXX");

    *state = dir;
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_scratch(void **state) {
    int r = nftw(*state, remove_entry, 8, FTW_DEPTH | FTW_PHYS);

    free(*state);
    return r;
}

static int64_t ask(sqlite3 *db, const char *sql) {
    CLEANUP(sqlite3_finalize) sqlite3_stmt *statement = NULL;

    assert_int_equal(db_prepare(db, sql, &statement, NULL), 0);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    return sqlite3_column_int64(statement, 0);
}

static void makes_a_private_file_in_a_private_directory(void **state) {
    CLEANUP(free) char *dir = path_join(*state, "one/two");
    CLEANUP(free) char *path = path_join(dir, "theseus.db");
    CLEANUP(free) char *log_path = xasprintf("%s-wal", path);
    CLEANUP(db_close) sqlite3 *db = NULL;
    struct stat st;

    assert_int_equal(db_open(path, &db, NULL), 0);
    assert_int_equal(db_exec(db, "CREATE TABLE t (x INTEGER)", NULL), 0);
    assert_int_equal(stat(dir, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(stat(log_path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void sets_what_durability_and_safety_need(void **state) {
    CLEANUP(free) char *path = path_join(*state, "theseus.db");
    CLEANUP(db_close) sqlite3 *db = NULL;
    int on = -1;

    assert_int_equal(db_open(path, &db, NULL), 0);
    assert_int_equal(ask(db, "PRAGMA foreign_keys"), 1);
    assert_int_equal(ask(db, "PRAGMA synchronous"), 2);
    assert_int_equal(ask(db, "PRAGMA busy_timeout"), DB_BUSY_TIMEOUT_MS);
    assert_int_equal(ask(db, "SELECT journal_mode = 'wal' FROM pragma_journal_mode"), 1);
    assert_int_equal(sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, -1, &on), SQLITE_OK);
    assert_int_equal(on, 1);
    assert_int_equal(sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, -1, &on), SQLITE_OK);
    assert_int_equal(on, 0);
}

static void refuses_a_file_that_others_may_open(void **state) {
    CLEANUP(free) char *path = path_join(*state, "theseus.db");
    CLEANUP(free) char *cure = xasprintf("chmod 600 '%s'", path);
    CLEANUP(db_close) sqlite3 *db = NULL;
    struct theseus_error err = {0};

    assert_int_equal(db_open(path, &db, NULL), 0);
    db = db_close(db);
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(db_open(path, &db, &err), -1);
    assert_int_equal(err.code, ERR_ACCESS);
    assert_non_null(strstr(err.message, cure));
    assert_null(db);
}

static void refuses_a_directory_that_others_may_open(void **state) {
    CLEANUP(free) char *path = path_join(*state, "theseus.db");
    CLEANUP(free) char *cure = xasprintf("chmod 700 '%s'", (char *)*state);
    struct theseus_error err = {0};
    sqlite3 *db;

    assert_int_equal(chmod(*state, 0755), 0);
    assert_int_equal(db_open(path, &db, &err), -1);
    assert_int_equal(err.code, ERR_ACCESS);
    assert_non_null(strstr(err.message, cure));
    assert_int_equal(access(path, F_OK), -1);
}

/* Opens `path` in a child that is not root, whom no mode stops. Returns the error's code; the text is in `message`. */
static int open_as_somebody(const char *path, char *message, size_t size) {
    int ends[2], status = -1;

    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct theseus_error err = {0};
        sqlite3 *db = NULL;

        if (getuid() == 0 && setuid(65534) < 0)
            _exit(99);
        if (db_open(path, &db, &err) == 0)
            (void)db_close(db);
        _exit(write(ends[1], err.message, sizeof(err.message)) == sizeof(err.message) ? err.code : 98);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(read(ends[0], message, size) > 0);
    (void)close(ends[0]);
    (void)close(ends[1]);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void names_the_cure_for_a_directory_without_writing(void **state) {
    CLEANUP(free) char *path = path_join(*state, "theseus.db");
    CLEANUP(free) char *cure = xasprintf("chmod 700 '%s'", (char *)*state);
    char message[240];

    assert_int_equal(chmod(*state, 0500), 0);
    if (getuid() == 0)
        assert_int_equal(chown(*state, 65534, 65534), 0);
    assert_int_equal(open_as_somebody(path, message, sizeof(message)), ERR_ACCESS);
    assert_non_null(strstr(message, cure));
    assert_int_equal(chmod(*state, 0700), 0);
    assert_int_equal(open_as_somebody(path, message, sizeof(message)), 0);
}

static void names_the_cure_for_a_file_without_writing(void **state) {
    CLEANUP(free) char *path = path_join(*state, "theseus.db");
    CLEANUP(free) char *cure = xasprintf("chmod 600 '%s'", path);
    char message[240];

    if (getuid() == 0)
        assert_int_equal(chown(*state, 65534, 65534), 0);
    assert_int_equal(open_as_somebody(path, message, sizeof(message)), 0);
    assert_int_equal(chmod(path, 0400), 0);
    assert_int_equal(open_as_somebody(path, message, sizeof(message)), ERR_ACCESS);
    assert_non_null(strstr(message, cure));
}

static void says_that_a_damaged_file_is_no_database(void **state) {
    CLEANUP(free) char *path = path_join(*state, "theseus.db");
    CLEANUP(free) char *noise = xcalloc(1, 8192);
    struct theseus_error err = {0};
    sqlite3 *db = NULL;

    memset(noise, 'x', 8192);
    assert_int_equal(fs_write_file(path, (struct span){noise, 8192}, 0600, NULL), 0);
    assert_int_equal(db_open(path, &db, &err), -1);
    assert_int_equal(err.code, ERR_INVALID);
    assert_non_null(strstr(err.message, path));
    assert_non_null(strstr(err.message, "file is not a database"));
}

static void takes_nothing_that_was_emptied_for_a_new_one(void **state) {
    CLEANUP(free) char *path = path_join(*state, "theseus.db");
    CLEANUP(free) char *log_path = xasprintf("%s-wal", path);
    CLEANUP(db_close) sqlite3 *db = NULL;
    struct theseus_error err = {0};

    assert_int_equal(db_open(path, &db, NULL), 0);
    db = db_close(db);
    assert_int_equal(truncate(path, 0), 0);
    assert_int_equal(db_open(path, &db, &err), -1);
    assert_non_null(strstr(err.message, "is empty: it was truncated"));
    assert_int_equal(fs_write_file(log_path, span_of("log"), 0600, NULL), 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(db_open(path, &db, NULL), -1);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(unlink(log_path), 0);
    assert_int_equal(db_open(path, &db, NULL), 0);
}

static pid_t ended_pid(void) {
    pid_t child = fork();

    if (child == 0)
        _exit(0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    return child;
}

static void removes_what_a_process_left_that_was_killed_while_it_made_one(void **state) {
    static const char *const of_draft[] = {"", "-wal", "-shm", "-journal"};
    CLEANUP(free) char *path = path_join(*state, "theseus.db");
    const pid_t dead = ended_pid();
    CLEANUP(free) char *others = xasprintf("%s.%d.new", path, (int)getppid());
    CLEANUP(free) char *no_draft = xasprintf("%s.%d.news", path, (int)dead);
    CLEANUP(db_close) sqlite3 *db = NULL;

    for (size_t i = 0; i < 2 * ARRAY_SIZE(of_draft); i++) {
        CLEANUP(free) char *left = xasprintf("%s.%d.new%s", path, (int)(i % 2 ? dead : getpid()), of_draft[i / 2]);
        assert_int_equal(fs_write_file(left, span_of("left"), 0600, NULL), 0);
    }
    assert_int_equal(fs_write_file(others, span_of("made"), 0600, NULL), 0);
    assert_int_equal(fs_write_file(no_draft, span_of("kept"), 0600, NULL), 0);
    assert_int_equal(db_open(path, &db, NULL), 0);
    for (size_t i = 0; i < 2 * ARRAY_SIZE(of_draft); i++) {
        CLEANUP(free) char *left = xasprintf("%s.%d.new%s", path, (int)(i % 2 ? dead : getpid()), of_draft[i / 2]);
        assert_int_equal(access(left, F_OK), -1);
    }
    assert_int_equal(access(others, F_OK), 0);
    assert_int_equal(access(no_draft, F_OK), 0);
}

static void refuses_what_is_no_file(void **state) {
    CLEANUP(free) char *path = path_join(*state, "theseus.db");
    struct theseus_error err = {0};
    sqlite3 *db = NULL;

    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(db_open(path, &db, &err), -1);
    assert_non_null(strstr(err.message, "is not a regular file"));
}

static void refuses_two_statements_in_one_text(void **state) {
    CLEANUP(free) char *path = path_join(*state, "theseus.db");
    CLEANUP(db_close) sqlite3 *db = NULL;
    CLEANUP(sqlite3_finalize) sqlite3_stmt *statement = NULL;
    struct theseus_error err = {0};

    assert_int_equal(db_open(path, &db, NULL), 0);
    assert_int_equal(db_prepare(db, "SELECT 1; SELECT 2", &statement, &err), -1);
    assert_non_null(strstr(err.message, "more than one statement"));
    assert_int_equal(db_prepare(db, " -- nothing", &statement, NULL), -1);
    assert_null(statement);
    assert_int_equal(db_prepare(db, "SELECT 1; \n", &statement, NULL), 0);
}

static void reports_a_failure_in_the_words_of_sqlite(void **state) {
    CLEANUP(free) char *path = path_join(*state, "theseus.db");
    CLEANUP(db_close) sqlite3 *db = NULL;
    struct theseus_error err = {0};

    assert_int_equal(db_open(path, &db, NULL), 0);
    assert_int_equal(db_exec(db, "SELECT * FROM nowhere", &err), -1);
    assert_string_equal(err.message, "'SELECT * FROM nowhere': no such table: nowhere");
    assert_int_equal(err.code, ERR_INTERNAL);
}

static void closes_over_statements_that_were_left(void **state) {
    CLEANUP(free) char *path = path_join(*state, "theseus.db");
    CLEANUP(free) char *log_path = xasprintf("%s-wal", path);
    sqlite3_stmt *statement = NULL;
    sqlite3 *db = NULL;

    assert_int_equal(db_open(path, &db, NULL), 0);
    assert_int_equal(db_prepare(db, "SELECT name FROM sqlite_schema", &statement, NULL), 0);
    assert_null(db_close(db));
    assert_int_equal(access(log_path, F_OK), -1); /* the last one to close puts the log away */
}

/* A virtual table keeps statements of its own, which are its own to finalise. */
static void closes_over_a_full_text_index(void **state) {
    CLEANUP(free) char *path = path_join(*state, "theseus.db");
    sqlite3 *db = NULL;

    assert_int_equal(db_open(path, &db, NULL), 0);
    assert_int_equal(
        db_exec(db, "CREATE VIRTUAL TABLE words USING fts5 (word); INSERT INTO words VALUES ('one')", NULL), 0);
    assert_non_null(sqlite3_next_stmt(db, NULL));
    assert_null(db_close(db));
}

int main(void) {
#define scratch_test(function) cmocka_unit_test_setup_teardown(function, make_scratch, remove_scratch)
    const struct CMUnitTest tests[] = {
        scratch_test(makes_a_private_file_in_a_private_directory),
        scratch_test(sets_what_durability_and_safety_need),
        scratch_test(refuses_a_file_that_others_may_open),
        scratch_test(refuses_a_directory_that_others_may_open),
        scratch_test(names_the_cure_for_a_directory_without_writing),
        scratch_test(names_the_cure_for_a_file_without_writing),
        scratch_test(says_that_a_damaged_file_is_no_database),
        scratch_test(takes_nothing_that_was_emptied_for_a_new_one),
        scratch_test(removes_what_a_process_left_that_was_killed_while_it_made_one),
        scratch_test(refuses_what_is_no_file),
        scratch_test(refuses_two_statements_in_one_text),
        scratch_test(reports_a_failure_in_the_words_of_sqlite),
        scratch_test(closes_over_statements_that_were_left),
        scratch_test(closes_over_a_full_text_index),
    };

    return cmocka_run_group_tests_name("store/db", tests, NULL, NULL);
}
