#include "test.h"

#include <stdio.h>

#include "config/config.h"

static const char *const names[] = {"server", "plugins", "tools", "limits"};

static void nearest_is(const char *name, const char *wanted) {
    const char *found = config_nearest(name, names, ARRAY_SIZE(names));

    if (wanted)
        assert_string_equal(found ? found : "(none)", wanted);
    else
        assert_null(found);
}

static void finds_a_name_with_a_letter_more_less_or_other(void **state) {
    (void)state;
    nearest_is("servers", "server");
    nearest_is("plugin", "plugins");
    nearest_is("limitz", "limits");
    nearest_is("tolos", "tools");
    nearest_is("Server", "server");
}

static void finds_nothing_that_would_be_no_help(void **state) {
    char long_name[300];

    (void)state;
    nearest_is("x", NULL);
    nearest_is("", NULL);
    nearest_is("database", NULL);
    memset(long_name, 's', sizeof(long_name) - 1);
    long_name[sizeof(long_name) - 1] = '\0';
    nearest_is(long_name, NULL);
    assert_null(config_nearest("server", names, 0));
}

static void matches_names_with_wildcards(void **state) {
    char *patterns[] = {(char[]){"echo"}, (char[]){"git_*"}, (char[]){"t?"}, NULL};
    char *none[] = {NULL};

    (void)state;
    assert_true(config_matches(patterns, "echo"));
    assert_true(config_matches(patterns, "git_log"));
    assert_true(config_matches(patterns, "t1"));
    assert_false(config_matches(patterns, "echo2"));
    assert_false(config_matches(patterns, "git"));
    assert_false(config_matches(none, "echo"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_a_name_with_a_letter_more_less_or_other),
        cmocka_unit_test(finds_nothing_that_would_be_no_help),
        cmocka_unit_test(matches_names_with_wildcards),
    };

    return cmocka_run_group_tests_name("config/nearest", tests, NULL, NULL);
}
