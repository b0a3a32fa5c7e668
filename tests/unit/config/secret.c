#include "test.h"

#include "config/config.h"
#include "config/dir.h"

static void knows_a_reference(void **state) {
    (void)state;
    assert_true(config_is_secret_ref("env:TOKEN"));
    assert_true(config_is_secret_ref("file:token"));
    assert_false(config_is_secret_ref("environment"));
    assert_false(config_is_secret_ref("a env:TOKEN"));
    assert_false(config_is_secret_ref("ENV:TOKEN"));
    assert_false(config_is_secret_ref(""));
}

static void resolves(const char *ref, const char *base_dir, const char *wanted) {
    CLEANUP(free) char *value = NULL;
    struct theseus_error err = {0};
    int r = config_resolve_secret(ref, base_dir, &value, &err);

    assert_string_equal(err.message, "");
    assert_int_equal(r, 0);
    assert_string_equal(value, wanted);
}

static void does_not_resolve(const char *ref, const char *base_dir, const char *why) {
    char *value = NULL;
    struct theseus_error err = {0};

    assert_int_equal(config_resolve_secret(ref, base_dir, &value, &err), -1);
    assert_string_equal(err.message, why);
    assert_null(value);
}

static void takes_it_from_the_environment_when_asked(void **state) {
    (void)state;
    assert_int_equal(setenv("THESEUS_TEST_TOKEN", "one", 1), 0);
    resolves("env:THESEUS_TEST_TOKEN", "/", "one");
    assert_int_equal(setenv("THESEUS_TEST_TOKEN", "two", 1), 0);
    resolves("env:THESEUS_TEST_TOKEN", "/", "two");
    assert_int_equal(setenv("THESEUS_TEST_TOKEN", "", 1), 0);
    resolves("env:THESEUS_TEST_TOKEN", "/", "");
    assert_int_equal(setenv("THESEUS_TEST_TOKEN", "\xFF", 1), 0);
    does_not_resolve("env:THESEUS_TEST_TOKEN", "/",
                     "the environment variable 'THESEUS_TEST_TOKEN' does not hold a text in UTF-8");
    assert_int_equal(unsetenv("THESEUS_TEST_TOKEN"), 0);
    does_not_resolve("env:THESEUS_TEST_TOKEN", "/", "the environment variable 'THESEUS_TEST_TOKEN' is not set");
}

static void takes_it_from_a_file_without_the_last_newline(void **state) {
    CLEANUP(dir_remove) struct dir dir = dir_new();
    CLEANUP(free) char *crlf = dir_file(&dir, "crlf", "s\r\n", 0400);
    CLEANUP(free) char *absolute = xasprintf("file:%s", crlf);

    (void)state;
    free(dir_file(&dir, "lf", "s\n\n", 0600));
    free(dir_file(&dir, "none", "s\r", 0600));
    free(dir_file(&dir, "empty", "", 0600));
    resolves("file:lf", dir.path, "s\n");
    resolves(absolute, "/not/there", "s");
    resolves("file:none", dir.path, "s\r");
    resolves("file:empty", dir.path, "");
}

static void refuses_a_file_that_others_may_read(void **state) {
    CLEANUP(dir_remove) struct dir dir = dir_new();
    CLEANUP(free) char *path = dir_file(&dir, "s", "never shown", 0604);
    CLEANUP(free) char *why = xasprintf("'%s' may be read by others; mend it with: chmod 600 '%s'", path, path);

    (void)state;
    does_not_resolve("file:s", dir.path, why);
    assert_int_equal(chmod(path, 0640), 0);
    does_not_resolve("file:s", dir.path, why);
    assert_int_equal(chmod(path, 0600), 0);
    resolves("file:s", dir.path, "never shown");
}

static void refuses_a_file_that_others_may_write(void **state) {
    CLEANUP(dir_remove) struct dir dir = dir_new();
    CLEANUP(free) char *path = dir_file(&dir, "s", "x", 0602);
    CLEANUP(free) char *why = xasprintf("'%s' may be written by others; mend it with: chmod go-w '%s'", path, path);

    (void)state;
    does_not_resolve("file:s", dir.path, why);
}

static void refuses_what_is_not_there_or_no_text(void **state) {
    CLEANUP(dir_remove) struct dir dir = dir_new();
    CLEANUP(free) char *bad = dir_file(&dir, "bad", "\xFF", 0600);
    CLEANUP(free) char *missing = xasprintf("the file '%s/missing' does not exist", dir.path);
    CLEANUP(free) char *no_text = xasprintf("'%s' does not hold a text in UTF-8", bad);

    (void)state;
    does_not_resolve("file:missing", dir.path, missing);
    does_not_resolve("file:bad", dir.path, no_text);
    does_not_resolve("file:", dir.path, "a secret is written as env:NAME or file:PATH");
    does_not_resolve("plain", dir.path, "a secret is written as env:NAME or file:PATH");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_a_reference),
        cmocka_unit_test(takes_it_from_the_environment_when_asked),
        cmocka_unit_test(takes_it_from_a_file_without_the_last_newline),
        cmocka_unit_test(refuses_a_file_that_others_may_read),
        cmocka_unit_test(refuses_a_file_that_others_may_write),
        cmocka_unit_test(refuses_what_is_not_there_or_no_text),
    };

    return cmocka_run_group_tests_name("config/secret", tests, NULL, NULL);
}
