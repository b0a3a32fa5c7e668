#include "test.h"

#include "base/error.h"

static void keeps_the_first_error(void **state) {
    struct theseus_error err = {0};

    (void)state;
    assert_int_equal(fail(&err, ERR_LIMIT, "first %d", 1), -1);
    assert_int_equal(fail(&err, ERR_PARSE, "second"), -1);
    assert_int_equal(err.code, ERR_LIMIT);
    assert_string_equal(err.message, "first 1");
}

static void puts_context_in_front(void **state) {
    struct theseus_error err = {0};

    (void)state;
    (void)fail(&err, ERR_LIMIT, "too long");
    (void)error_prefix(&err, "plugin '%s': ", "x");
    assert_string_equal(err.message, "plugin 'x': too long");
    assert_int_equal(err.code, ERR_LIMIT);
}

static void cuts_at_a_character_not_inside(void **state) {
    struct theseus_error err = {0};
    char text[512];

    (void)state;
    memset(text, 'a', sizeof(text));
    memcpy(text + sizeof(err.message) - 2, "\xc3\xa4", 3); /* two bytes, one place left */
    (void)fail(&err, ERR_INVALID, "%s", text);
    assert_int_equal(strlen(err.message), sizeof(err.message) - 2);
}

static void accepts_no_error_at_all(void **state) {
    (void)state;
    assert_int_equal(fail(NULL, ERR_INVALID, "nobody listens"), -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_the_first_error),
        cmocka_unit_test(puts_context_in_front),
        cmocka_unit_test(cuts_at_a_character_not_inside),
        cmocka_unit_test(accepts_no_error_at_all),
    };

    return cmocka_run_group_tests_name("base/error", tests, NULL, NULL);
}
