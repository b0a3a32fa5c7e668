#include "test.h"

#include "rpc/schema_value.h"

#include <stdlib.h>

enum { EFFORT = 100000 };

static bool same(const char *a, const char *b) {
    json_auto_t *left = json_loads(a, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    json_auto_t *right = json_loads(b, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    struct effort effort = {.left = EFFORT};
    bool equal = value_equals(left, right, &effort);

    assert_int_equal(equal, value_equals(right, left, &effort));
    assert_int_equal(equal, value_hash(left, &effort) == value_hash(right, &effort));
    assert_true(effort.left > 0);
    return equal;
}

static void compares_and_hashes_alike(void **state) {
    (void)state;
    assert_true(same("{\"a\":1,\"b\":[2,{}]}", "{\"b\":[2.0,{}],\"a\":1.0}"));
    assert_true(same("0", "-0.0"));
    assert_true(same("\"a\\u0000b\"", "\"a\\u0000b\""));
    assert_false(same("\"a\\u0000b\"", "\"a\\u0000c\""));
    assert_false(same("[1,2]", "[2,1]"));
    assert_false(same("[1]", "[1,1]"));
    assert_false(same("{\"a\":1}", "{\"b\":1}"));
    assert_false(same("{\"a\":\"b\"}", "{\"b\":\"a\"}"));
    assert_false(same("0", "false"));
    assert_false(same("null", "false"));
    assert_false(same("1", "\"1\""));
    assert_false(same("[]", "{}"));
    assert_false(same("9007199254740993", "9007199254740992.0"));
}

static void finds_what_is_there_twice(void **state) {
    json_auto_t *array = json_array();
    struct effort effort = {.left = EFFORT};
    size_t pair[2];

    (void)state;
    for (int i = 0; i < 100; i++)
        assert_int_equal(json_array_append_new(array, json_pack("{s:[i]}", "a", i)), 0);
    assert_int_equal(value_unique(array, &effort, pair), 0);
    assert_int_equal(json_array_append_new(array, json_pack("{s:[f]}", "a", 42.0)), 0);
    assert_int_equal(value_unique(array, &effort, pair), VALUE_TWICE);
    assert_int_equal(pair[0], 42);
    assert_int_equal(pair[1], 100);
}

static void stops_when_the_effort_ends(void **state) {
    json_auto_t *array = json_loads("[[1,2,3,4,5,6,7,8],[1,2,3,4,5,6,7,8]]", 0, NULL);
    struct effort effort = {.left = 5};
    size_t pair[2];

    (void)state;
    assert_int_equal(value_unique(array, &effort, pair), 0);
    assert_int_equal(effort.left, 0);
}

static void shows_values_briefly(void **state) {
    json_auto_t *control = json_string("a\nb"), *empty = json_object(), *real = json_real(0.1);
    json_auto_t *text = json_string("0123456789012345678901234567890123456789x");
    char brief[VALUE_BRIEF_BYTES];

    (void)state;
    assert_string_equal(value_brief(control, brief), "\"a?b\"");
    assert_string_equal(value_brief(text, brief), "\"0123456789012345678901234567890123456789\xe2\x80\xa6\"");
    assert_string_equal(value_brief(empty, brief), "an object");
    assert_string_equal(value_brief(real, brief), "0.1");
    assert_string_equal(value_brief(json_true(), brief), "true");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compares_and_hashes_alike),
        cmocka_unit_test(finds_what_is_there_twice),
        cmocka_unit_test(stops_when_the_effort_ends),
        cmocka_unit_test(shows_values_briefly),
    };

    return cmocka_run_group_tests_name("rpc/schema_value", tests, NULL, NULL);
}
