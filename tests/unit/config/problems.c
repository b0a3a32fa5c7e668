#include "test.h"

#include "config/load.h"

static void tells_nothing_when_there_was_nothing(void **state) {
    CLEANUP(problems_fini) struct problems problems = {0};
    struct said said = {0};

    (void)state;
    assert_int_equal(problems_tell(&problems, note, &said, NULL), 0);
    assert_string_equal(said.text, "");
}

static void tells_in_the_order_of_lines(void **state) {
    CLEANUP(problems_fini) struct problems problems = {0};
    struct said said = {0};
    struct theseus_error err = {0};

    (void)state;
    problems_add(&problems, "--set", 0, "last");
    problems_add(&problems, "f", 7, "third");
    problems_add(&problems, "f", 3, "first");
    problems_add(&problems, "f", 3, "second %d", 2);
    assert_int_equal(problems_tell(&problems, note, &said, &err), -1);
    assert_string_equal(said.text, "f:3: first\nf:3: second 2\nf:7: third\nlast\n");
    assert_string_equal(err.message, "f:3: first");
}

static void keeps_the_kind_of_an_error(void **state) {
    CLEANUP(problems_fini) struct problems problems = {0};
    struct theseus_error error = {0}, err = {0};

    (void)state;
    (void)fail(&error, ERR_ACCESS, "closed");
    problems_add_error(&problems, "f", 0, &error);
    assert_int_equal(problems_tell(&problems, NULL, NULL, &err), -1);
    assert_int_equal(err.code, ERR_ACCESS);
    assert_string_equal(err.message, "closed");
}

static void counts_those_that_are_too_many(void **state) {
    CLEANUP(problems_fini) struct problems problems = {0};
    struct said said = {0};

    (void)state;
    for (int line = 1; line <= PROBLEMS_MAX + 5; line++)
        problems_add(&problems, "f", line, "bad");
    assert_int_equal(problems_tell(&problems, note, &said, NULL), -1);
    assert_non_null(strstr(said.text, "f:100: bad\n'f' has 5 more problems\n"));
    assert_null(strstr(said.text, "f:101: bad"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_nothing_when_there_was_nothing),
        cmocka_unit_test(tells_in_the_order_of_lines),
        cmocka_unit_test(keeps_the_kind_of_an_error),
        cmocka_unit_test(counts_those_that_are_too_many),
    };

    return cmocka_run_group_tests_name("config/problems", tests, NULL, NULL);
}
