/* This program is its own helper: started with --test-load, it is the child that a server would start. */
#include "test.h"

#include "plugin/testload.h"

#include "base/buf.h"
#include "base/fs.h"
#include "loop/loop.h"
#include "plugin/fixture.h"
#include "store/migrate.h"
#include "store/store.h"

enum { FILES_MAX = 8, GENEROUS_MS = 60000, SHORT_MS = 1500 };
enum { FOR_ONE_MS = 3000 }; /* more than ctorslow takes where the machine stalls, and less than four of it */

/* A run and what it reported, as one text: a line for each file. */
struct run {
    struct loop *loop;
    struct testload *testload;
    char *files[FILES_MAX]; /* owned */
    size_t count, reported;
    struct buf text;
    char *database;    /* owned; NULL: none is looked into */
    int schema;        /* of plugin 'database', as of the last report */
    size_t free_after; /* reports, then the run frees its test-load; 0: it waits for the end */
    bool done;
};

static void run_add(struct run *run, char *file) {
    assert_true(run->count < FILES_MAX);
    run->files[run->count++] = file;
}

static void run_fini_cleanup(struct run *run) {
    loop_enter();
    run->testload = testload_free(run->testload);
    run->loop = loop_free(run->loop);
    for (size_t i = 0; i < run->count; i++)
        free(run->files[i]);
    buf_fini(&run->text);
    free(run->database);
}

static void on_file(void *arg, const char *file, const char *name, const struct theseus_error *err) {
    struct run *run = arg;

    loop_enter();
    assert_string_equal(file, run->files[run->reported++]);
    assert_int_equal(name == NULL, err != NULL);
    assert_int_equal(buf_printf(&run->text, NULL, "%s\n", err ? err->message : name), 0);
    run->schema = testload_schema(run->testload, "database");
    if (run->reported == run->free_after)
        run->testload = testload_free(run->testload);
}

static void on_done(void *arg) {
    struct run *run = arg;

    loop_enter();
    run->done = true;
    run->testload = testload_free(run->testload);
}

static void run_start(struct run *run, int limit_ms) {
    CLEANUP(fd_close) int exe_fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    struct theseus_error err = {0};

    loop_enter();
    run->loop = loop_new();
    assert_non_null(run->loop);
    /* A descriptor that outlives the run: the test-load only borrows it. */
    static int kept_fd = -1;
    if (kept_fd < 0)
        kept_fd = fd_take(&exe_fd);
    const struct testload_spec spec = {
        .exe_fd = kept_fd, .files = run->files, .count = run->count, .database = run->database, .limit_ms = limit_ms};
    if (testload_start(&run->testload, run->loop, &spec, on_file, on_done, run, &err) < 0)
        test_failed("not started: %s", err.message);
}

static void run_to_its_end(struct run *run, int limit_ms) {
    run_start(run, limit_ms);
    loop_enter();
    while (!run->done)
        (void)loop_turn(run->loop, -1);
    assert_int_equal(buf_append(&run->text, (struct span){"", 1}, NULL), 0);
}

static const char *run_text(const struct run *run) {
    return buf_span(&run->text).data;
}

static void reports_each_file_in_its_order(void **state) {
    CLEANUP(run_fini) struct run run = {0};

    (void)state;
    run_add(&run, fixture_path("version1"));
    run_add(&run, fixture_path("nosymbol"));
    run_add(&run, fixture_path("duptool"));
    run_add(&run, fixture_path("counter"));
    run_to_its_end(&run, GENEROUS_MS);
    const char *at = run_text(&run);
    assert_int_equal(strncmp(at, "version\nexports no symbol 'theseus_plugin'", 42), 0);
    assert_non_null(strstr(at, "\nhas two tools with the name 'twin'\ncounter\n"));
}

static void blames_the_file_that_crashed_and_goes_on(void **state) {
    CLEANUP(run_fini) struct run run = {0};

    (void)state;
    run_add(&run, fixture_path("version1"));
    run_add(&run, fixture_path("ctorcrash"));
    run_add(&run, fixture_path("ctorcrash"));
    run_add(&run, fixture_path("version2"));
    run_to_its_end(&run, GENEROUS_MS);
    assert_string_equal(run_text(&run), "version\n"
                                        "its constructor crashed with SIGSEGV\n"
                                        "its constructor crashed with SIGSEGV\n"
                                        "version\n");
}

static void blames_the_file_that_hangs(void **state) {
    CLEANUP(run_fini) struct run run = {0};

    (void)state;
    run_add(&run, fixture_path("ctorhang"));
    run_to_its_end(&run, SHORT_MS);
    assert_string_equal(run_text(&run), "did not load within 1500 ms; does a constructor of it wait?\n");
}

static void gives_each_file_the_whole_time(void **state) {
    static const char *const names[] = {"a.so", "b.so", "c.so", "d.so"};
    CLEANUP(place_fini) char *place = place_new();
    CLEANUP(run_fini) struct run run = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        CLEANUP(free) char *copy = fixture_copy(place, "ctorslow");
        run_add(&run, path_join(place, names[i]));
        assert_int_equal(rename(copy, run.files[i]), 0);
    }
    run_add(&run, fixture_path("ctorhang"));
    run_to_its_end(&run, FOR_ONE_MS);
    assert_string_equal(run_text(&run), "ctorslow\nctorslow\nctorslow\nctorslow\n"
                                        "did not load within 3000 ms; does a constructor of it wait?\n");
}

/* A file whose structure points to nowhere: good to load, and fatal to read. */
static void blames_wrong_pointers_on_the_structure(void **state) {
    CLEANUP(run_fini) struct run run = {0};

    (void)state;
    run_add(&run, fixture_path("wildpointer"));
    run_add(&run, fixture_path("version1"));
    run_to_its_end(&run, GENEROUS_MS);
    assert_string_equal(run_text(&run), "a wrong pointer in its struct theseus_plugin crashed with SIGSEGV\nversion\n");
}

static void is_not_disturbed_by_what_plugins_print(void **state) {
    CLEANUP(run_fini) struct run run = {0};

    (void)state;
    run_add(&run, fixture_path("chatty"));
    run_add(&run, fixture_path("version1"));
    run_to_its_end(&run, GENEROUS_MS);
    assert_string_equal(run_text(&run), "chatty\nversion\n");
}

static void says_that_a_constructor_left_the_process(void **state) {
    CLEANUP(run_fini) struct run run = {0};

    (void)state;
    run_add(&run, fixture_path("ctorexit"));
    run_add(&run, fixture_path("version1"));
    run_to_its_end(&run, GENEROUS_MS);
    assert_string_equal(run_text(&run), "its constructor ended the process (exit status 3)\nversion\n");
}

static void does_not_mind_a_path_that_is_not_utf8(void **state) {
    CLEANUP(place_fini) char *place = place_new();
    CLEANUP(free) char *copy = fixture_copy(place, "version1");
    CLEANUP(run_fini) struct run run = {0};

    (void)state;
    run_add(&run, path_join(place, "\xff.so"));
    assert_int_equal(rename(copy, run.files[0]), 0);
    run_add(&run, path_join(place, "not there.so"));
    run_add(&run, path_join(place, "nor there \xff.so"));
    run_to_its_end(&run, GENEROUS_MS);
    assert_int_equal(strncmp(run_text(&run), "version\ncannot open '", 21), 0);
    assert_non_null(strstr(run_text(&run), "nor there ?.so'"));
}

static void tells_how_far_the_schema_in_the_database_is(void **state) {
    static const char *const steps[] = {"CREATE TABLE one (id INTEGER)", "CREATE TABLE two (id INTEGER)", NULL};
    CLEANUP(place_fini) char *place = place_new();

    (void)state;
    for (int i = 0; i < 2; i++) {
        CLEANUP(run_fini) struct run run = {.database = path_join(place, "theseus.db")};
        run_add(&run, fixture_path("database"));
        run_add(&run, fixture_path("version1"));
        run_to_its_end(&run, GENEROUS_MS);
        assert_string_equal(run_text(&run), "database\nversion\n");
        assert_int_equal(run.schema, i == 0 ? 0 : 2);
        assert_int_equal(access(run.database, F_OK), i == 0 ? -1 : 0); /* it makes none */
        CLEANUP(store_free) struct store *store = store_new(run.database);
        assert_int_equal(store_migrate(store, "database", steps, NULL), 0);
    }
}

/* It cannot be told, or nobody has asked: that is for others to find out. */
static void does_not_know_the_schema_of_what_it_cannot_read(void **state) {
    CLEANUP(place_fini) char *place = place_new();

    (void)state;
    for (int i = 0; i < 3; i++) {
        CLEANUP(run_fini) struct run run = {.database = i == 0 ? NULL : path_join(place, "theseus.db")};
        if (run.database)
            assert_int_equal(fs_write_file(run.database, span_of("no database, by far"), 0600, NULL), 0);
        run_add(&run, fixture_path("database"));
        if (i == 2)
            run_add(&run, fixture_path("ctorcrash"));
        run_to_its_end(&run, GENEROUS_MS);
        assert_int_equal(run.schema, -1);
    }
}

static void ends_at_once_without_files(void **state) {
    CLEANUP(run_fini) struct run run = {0};

    (void)state;
    run_to_its_end(&run, GENEROUS_MS);
    assert_int_equal(run.reported, 0);
}

static void can_be_freed_in_a_callback(void **state) {
    CLEANUP(run_fini) struct run run = {.free_after = 2};

    (void)state;
    run_add(&run, fixture_path("version1"));
    run_add(&run, fixture_path("ctorcrash"));
    run_add(&run, fixture_path("version1"));
    run_start(&run, GENEROUS_MS);
    loop_enter();
    while (run.testload)
        (void)loop_turn(run.loop, -1);
    assert_int_equal(run.reported, 2);
    assert_false(run.done);
}

static void can_be_freed_while_its_child_hangs(void **state) {
    CLEANUP(run_fini) struct run run = {0};

    (void)state;
    run_add(&run, fixture_path("ctorhang"));
    run_start(&run, GENEROUS_MS);
    loop_enter();
    run.testload = testload_free(run.testload);
    assert_int_equal(run.reported, 0);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reports_each_file_in_its_order),
        cmocka_unit_test(blames_the_file_that_crashed_and_goes_on),
        cmocka_unit_test(blames_the_file_that_hangs),
        cmocka_unit_test(gives_each_file_the_whole_time),
        cmocka_unit_test(blames_wrong_pointers_on_the_structure),
        cmocka_unit_test(is_not_disturbed_by_what_plugins_print),
        cmocka_unit_test(says_that_a_constructor_left_the_process),
        cmocka_unit_test(does_not_mind_a_path_that_is_not_utf8),
        cmocka_unit_test(tells_how_far_the_schema_in_the_database_is),
        cmocka_unit_test(does_not_know_the_schema_of_what_it_cannot_read),
        cmocka_unit_test(ends_at_once_without_files),
        cmocka_unit_test(can_be_freed_in_a_callback),
        cmocka_unit_test(can_be_freed_while_its_child_hangs),
    };

    if (argc > 1 && strcmp(argv[1], "--test-load") == 0)
        return testload_main(argc - 2, argv + 2);
    return cmocka_run_group_tests_name("plugin/testload", tests, NULL, NULL);
}
