#include "test.h"

#include "config/option.h"

#include <stdlib.h>

static void rows_are_complete(void **state) {
    (void)state;
    for (const struct option_def *option = option_table; option < option_table + option_count; option++) {
        struct config config = {0};
        struct theseus_error err = {0};
        assert_ptr_equal(option_find(option->section, option->key), option);
        assert_non_null(option->help);
        assert_null(strchr(option->help, '\n'));
        assert_true(option->type == OPT_WHO || (option->type == OPT_ENUM) == (option->words != NULL));
        assert_true(option->min <= option->max);
        if (!option->compute)
            assert_int_equal(option_set(option, &config, option->text, "/", &err), 0);
        assert_string_equal(err.message, "");
        option_fini(option, &config);
    }
}

static void rows_of_a_section_stand_together(void **state) {
    size_t count;
    CLEANUP(free) const char **names = option_sections(&count);

    (void)state;
    assert_int_equal(count, 13);
    for (size_t i = 0; i < count; i++)
        for (size_t j = i + 1; j < count; j++)
            assert_string_not_equal(names[i], names[j]);
}

static void finds_nothing_under_another_name(void **state) {
    size_t count;
    CLEANUP(free) const char **names = option_keys("access", &count);

    (void)state;
    assert_null(option_find("access", "max_line"));
    assert_null(option_find("", ""));
    assert_int_equal(count, 9);
    assert_string_equal(names[0], "restart");
    assert_string_equal(names[8], "allow_gid");
}

static void says_what_may_be_written(void **state) {
    static const struct {
        const char *section, *key, *syntax;
    } cases[] = {
        {"server", "name", "text, 1 to 128 bytes"},
        {"server", "log_level", "debug, info, warning or error"},
        {"plugins", "path", "paths, separated by colons"},
        {"plugins", "settle_ms", "milliseconds, 0 to 60000"},
        {"limits", "max_line", "bytes, 1K to 1G"},
        {"limits", "call_timeout", "seconds, 1 to 86400"},
        {"plugins", "watch", "yes or no"},
        {"access", "restart", "yes, no, confirm, or users: own, others, uid:NUMBER, uid:NAME"},
        {"access", "call", "yes, no, or users: own, others, uid:NUMBER, uid:NAME"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP(free) char *syntax = option_syntax(option_find(cases[i].section, cases[i].key));
        assert_string_equal(syntax, cases[i].syntax);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_complete),
        cmocka_unit_test(rows_of_a_section_stand_together),
        cmocka_unit_test(finds_nothing_under_another_name),
        cmocka_unit_test(says_what_may_be_written),
    };

    return cmocka_run_group_tests_name("config/option", tests, NULL, NULL);
}
