#include "test.h"

#include "server/secrets.h"

static struct secrets *knowing(const char *json) {
    struct secrets *secrets = secrets_new();
    json_auto_t *value = json_loads(json, JSON_DECODE_ANY, NULL);

    assert_non_null(value);
    secrets_add(secrets, value);
    return secrets;
}

static void finds_nothing_while_it_knows_none(void **state) {
    CLEANUP(secrets_free) struct secrets *secrets = secrets_new();

    (void)state;
    assert_false(secrets_are_in(secrets, span_of("\"anything\"")));
    assert_false(secrets_are_in(secrets, (struct span){NULL, 0}));
}

static void finds_one_inside_of_a_text(void **state) {
    CLEANUP(secrets_free) struct secrets *secrets = knowing("\"pass word\"");

    (void)state;
    assert_true(secrets_are_in(secrets, span_of("{\"a\":[\"my pass word is\"]}")));
    assert_true(secrets_are_in(secrets, span_of("{\"my pass word\":1}")));
    assert_true(secrets_are_in(secrets, span_of("no JSON: pass word")));
    assert_false(secrets_are_in(secrets, span_of("{\"a\":\"pass-word\"}")));
}

static void finds_one_however_it_is_escaped(void **state) {
    CLEANUP(secrets_free) struct secrets *secrets = knowing("\"a\\\"b\\\\c/d\"");

    (void)state;
    assert_true(secrets_are_in(secrets, span_of("{\"x\":\"a\\\"b\\\\c/d\"}")));
    assert_true(secrets_are_in(secrets, span_of("{\"x\":\"-\\u0061\\\"b\\u005cc\\/d-\"}")));
    assert_false(secrets_are_in(secrets, span_of("{\"x\":\"\\u0061\"}")));
}

static void counts_a_short_one_only_where_it_is_the_whole(void **state) {
    CLEANUP(secrets_free) struct secrets *secrets = knowing("\"ab\"");

    (void)state;
    assert_true(secrets_are_in(secrets, span_of("[\"ab\"]")));
    assert_false(secrets_are_in(secrets, span_of("[\"abc\", \"cab\"]")));
}

static void knows_texts_and_numbers_of_every_depth(void **state) {
    CLEANUP(secrets_free) struct secrets *secrets = knowing("{\"k\":[\"inner text\", 12345, true, \"\"]}");

    (void)state;
    assert_int_equal(secrets_count(secrets), 2);
    assert_true(secrets_are_in(secrets, span_of("\"inner text\"")));
    assert_true(secrets_are_in(secrets, span_of("[12345]")));
    assert_false(secrets_are_in(secrets, span_of("[true,\"\"]")));
}

static void keeps_one_that_is_replaced(void **state) {
    CLEANUP(secrets_free) struct secrets *secrets = knowing("\"before\"");
    json_auto_t *next = json_string("afterwards");

    (void)state;
    secrets_add(secrets, next);
    secrets_add(secrets, next);
    assert_int_equal(secrets_count(secrets), 2);
    assert_true(secrets_are_in(secrets, span_of("\"before\"")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_nothing_while_it_knows_none),
        cmocka_unit_test(finds_one_inside_of_a_text),
        cmocka_unit_test(finds_one_however_it_is_escaped),
        cmocka_unit_test(counts_a_short_one_only_where_it_is_the_whole),
        cmocka_unit_test(knows_texts_and_numbers_of_every_depth),
        cmocka_unit_test(keeps_one_that_is_replaced),
    };

    return cmocka_run_group_tests_name("server/secrets", tests, NULL, NULL);
}
