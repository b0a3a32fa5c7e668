#include "test.h"

#include "store/archive.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <sqlite3.h>

#include "base/buf.h"
#include "base/fs.h"
#include "store/scratch.h"

struct place {
    struct scratch *scratch;
    char *state_dir, *file, *aside; /* owned */
};

static int make_place(void **state) {
    struct place *place = xcalloc(1, sizeof(*place));

    if (make_scratch((void **)&place->scratch) < 0)
        return -1;
    *state = place;
    place->state_dir = path_dir(place->scratch->path);
    place->file = path_join(place->scratch->dir, "kept.db");
    return 0;
}

static int remove_place(void **state) {
    struct place *place = *state;
    int r = remove_scratch((void **)&place->scratch);

    free(place->state_dir);
    free(place->file);
    free(place->aside);
    free(place);
    return r;
}

static void run(struct place *place, const char *sql) {
    sqlite3 *db = NULL;

    assert_int_equal(store_db(store_of((void **)&place->scratch), &db, NULL), 0);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
}

/* The server ends. */
static void leave(struct place *place) {
    place->scratch->store = store_free(place->scratch->store);
    place->scratch->store = store_new(place->scratch->path);
}

static int number(const char *path, const char *sql) {
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    int found = -1;

    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL), SQLITE_OK);
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW)
        found = sqlite3_column_int(statement, 0);
    (void)sqlite3_finalize(statement);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    return found;
}

static void put_artifact(struct place *place, const char *name, const char *text) {
    CLEANUP(free) char *path = xasprintf("%s/artifacts/%s", place->state_dir, name);
    CLEANUP(free) char *dir = path_dir(path);

    assert_int_equal(fs_make_private_dir(dir, NULL), 0);
    assert_int_equal(fs_write_file(path, span_of(text), 0600, NULL), 0);
}

static bool artifact_is(struct place *place, const char *name, const char *text) {
    CLEANUP(free) char *path = xasprintf("%s/artifacts/%s", place->state_dir, name);
    CLEANUP(buf_fini) struct buf found = {0};

    return fs_read_file(path, 1 << 20, &found, NULL) == 0 && buf_span(&found).len == strlen(text) &&
           memcmp(buf_span(&found).data, text, strlen(text)) == 0;
}

static void remove_artifact(struct place *place, const char *name) {
    CLEANUP(free) char *path = xasprintf("%s/artifacts/%s", place->state_dir, name);

    assert_int_equal(unlink(path), 0);
}

/* What was said of artifacts, one after the other. */
static char told[4096];

static void on_told(void *arg, const char *text) {
    (void)arg;
    (void)snprintf(told + strlen(told), sizeof(told) - strlen(told), "%s\n", text);
}

static const struct artifacts_listener listener = {.tell = on_told};

static void a_database_comes_back_with_its_artifacts(void **state) {
    struct place *place = *state;
    struct theseus_error err = {0};

    run(place, "CREATE TABLE t (x); INSERT INTO t VALUES (1)");
    put_artifact(place, "ab/one", "first");
    assert_int_equal(archive_write(place->state_dir, place->file, &listener, &err), 0);
    run(place, "INSERT INTO t VALUES (2)");
    remove_artifact(place, "ab/one");
    put_artifact(place, "cd/two", "second");
    leave(place);

    assert_int_equal(archive_restore(place->state_dir, place->file, &listener, &place->aside, &err), 0);
    assert_int_equal(number(place->scratch->path, "SELECT sum(x) FROM t"), 1);
    assert_true(artifact_is(place, "ab/one", "first"));
    assert_true(artifact_is(place, "cd/two", "second"));
    assert_int_equal(number(place->aside, "SELECT sum(x) FROM t"), 3);
    assert_int_equal(number(place->scratch->path, "SELECT count(*) FROM sqlite_schema"), 1);
}

static void it_is_written_whole_while_others_write(void **state) {
    struct place *place = *state;
    struct theseus_error err = {0};
    int status = 0;

    run(place, "CREATE TABLE t (x); INSERT INTO t VALUES (0)");
    leave(place);
    pid_t writer = fork();
    if (writer == 0)
        for (int i = 0;; i++) {
            CLEANUP(store_free) struct store *store = store_new(place->scratch->path);
            struct place own = {.scratch = &(struct scratch){.store = store}};
            run(&own, "BEGIN IMMEDIATE; INSERT INTO t VALUES (1); INSERT INTO t VALUES (-1); COMMIT");
        }
    for (int i = 0; i < 20; i++) {
        CLEANUP(free) char *file = xasprintf("%s-%d", place->file, i);
        assert_int_equal(archive_write(place->state_dir, file, &listener, &err), 0);
        assert_int_equal(number(file, "SELECT sum(x) FROM t"), 0);
    }
    assert_int_equal(kill(writer, SIGKILL), 0);
    assert_int_equal(waitpid(writer, &status, 0), writer);
}

static void the_file_is_private_and_takes_nobodys_place(void **state) {
    struct place *place = *state;
    struct theseus_error err = {0};
    struct stat st;

    run(place, "CREATE TABLE t (x)");
    assert_int_equal(archive_write(place->state_dir, place->file, &listener, &err), 0);
    assert_int_equal(stat(place->file, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(archive_write(place->state_dir, place->file, &listener, &err), -1);
    assert_non_null(strstr(err.message, "is there already"));
}

static void without_a_database_there_is_nothing_to_write(void **state) {
    struct place *place = *state;
    struct theseus_error err = {0};

    assert_int_equal(archive_write(place->state_dir, place->file, &listener, &err), -1);
    assert_int_equal(err.code, ERR_MISSING);
    assert_int_equal(access(place->file, F_OK), -1);
}

static void nothing_is_restored_under_a_server(void **state) {
    struct place *place = *state;
    struct theseus_error err = {0};

    run(place, "CREATE TABLE t (x); INSERT INTO t VALUES (1)");
    assert_int_equal(archive_write(place->state_dir, place->file, &listener, &err), 0);
    leave(place);
    int turns[2];
    assert_int_equal(pipe(turns), 0);
    pid_t server = fork(); /* locks are a process's: the one that holds the database must be another one */
    if (server == 0) {
        run(place, "INSERT INTO t VALUES (5)");
        (void)!write(turns[1], "o", 1);
        for (;;)
            (void)pause();
    }
    char open_now;
    assert_int_equal(read(turns[0], &open_now, 1), 1);
    assert_int_equal(archive_restore(place->state_dir, place->file, &listener, &place->aside, &err), -1);
    assert_int_equal(err.code, ERR_BUSY);
    assert_non_null(strstr(err.message, "has"));
    assert_int_equal(kill(server, SIGKILL), 0);
    assert_int_equal(waitpid(server, NULL, 0), server);
    assert_int_equal(number(place->scratch->path, "SELECT sum(x) FROM t"), 6);
    (void)close(turns[0]);
    (void)close(turns[1]);
}

/* Every reason leaves the database and its directory as they were. */
static void refuses(struct place *place, const char *words) {
    struct theseus_error err = {0};

    assert_int_equal(archive_restore(place->state_dir, place->file, &listener, &place->aside, &err), -1);
    if (!strstr(err.message, words))
        assert_string_equal(err.message, words); /* shows both */
    assert_null(place->aside);
    assert_int_equal(number(place->scratch->path, "SELECT sum(x) FROM t"), 1);
}

static void what_does_not_hold_is_not_restored(void **state) {
    struct place *place = *state;
    struct theseus_error err = {0};

    run(place, "CREATE TABLE t (x); INSERT INTO t VALUES (1)");
    leave(place);
    refuses(place, "cannot open");
    assert_int_equal(fs_write_file(place->file, (struct span){"", 0}, 0600, &err), 0);
    refuses(place, "not a database of this server");
    assert_int_equal(fs_write_file(place->file, span_of("no database"), 0600, &err), 0);
    refuses(place, "not a database");
    assert_int_equal(unlink(place->file), 0);
    assert_int_equal(number(place->file, "CREATE TABLE a (x PRIMARY KEY)"), -1);
    refuses(place, "not a database of this server; name a file that `theseus backup` has written");
    assert_int_equal(number(place->file, "CREATE TABLE schema_versions (component PRIMARY KEY, version)"), -1);
    assert_int_equal(number(place->file, "CREATE TABLE b (x REFERENCES a)"), -1);
    assert_int_equal(number(place->file, "INSERT INTO b VALUES (7)"), -1);
    refuses(place, "not there");
    assert_int_equal(number(place->file, "DELETE FROM b"), -1);
    assert_int_equal(number(place->file, "INSERT INTO schema_versions VALUES ('core', 99)"), -1);
    refuses(place, "newer server");
}

static void a_name_leads_nowhere_else(void **state) {
    struct place *place = *state;
    CLEANUP(free) char *outside = path_join(place->scratch->dir, "outside");

    run(place, "CREATE TABLE t (x); INSERT INTO t VALUES (1)");
    leave(place);
    assert_int_equal(number(place->file, "CREATE TABLE theseus_files (name, bytes)"), -1);
    assert_int_equal(number(place->file, "INSERT INTO theseus_files VALUES ('../../outside', x'41')"), -1);
    refuses(place, "no server has written");
    assert_int_equal(access(outside, F_OK), -1);
}

static void a_damaged_database_is_kept_aside(void **state) {
    struct place *place = *state;
    struct theseus_error err = {0};

    run(place, "CREATE TABLE t (x); INSERT INTO t VALUES (1)");
    assert_int_equal(archive_write(place->state_dir, place->file, &listener, &err), 0);
    leave(place);
    assert_int_equal(fs_write_file(place->scratch->path, span_of("what is left of it"), 0600, &err), 0);
    assert_int_equal(archive_restore(place->state_dir, place->file, &listener, &place->aside, &err), 0);
    assert_int_equal(number(place->scratch->path, "SELECT sum(x) FROM t"), 1);
    CLEANUP(buf_fini) struct buf kept = {0};
    assert_int_equal(fs_read_file(place->aside, 1000, &kept, &err), 0);
    assert_memory_equal(buf_span(&kept).data, "what is left", 12);
}

static void examining_names_what_is_wrong(void **state) {
    struct place *place = *state;
    struct theseus_error err = {0};
    size_t named;

    run(place, "CREATE TABLE a (x PRIMARY KEY); CREATE TABLE b (x REFERENCES a)");
    assert_int_equal(archive_examine(place->scratch->path, &listener, &named, &err), 0);
    run(place, "PRAGMA foreign_keys = OFF; INSERT INTO b VALUES (7); PRAGMA foreign_keys = ON");
    assert_int_equal(archive_examine(place->scratch->path, &listener, &named, &err), -1);
    assert_int_equal(err.code, ERR_INVALID);
    assert_non_null(strstr(err.message, "table b refers to a row of table a"));
}

/* SHA-256 of "first"; and two others that nothing has. */
#define FIRST "a7937b64b8caa58f03721bb6bacf5c78cb235febe0e70b1b84cd99541461a08e"
#define GONE "0000000000000000000000000000000000000000000000000000000000000001"
#define OTHER "0000000000000000000000000000000000000000000000000000000000000002"

/* A plugin's rows name three files, of which one is whole; a fourth is young, and a fifth is old. */
static void name_artifacts(struct place *place) {
    CLEANUP(free) char *old = xasprintf("%s/artifacts/old", place->state_dir);
    const struct timespec long_ago[2] = {{.tv_sec = 1}, {.tv_sec = 1}};

    run(place, "CREATE TABLE schema_versions (component PRIMARY KEY, version); "
               "INSERT INTO schema_versions VALUES ('kee-per', 1); CREATE TABLE k (h, b); "
               "CREATE VIEW \"kee-per_files\" (name, bytes) AS SELECT h, b FROM k; "
               "CREATE VIEW nobodys_files AS SELECT x FROM nowhere; "
               "INSERT INTO k VALUES ('" FIRST "', 5), ('" GONE "', 5), ('" OTHER "', 5)");
    put_artifact(place, FIRST, "first");
    put_artifact(place, OTHER, "other");
    put_artifact(place, "young", "x");
    put_artifact(place, "old", "x");
    assert_int_equal(utimensat(AT_FDCWD, old, long_ago, 0), 0);
}

static int lines(const char *text) {
    int count = 0;

    for (; *text; text++)
        count += *text == '\n';
    return count;
}

static void artifacts_are_compared_with_the_rows(void **state) {
    struct place *place = *state;
    struct theseus_error err = {0};
    size_t named = 0;

    name_artifacts(place);
    told[0] = '\0';
    assert_int_equal(archive_examine(place->scratch->path, &listener, &named, &err), 0);
    assert_int_equal(named, 3);
    assert_non_null(strstr(told, "/" GONE "' is missing"));
    assert_non_null(strstr(told, "/" OTHER "' holds something else"));
    assert_non_null(strstr(told, "/old' is named by no row"));
    assert_int_equal(lines(told), 3);
    run(place, "UPDATE k SET b = 6 WHERE h = '" FIRST "'; DELETE FROM k WHERE h <> '" FIRST "'");
    told[0] = '\0';
    assert_int_equal(archive_examine(place->scratch->path, &listener, &named, &err), 0);
    assert_non_null(strstr(told, "/" FIRST "' has 5 bytes instead of 6"));
}

static void a_backup_says_what_is_missing(void **state) {
    struct place *place = *state;
    struct theseus_error err = {0};

    name_artifacts(place);
    told[0] = '\0';
    assert_int_equal(archive_write(place->state_dir, place->file, &listener, &err), 0);
    assert_int_equal(lines(told), 2);
    assert_non_null(strstr(told, GONE));
    assert_non_null(strstr(told, OTHER));
    leave(place);
    told[0] = '\0';
    assert_int_equal(archive_restore(place->state_dir, place->file, &listener, &place->aside, &err), 0);
    assert_int_equal(lines(told), 2);
}

static void many_faults_are_few_lines(void **state) {
    struct place *place = *state;
    struct theseus_error err = {0};
    size_t named = 0;

    name_artifacts(place);
    run(place, "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000) "
               "INSERT INTO k SELECT 'none' || i, 1 FROM n");
    told[0] = '\0';
    assert_int_equal(archive_examine(place->scratch->path, &listener, &named, &err), 0);
    assert_int_equal(named, 1003);
    assert_int_equal(lines(told), 22);
    assert_non_null(strstr(told, "\n982 more files are missing or hold something else\n"));
}

static void a_place_that_cannot_be_written_is_named(void **state) {
    struct place *place = *state;
    CLEANUP(free) char *file = xasprintf("%s/nowhere/kept.db", place->scratch->dir);
    struct theseus_error err = {0};

    run(place, "CREATE TABLE t (x)");
    assert_int_equal(archive_write(place->state_dir, file, &listener, &err), -1);
    assert_non_null(strstr(err.message, "/nowhere': No such file or directory; name a file in a directory"));
    assert_null(strstr(err.message, "database"));
}

int main(void) {
#define TEST(test) cmocka_unit_test_setup_teardown(test, make_place, remove_place)
    const struct CMUnitTest tests[] = {
        TEST(a_database_comes_back_with_its_artifacts),
        TEST(it_is_written_whole_while_others_write),
        TEST(the_file_is_private_and_takes_nobodys_place),
        TEST(without_a_database_there_is_nothing_to_write),
        TEST(nothing_is_restored_under_a_server),
        TEST(what_does_not_hold_is_not_restored),
        TEST(a_name_leads_nowhere_else),
        TEST(a_damaged_database_is_kept_aside),
        TEST(examining_names_what_is_wrong),
        TEST(artifacts_are_compared_with_the_rows),
        TEST(a_backup_says_what_is_missing),
        TEST(many_faults_are_few_lines),
        TEST(a_place_that_cannot_be_written_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
