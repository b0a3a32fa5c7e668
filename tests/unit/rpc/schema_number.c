#include "test.h"

#include "rpc/schema_number.h"

#include <stdlib.h>

static struct number number(const char *text) {
    json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);

    assert_non_null(json);
    struct number result = number_of(json);
    json_decref(json);
    return result;
}

static int compare(const char *a, const char *b) {
    assert_int_equal(number_compare(number(a), number(b)), -number_compare(number(b), number(a)));
    return number_compare(number(a), number(b));
}

static void compares_exactly(void **state) {
    (void)state;
    assert_int_equal(compare("1", "1.0"), 0);
    assert_int_equal(compare("0", "-0.0"), 0);
    assert_int_equal(compare("1", "1.5"), -1);
    assert_int_equal(compare("-1", "-1.5"), 1);
    assert_int_equal(compare("9007199254740993", "9007199254740992.0"), 1);
    assert_int_equal(compare("9223372036854775807", "9223372036854775808.0"), -1);
    assert_int_equal(compare("-9223372036854775808", "-9223372036854775808.0"), 0);
    assert_int_equal(compare("-9223372036854775808", "-1e300"), 1);
    assert_int_equal(compare("1e300", "1e301"), -1);
}

static bool is_multiple(const char *value, const char *divisor) {
    return number_is_multiple(number(value), number_to_decimal(number(divisor)));
}

static void divides_as_written(void **state) {
    (void)state;
    assert_true(is_multiple("0", "7"));
    assert_true(is_multiple("-14", "7"));
    assert_false(is_multiple("15", "7"));
    assert_true(is_multiple("19.99", "0.01"));
    assert_true(is_multiple("0.3", "0.1"));
    assert_true(is_multiple("4.5", "1.5"));
    assert_false(is_multiple("35", "1.5"));
    assert_false(is_multiple("0.00751", "0.0001"));
    assert_true(is_multiple("1e300", "10"));
    assert_false(is_multiple("1e300", "3"));
    assert_false(is_multiple("1", "1e300"));
    assert_true(is_multiple("5e-324", "5e-324"));
    assert_true(is_multiple("-9223372036854775808", "2"));
    assert_true(is_multiple("1200", "1200"));
    assert_false(is_multiple("120", "1200"));
}

static bool to_count(const char *text, size_t *ret_count) {
    json_auto_t *json = json_loads(text, JSON_DECODE_ANY, NULL);

    return number_to_count(json, ret_count);
}

static void reads_counts(void **state) {
    size_t count;

    (void)state;
    assert_true(to_count("2.0", &count));
    assert_int_equal(count, 2);
    assert_true(to_count("1e30", &count));
    assert_int_equal(count, SIZE_MAX);
    assert_false(to_count("-1", &count));
    assert_false(to_count("-1e30", &count));
    assert_false(to_count("1.5", &count));
    assert_false(to_count("\"1\"", &count));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compares_exactly),
        cmocka_unit_test(divides_as_written),
        cmocka_unit_test(reads_counts),
    };

    return cmocka_run_group_tests_name("rpc/schema_number", tests, NULL, NULL);
}
