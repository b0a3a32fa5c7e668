#include "test.h"

#include "base/log.h"

#include "base/limits.h"
#include "plugin/fixture.h"

/* What stands in the file. Owned. */
static char *content_of(const char *path) {
    struct buf content = {0};

    if (access(path, F_OK) < 0)
        return xstrdup("");
    assert_int_equal(fs_read_file(path, 64 << 20, &content, NULL), 0);
    return buf_take_string(&content);
}

static size_t lines_of(const char *text) {
    size_t count = 0;

    for (; *text; text++)
        count += *text == '\n';
    return count;
}

static void keeps_lines_until_there_is_a_file(void **state) {
    CLEANUP(place_fini) char *place = place_new();
    CLEANUP(free) char *path = path_join(place, "log");
    struct stat st;

    (void)state;
    log_set_level(LOG_INFO);
    log_info("before %d", 1);
    log_debug("not wanted");
    assert_false(log_is_open());
    assert_int_equal(log_open(path, NULL), 0);
    assert_true(log_is_open());
    log_info("after");
    CLEANUP(free) char *text = content_of(path);
    assert_int_equal(lines_of(text), 2);
    assert_non_null(strstr(text, "Z info    base: before 1\n"));
    assert_non_null(strstr(text, "Z info    base: after\n"));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    log_close();
    assert_false(log_is_open());
}

static void names_the_folder_of_the_source(void **state) {
    CLEANUP(place_fini) char *place = place_new();
    CLEANUP(free) char *path = path_join(place, "log");

    (void)state;
    assert_int_equal(log_open(path, NULL), 0);
    log_write(LOG_INFO, "core/conn/outbox.c", "a");
    log_write(LOG_INFO, "conn/outbox.c", "b");
    log_write(LOG_INFO, "myplugin", "c");
    CLEANUP(free) char *text = content_of(path);
    assert_non_null(strstr(text, " conn: a\n"));
    assert_non_null(strstr(text, " conn: b\n"));
    assert_non_null(strstr(text, " myplugin: c\n"));
    log_close();
}

static void keeps_one_line_one_line(void **state) {
    CLEANUP(place_fini) char *place = place_new();
    CLEANUP(free) char *path = path_join(place, "log");
    CLEANUP(free) char *much = xasprintf("%0*d", 100000, 0);

    (void)state;
    assert_int_equal(log_open(path, NULL), 0);
    log_info("two\nlines\r\x1b[31m");
    log_info("%s", much);
    CLEANUP(free) char *text = content_of(path);
    assert_int_equal(lines_of(text), 2);
    assert_non_null(strstr(text, "two lines  [31m\n"));
    assert_true(strlen(text) < 8192);
    log_close();
}

static void goes_on_in_a_new_file_when_one_is_full(void **state) {
    CLEANUP(place_fini) char *place = place_new();
    CLEANUP(free) char *path = path_join(place, "log");
    CLEANUP(free) char *line = xasprintf("%0*d", 3500, 0);
    struct stat st;

    (void)state;
    assert_int_equal(log_open(path, NULL), 0);
    for (int i = 0; i < (LIMIT_LOG_FILES + 2) * (LIMIT_LOG_FILE / 3500); i++)
        log_info("%s", line);
    for (int i = 0; i <= LIMIT_LOG_FILES + 1; i++) {
        CLEANUP(free) char *rotated = i ? xasprintf("%s.%d", path, i) : xstrdup(path);
        assert_int_equal(stat(rotated, &st), i > LIMIT_LOG_FILES ? -1 : 0);
        assert_true(i > LIMIT_LOG_FILES || st.st_size <= LIMIT_LOG_FILE);
    }
    log_close();
}

static void refuses_a_link_and_a_place_that_is_not_there(void **state) {
    CLEANUP(place_fini) char *place = place_new();
    CLEANUP(free) char *link = path_join(place, "link"), *nowhere = path_join(place, "no/log");
    struct theseus_error err = {0};

    (void)state;
    assert_int_equal(symlink("/dev/null", link), 0);
    assert_int_equal(log_open(link, &err), -1);
    assert_int_equal(err.code, ERR_SYSTEM);
    assert_int_equal(log_open(nowhere, NULL), -1);
    assert_false(log_is_open());
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_lines_until_there_is_a_file),
        cmocka_unit_test(names_the_folder_of_the_source),
        cmocka_unit_test(keeps_one_line_one_line),
        cmocka_unit_test(goes_on_in_a_new_file_when_one_is_full),
        cmocka_unit_test(refuses_a_link_and_a_place_that_is_not_there),
    };

    return cmocka_run_group_tests_name("base/log", tests, NULL, NULL);
}
