/* What bounds a check: loops, depth, steps. */
#include "test.h"

#include "rpc/schema_check.h"

#include <stdio.h>

#include "base/limits.h"
#include "rpc/schema.h"

static struct schema *compile(const json_t *document) {
    struct schema *schema = NULL;
    struct theseus_error err = {0};

    if (schema_new(&schema, document, &err) < 0)
        print_message("%s\n", err.message);
    assert_non_null(schema);
    return schema;
}

static struct schema *compile_text(const char *text) {
    json_auto_t *document = json_loads(text, 0, NULL);

    assert_non_null(document);
    return compile(document);
}

static json_t *nested_arrays_new(unsigned levels) {
    json_t *value = json_array();

    for (unsigned i = 1; i < levels; i++)
        value = json_pack("[o]", value);
    return value;
}

static void is_over_the_limit(const struct schema *schema, const json_t *value, const char *part) {
    struct theseus_error err = {0};

    assert_int_equal(schema_check(schema, value, &err), -1);
    assert_int_equal(err.code, ERR_LIMIT);
    if (!strstr(err.message, part))
        print_message("'%s' is not in: %s\n", part, err.message);
    assert_non_null(strstr(err.message, part));
}

static void ends_loops_of_references(void **state) {
    static const char *const loops[] = {
        "{\"$ref\":\"#\"}",
        "{\"$ref\":\"#/$defs/a\",\"$defs\":{\"a\":{\"$ref\":\"#/$defs/b\"},\"b\":{\"allOf\":[{\"$ref\":\"#/$defs/a\"}]}}}",
        "{\"not\":{\"$ref\":\"#\"}}",
        "{\"anyOf\":[{\"$ref\":\"#\"},true]}",
        "{\"$dynamicAnchor\":\"a\",\"$dynamicRef\":\"#a\"}",
    };
    json_auto_t *value = json_object();

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(loops); i++) {
        CLEANUP(schema_free) struct schema *schema = compile_text(loops[i]);
        is_over_the_limit(schema, value, "the value: its schema leads through more than 64 schemas for this one value");
    }
}

/* #/$defs/0 refers to 1, that to 2, and so on; the last one holds for everything but is no mere constant. */
static json_t *chain_new(unsigned length) {
    json_t *defs = json_object();
    char name[16];

    for (unsigned i = 0; i + 1 < length; i++) {
        (void)snprintf(name, sizeof(name), "%u", i);
        json_t *link = i + 2 < length ? json_pack("{s:o}", "$ref", json_sprintf("#/$defs/%u", i + 1))
                                      : json_pack("{s:{}}", "propertyNames");
        assert_int_equal(json_object_set_new(defs, name, link), 0);
    }
    return json_pack("{s:s, s:o}", "$ref", "#/$defs/0", "$defs", defs);
}

static void follows_references_up_to_the_limit(void **state) {
    json_auto_t *most = chain_new(LIMIT_SCHEMA_DEPTH), *more = chain_new(LIMIT_SCHEMA_DEPTH + 1);
    CLEANUP(schema_free) struct schema *good = compile(most);
    CLEANUP(schema_free) struct schema *bad = compile(more);
    json_auto_t *value = json_object();

    (void)state;
    assert_int_equal(schema_check(good, value, NULL), 0);
    is_over_the_limit(bad, value, "more than 64 schemas");
}

static void takes_values_nested_up_to_the_limit(void **state) {
    CLEANUP(schema_free) struct schema *schema = compile_text("{\"type\":\"array\",\"items\":{\"$ref\":\"#\"}}");
    json_auto_t *most = nested_arrays_new(LIMIT_JSON_DEPTH), *more = nested_arrays_new(LIMIT_JSON_DEPTH + 1);

    (void)state;
    assert_int_equal(schema_check(schema, most, NULL), 0);
    is_over_the_limit(schema, more, "nested more than 128 levels deep");
}

static void compares_values_nested_up_to_the_limit(void **state) {
    CLEANUP(schema_free) struct schema *schema = compile_text("{\"uniqueItems\":true}");
    json_auto_t *deep = nested_arrays_new(LIMIT_JSON_DEPTH + 2), *value = json_pack("[O, O]", deep, deep);

    (void)state;
    is_over_the_limit(schema, value, "nested more than 128 levels deep");
}

/* Eight schemas for every level of the value. */
static const char eight[] = "\"$defs\":{\"r\":{\"allOf\":[{\"allOf\":[{\"allOf\":[{\"allOf\":[{\"allOf\":[{\"allOf\":["
                            "{\"items\":{\"$ref\":\"#/$defs/r\"}}]}]}]}]}]}]}}";

static void enters_schemas_up_to_the_limit(void **state) {
    char text[512];
    json_auto_t *value = nested_arrays_new(LIMIT_JSON_DEPTH);

    (void)state;
    assert_int_equal(SCHEMA_FRAMES, 8 * LIMIT_JSON_DEPTH);
    (void)snprintf(text, sizeof(text), "{\"$ref\":\"#/$defs/r\",%s}", eight);
    CLEANUP(schema_free) struct schema *good = compile_text(text);
    assert_int_equal(schema_check(good, value, NULL), 0);
    (void)snprintf(text, sizeof(text), "{\"allOf\":[{\"$ref\":\"#/$defs/r\"}],%s}", eight);
    CLEANUP(schema_free) struct schema *bad = compile_text(text);
    is_over_the_limit(bad, value, "more than 1024 schemas");
}

static void ends_alternatives_that_multiply(void **state) {
    CLEANUP(schema_free)
    struct schema *schema = compile_text(
        "{\"oneOf\":[{\"items\":{\"$ref\":\"#\"},\"maxItems\":1},{\"items\":{\"$ref\":\"#\"},\"minItems\":0}]}");
    json_auto_t *value = nested_arrays_new(40);

    (void)state;
    is_over_the_limit(schema, value, "takes more than 1000000 steps to check");
}

static json_t *numbers_new(size_t count) {
    json_t *numbers = json_array();

    for (size_t i = 0; i < count; i++)
        assert_int_equal(json_array_append_new(numbers, json_integer((json_int_t)i)), 0);
    return numbers;
}

static void takes_as_many_steps_as_the_limit(void **state) {
    CLEANUP(schema_free) struct schema *schema = compile_text("{\"items\":{\"allOf\":[{\"type\":\"integer\"}]}}");
    /* a step for the array, one for 16 items, and one for each item: 999,999 */
    json_auto_t *value = numbers_new(941175);

    (void)state;
    assert_int_equal(schema_check(schema, value, NULL), 0);
    assert_int_equal(json_array_append_new(value, json_integer(1)), 0);
    is_over_the_limit(schema, value, "takes more than 1000000 steps to check");
}

static void takes_huge_arrays_of_simple_items(void **state) {
    CLEANUP(schema_free) struct schema *simple = compile_text("{\"items\":{\"type\":\"integer\",\"minimum\":0}}");
    CLEANUP(schema_free) struct schema *unique = compile_text("{\"uniqueItems\":true}");
    json_auto_t *many = numbers_new(2000000), *fewer = numbers_new(300000);

    (void)state;
    assert_int_equal(schema_check(simple, many, NULL), 0);
    assert_int_equal(schema_check(unique, fewer, NULL), 0);
    is_over_the_limit(unique, many, "takes more than 1000000 steps to check");
}

static void ends_patterns_that_explode(void **state) {
    CLEANUP(schema_free) struct schema *schema = compile_text("{\"items\":{\"pattern\":\"^(a+)+$\"}}");
    json_auto_t *value = json_pack("[s]", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab");

    (void)state;
    is_over_the_limit(schema, value, "/0: 'pattern': matching a string of 44 bytes takes too many steps");
}

static void does_not_take_a_limit_for_an_answer(void **state) {
    CLEANUP(schema_free) struct schema *schema = compile_text("{\"not\":{\"pattern\":\"^(a+)+$\"}}");
    json_auto_t *value = json_string("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab");

    (void)state;
    is_over_the_limit(schema, value, "takes too many steps");
}

static void refuses_strings_that_are_no_text(void **state) {
    CLEANUP(schema_free) struct schema *schema = compile_text("{\"pattern\":\"a\"}");
    json_auto_t *value = json_stringn_nocheck("\xff", 1);
    struct theseus_error err = {0};

    (void)state;
    assert_int_equal(schema_check(schema, value, &err), -1);
    assert_int_equal(err.code, ERR_INVALID);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ends_loops_of_references),
        cmocka_unit_test(follows_references_up_to_the_limit),
        cmocka_unit_test(takes_values_nested_up_to_the_limit),
        cmocka_unit_test(compares_values_nested_up_to_the_limit),
        cmocka_unit_test(enters_schemas_up_to_the_limit),
        cmocka_unit_test(ends_alternatives_that_multiply),
        cmocka_unit_test(takes_as_many_steps_as_the_limit),
        cmocka_unit_test(takes_huge_arrays_of_simple_items),
        cmocka_unit_test(ends_patterns_that_explode),
        cmocka_unit_test(does_not_take_a_limit_for_an_answer),
        cmocka_unit_test(refuses_strings_that_are_no_text),
    };

    return cmocka_run_group_tests_name("rpc/schema_check", tests, NULL, NULL);
}
