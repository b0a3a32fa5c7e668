#include "test.h"

#include "rpc/jsontext.h"

#include <stdlib.h>

#include "base/limits.h"
#include "base/mem.h"

/* `levels` arrays, one in another. */
static char *nested_arrays(size_t levels) {
    char *text = xcalloc(2 * levels + 1, 1);

    memset(text, '[', levels);
    memset(text + levels, ']', levels);
    return text;
}

static json_t *nested_arrays_new(int levels) {
    json_t *value = json_array();

    for (int i = 1; i < levels; i++)
        value = json_pack("[o]", value);
    assert_non_null(value);
    return value;
}

static void assert_refused(struct span text, enum errc code, const char *message) {
    struct theseus_error err = {0};
    json_auto_t *value = jsontext_read(text, &err);

    assert_null(value);
    assert_int_equal(err.code, code);
    assert_string_equal(err.message, message);
}

static void assert_written(const json_t *value, const char *expected) {
    CLEANUP(buf_fini) struct buf out = {0};

    assert_int_equal(jsontext_write(value, &out, NULL), 0);
    CLEANUP(free) char *text = buf_take_string(&out);
    assert_string_equal(text, expected);
}

static void assert_not_written(const json_t *value, enum errc code, const char *message) {
    CLEANUP(buf_fini) struct buf out = {0};
    struct theseus_error err = {0};

    assert_int_equal(buf_append(&out, span_of("before"), NULL), 0);
    assert_int_equal(jsontext_write(value, &out, &err), -1);
    assert_int_equal(err.code, code);
    assert_string_equal(err.message, message);
    assert_true(span_equals(buf_span(&out), "before"));
}

static void reads_a_request(void **state) {
    json_auto_t *value = jsontext_read(span_of("{\"id\": 7, \"params\": {\"x\": [1.5, \"a\\n\\u00e4\"]}}\r\n"), NULL);
    json_int_t id = 0;
    double number = 0;
    const char *text = NULL;

    (void)state;
    assert_int_equal(json_unpack(value, "{s:I, s:{s:[F, s]}}", "id", &id, "params", "x", &number, &text), 0);
    assert_int_equal(id, 7);
    assert_true(number == 1.5);
    assert_string_equal(text, "a\n\xc3\xa4");
}

static void keeps_a_nul_in_a_string(void **state) {
    json_auto_t *value = jsontext_read(span_of("\"a\\u0000b\""), NULL);

    (void)state;
    assert_int_equal(json_string_length(value), 3);
    assert_memory_equal(json_string_value(value), "a\0b", 3);
}

static void says_what_is_wrong_and_where(void **state) {
    (void)state;
    assert_refused(span_of(""), ERR_PARSE, "not JSON at byte 0: a value must stand here");
    assert_refused((struct span){NULL, 0}, ERR_PARSE, "not JSON at byte 0: a value must stand here");
    assert_refused(span_of("\xef\xbb\xbf{}"), ERR_PARSE, "not JSON at byte 0: a value must stand here");
    assert_refused(span_of("[1 2]"), ERR_PARSE, "not JSON at byte 3: ',' or ']' must stand here");
    assert_refused(span_of("{} x"), ERR_PARSE, "not JSON at byte 3: something follows the value");
    assert_refused(span_of("{\"a\":1,\"a\":2}"), ERR_PARSE, "not JSON at byte 12: the object has this key already");
    assert_refused(span_of("{\"a\\u0000\":1}"), ERR_PARSE, "not JSON at byte 10: a NUL in a key");
    assert_refused(span_of("[\"\xff\"]"), ERR_PARSE, "not JSON at byte 2: a string that is not UTF-8");
    assert_refused(span_of("\"a\nb\""), ERR_PARSE, "not JSON at byte 2: a control character in a string");
    assert_refused(span_of("9223372036854775808"), ERR_PARSE, "not JSON at byte 19: an integer beyond 64 bits");
    assert_refused(span_of("1e999"), ERR_PARSE, "not JSON at byte 5: a number beyond what a double holds");
}

static void refuses_a_nul_byte_wherever_it_stands(void **state) {
    (void)state;
    assert_refused((struct span){"1\0", 2}, ERR_PARSE, "not JSON at byte 1: something follows the value");
    assert_refused((struct span){"[true\0]", 7}, ERR_PARSE, "not JSON at byte 5: ',' or ']' must stand here");
    assert_refused((struct span){"\0001", 2}, ERR_PARSE, "not JSON at byte 0: a value must stand here");
}

static void reads_as_deep_as_the_limit_and_no_deeper(void **state) {
    CLEANUP(free) char *at_limit = nested_arrays(LIMIT_JSON_DEPTH);
    CLEANUP(free) char *beyond = nested_arrays(LIMIT_JSON_DEPTH + 1);
    json_auto_t *value = jsontext_read(span_of(at_limit), NULL);

    (void)state;
    assert_non_null(value);
    assert_refused(span_of(beyond), ERR_LIMIT, "more than 128 levels of arrays and objects at byte 128");
}

static void reads_many_neighbours_at_any_depth(void **state) {
    CLEANUP(buf_fini) struct buf text = {0};

    (void)state;
    for (int i = 0; i < 2 * LIMIT_JSON_DEPTH; i++)
        assert_int_equal(buf_append(&text, span_of(i ? ",[{}]" : "[[{}]"), NULL), 0);
    assert_int_equal(buf_append(&text, span_of("]"), NULL), 0);
    json_auto_t *value = jsontext_read(buf_span(&text), NULL);
    assert_int_equal(json_array_size(value), 2 * LIMIT_JSON_DEPTH);
}

static void appends_one_line(void **state) {
    CLEANUP(buf_fini) struct buf out = {0};
    json_auto_t *value = json_pack("{s:s, s:[i, f, b, n], s:{}}", "z", "a\n\"\x01\xc3\xa4/", "a", -3, 2.0, 1, "o");

    (void)state;
    assert_int_equal(buf_append(&out, span_of("> "), NULL), 0);
    assert_int_equal(jsontext_write(value, &out, NULL), 0);
    assert_true(
        span_equals(buf_span(&out), "> {\"z\":\"a\\n\\\"\\u0001\xc3\xa4/\",\"a\":[-3,2.0,true,null],\"o\":{}}"));
}

static void writes_sorted_keys_at_every_level(void **state) {
    CLEANUP(buf_fini) struct buf out = {0};
    json_auto_t *value = json_pack("{s:i, s:i, s:{s:i, s:i}, s:i}", "b", 1, "ab", 2, "a", "y", 3, "x", 4, "", 5);

    (void)state;
    assert_int_equal(jsontext_write_sorted(value, &out, NULL), 0);
    assert_true(span_equals(buf_span(&out), "{\"\":5,\"a\":{\"x\":4,\"y\":3},\"ab\":2,\"b\":1}"));
}

static void writes_a_string_with_its_quotes(void **state) {
    CLEANUP(buf_fini) struct buf out = {0};

    (void)state;
    assert_int_equal(jsontext_write_string((struct span){"\0\t\x7f\\", 4}, &out, NULL), 0);
    assert_int_equal(jsontext_write_string(span_of(""), &out, NULL), 0);
    assert_int_equal(jsontext_write_string((struct span){NULL, 0}, &out, NULL), 0);
    assert_true(span_equals(buf_span(&out), "\"\\u0000\\t\x7f\\\\\"\"\"\"\""));
}

static void writes_the_smallest_integer(void **state) {
    json_auto_t *value = json_integer(INT64_MIN);

    (void)state;
    assert_written(value, "-9223372036854775808");
}

static void keeps_reals_real(void **state) {
    json_auto_t *value = json_pack("[f, f, f, f, f, f]", 1.0, -0.0, 1e22, 1e-7, 1e100, -1.7976931348623157e308);

    (void)state;
    assert_written(value, "[1.0,-0.0,1e22,1e-7,1e100,-1.7976931348623157e308]");
}

static void refuses_what_is_no_value(void **state) {
    (void)state;
    assert_not_written(NULL, ERR_INVALID, "there is no JSON value to write");
}

static void refuses_strings_and_keys_that_are_not_utf8(void **state) {
    json_auto_t *value = json_string_nocheck("ab\xff");
    json_auto_t *object = json_object();

    (void)state;
    assert_int_equal(json_object_set_new_nocheck(object, "\xc3", json_null()), 0);
    assert_not_written(value, ERR_INVALID, "a string is not UTF-8 at its byte 2");
    assert_not_written(object, ERR_INVALID, "a string is not UTF-8 at its byte 0");
}

static void refuses_a_value_that_contains_itself(void **state) {
    json_t *outer = json_pack("{s:[]}", "inner");
    json_t *inner = json_object_get(outer, "inner");

    (void)state;
    assert_int_equal(json_array_append(inner, outer), 0);
    assert_not_written(outer, ERR_INVALID, "a JSON value contains itself");
    assert_int_equal(json_array_clear(inner), 0); /* else nobody could free them */
    json_decref(outer);
}

static void writes_one_value_in_two_places(void **state) {
    json_t *shared = json_pack("[i]", 1);
    json_auto_t *value = json_pack("[O, o]", shared, shared);

    (void)state;
    assert_written(value, "[[1],[1]]");
}

static void writes_as_deep_as_jansson_reads(void **state) {
    CLEANUP(free) char *expected = nested_arrays(JSONTEXT_WRITE_DEPTH);
    json_auto_t *at_limit = nested_arrays_new(JSONTEXT_WRITE_DEPTH);
    json_auto_t *readable = json_loads(expected, 0, NULL);
    json_auto_t *beyond = nested_arrays_new(JSONTEXT_WRITE_DEPTH + 1);

    (void)state;
    assert_non_null(readable);
    assert_written(at_limit, expected);
    assert_not_written(beyond, ERR_LIMIT, "a JSON value has more than 2048 levels");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_request),
        cmocka_unit_test(keeps_a_nul_in_a_string),
        cmocka_unit_test(says_what_is_wrong_and_where),
        cmocka_unit_test(refuses_a_nul_byte_wherever_it_stands),
        cmocka_unit_test(reads_as_deep_as_the_limit_and_no_deeper),
        cmocka_unit_test(reads_many_neighbours_at_any_depth),
        cmocka_unit_test(appends_one_line),
        cmocka_unit_test(writes_sorted_keys_at_every_level),
        cmocka_unit_test(writes_a_string_with_its_quotes),
        cmocka_unit_test(writes_the_smallest_integer),
        cmocka_unit_test(keeps_reals_real),
        cmocka_unit_test(refuses_what_is_no_value),
        cmocka_unit_test(refuses_strings_and_keys_that_are_not_utf8),
        cmocka_unit_test(refuses_a_value_that_contains_itself),
        cmocka_unit_test(writes_one_value_in_two_places),
        cmocka_unit_test(writes_as_deep_as_jansson_reads),
    };

    return cmocka_run_group_tests_name("rpc/jsontext", tests, NULL, NULL);
}
