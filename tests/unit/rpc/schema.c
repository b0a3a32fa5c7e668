#include "test.h"

#include "rpc/schema.h"

#include <pthread.h>
#include <stdlib.h>

static json_t *parse(const char *text) {
    json_error_t at;
    json_t *json = json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, &at);

    if (!json)
        print_message("%s: %s\n", text, at.text);
    assert_non_null(json);
    return json;
}

static struct schema *compile(const char *text) {
    struct schema *schema = NULL;
    struct theseus_error err = {0};
    json_t *document = parse(text);

    if (schema_new(&schema, document, &err) < 0)
        print_message("%s: %s\n", text, err.message);
    json_decref(document);
    assert_non_null(schema);
    return schema;
}

static void accepts(const char *schema_text, const char *value_text) {
    CLEANUP(schema_free) struct schema *schema = compile(schema_text);
    json_auto_t *value = parse(value_text);
    struct theseus_error err = {0};
    int r = schema_check(schema, value, &err);

    if (r < 0)
        print_message("%s does not hold in %s: %s\n", value_text, schema_text, err.message);
    assert_int_equal(r, 0);
}

static void refuses(const char *schema_text, const char *value_text, const char *message) {
    CLEANUP(schema_free) struct schema *schema = compile(schema_text);
    json_auto_t *value = parse(value_text);
    struct theseus_error err = {0};

    if (schema_check(schema, value, &err) == 0)
        print_message("%s holds in %s\n", value_text, schema_text);
    assert_string_equal(err.message, message);
    assert_int_equal(err.code, ERR_INVALID);
}

static void names_the_path_and_the_rule(void **state) {
    static const char schema[] =
        "{\"properties\":{\"files\":{\"items\":{\"properties\":{\"name\":{\"type\":\"string\"}}}}}}";

    (void)state;
    accepts(schema, "{\"files\":[{\"name\":\"a\"}]}");
    refuses(schema, "{\"files\":[{\"name\":1}]}", "/files/0/name: must be a string, is a number");
    refuses("{\"properties\":{\"a/b~c\":false}}", "{\"a/b~c\":1}", "/a~1b~0c: is not allowed");
}

static void checks_type(void **state) {
    (void)state;
    accepts("{\"type\":\"integer\"}", "1.0");
    accepts("{\"type\":[\"null\",\"string\"]}", "null");
    refuses("{\"type\":\"integer\"}", "1.5", "the value: must be an integer, is 1.5");
    refuses("{\"type\":[\"null\",\"string\",\"integer\"]}", "{}",
            "the value: must be null, a string or an integer, is an object");
    refuses("{\"type\":\"boolean\"}", "null", "the value: must be a boolean, is null");
}

static void checks_enum_and_const(void **state) {
    static const char many[] = "{\"enum\":[\"a\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\",\"h\",9]}";

    (void)state;
    accepts("{\"enum\":[1,{\"a\":[2]}]}", "{\"a\":[2.0]}");
    accepts(many, "\"h\"");
    accepts(many, "9.0");
    accepts("{\"const\":\"a\\u0000b\"}", "\"a\\u0000b\"");
    refuses(many, "\"i\"",
            "the value: must be one of \"a\", \"b\", \"c\", \"d\", \"e\", \"f\", \"g\", \"h\", 9, is \"i\"");
    refuses("{\"const\":{\"b\":1,\"a\":2}}", "{}", "the value: must be {\"a\":2,\"b\":1}, is an object");
    refuses("{\"const\":\"a\\u0000b\"}", "\"a\\u0000c\"", "the value: must be \"a?b\", is \"a?c\"");
    refuses("{\"const\":0}", "false", "the value: must be 0, is false");
}

static void checks_numbers(void **state) {
    (void)state;
    accepts("{\"minimum\":1,\"maximum\":2}", "1.5");
    accepts("{\"multipleOf\":0.01}", "19.99");
    accepts("{\"multipleOf\":0.01}", "1e15");
    accepts("{\"exclusiveMinimum\":9007199254740992.0}", "9007199254740993");
    refuses("{\"minimum\":1.5}", "1", "the value: must be at least 1.5, is 1");
    refuses("{\"maximum\":2}", "3", "the value: must be at most 2, is 3");
    refuses("{\"minimum\":10,\"maximum\":300}", "9", "the value: must be from 10 to 300, is 9");
    refuses("{\"minimum\":10,\"maximum\":300}", "301", "the value: must be from 10 to 300, is 301");
    refuses("{\"minimum\":0.5,\"maximum\":2}", "3", "the value: must be at most 2, is 3");
    refuses("{\"exclusiveMinimum\":2}", "2.0", "the value: must be more than 2, is 2");
    refuses("{\"exclusiveMaximum\":2}", "2", "the value: must be less than 2, is 2");
    refuses("{\"multipleOf\":0.01}", "0.005", "the value: must be a multiple of 0.01, is 0.005");
    refuses("{\"multipleOf\":3}", "9223372036854775807", "the value: must be a multiple of 3, is 9223372036854775807");
    refuses("{\"maximum\":9223372036854775807}", "1e300", "the value: must be at most 9223372036854775807, is 1e+300");
}

static void checks_strings(void **state) {
    (void)state;
    accepts("{\"minLength\":2,\"maxLength\":2}", "\"\\ud83d\\ude00\\u0000\"");
    accepts("{\"pattern\":\"b+\"}", "\"abbc\"");
    refuses("{\"minLength\":2}", "\"\xf0\x9f\x98\x80\"", "the value: must have at least 2 characters, has 1");
    refuses("{\"maxLength\":1}", "\"ab\"", "the value: must have at most 1 character, has 2");
    refuses("{\"pattern\":\"^b\"}", "\"ab\"", "the value: must match the pattern '^b', is \"ab\"");
}

static void checks_arrays(void **state) {
    (void)state;
    accepts("{\"prefixItems\":[{\"type\":\"string\"}],\"items\":{\"type\":\"null\"}}", "[\"a\",null,null]");
    accepts("{\"contains\":{\"const\":1},\"minContains\":0}", "[]");
    accepts("{\"uniqueItems\":true}", "[1,true,\"1\",[1],{\"a\":1},null,0,false,[0],{\"a\":0}]");
    refuses("{\"prefixItems\":[{\"type\":\"string\"}]}", "[1]", "/0: must be a string, is a number");
    refuses("{\"prefixItems\":[true],\"items\":false}", "[1,2]", "/1: is not allowed");
    refuses("{\"minItems\":1}", "[]", "the value: must have at least 1 item, has 0");
    refuses("{\"maxItems\":1}", "[1,2]", "the value: must have at most 1 item, has 2");
    refuses("{\"contains\":{\"const\":1}}", "[2]", "the value: must have at least 1 item as 'contains' says, has 0");
    refuses("{\"contains\":{\"const\":1},\"minContains\":2}", "[1,2]",
            "the value: must have at least 2 items as 'contains' says, has 1");
    refuses("{\"contains\":{\"const\":1},\"maxContains\":1}", "[1,1]",
            "the value: must have at most 1 item as 'contains' says, has 2");
    refuses("{\"uniqueItems\":true}", "[{\"a\":1,\"b\":2},{\"b\":2.0,\"a\":1}]",
            "the value: must have no item twice, but items 0 and 1 are equal");
    refuses("{\"uniqueItems\":true}", "[1,2,3,4,5,6,7,8,9,10,\"x\",4.0]",
            "the value: must have no item twice, but items 3 and 11 are equal");
}

static void checks_objects(void **state) {
    (void)state;
    accepts("{\"properties\":{\"a\":true},\"patternProperties\":{\"^x\":{}},\"additionalProperties\":false}",
            "{\"a\":1,\"xy\":2}");
    accepts("{\"dependentRequired\":{\"a\":[\"b\"]}}", "{\"b\":1}");
    refuses("{\"properties\":{\"a\":true},\"required\":[\"a\",\"b\"]}", "{\"a\":1}",
            "the value: must have the property 'b'");
    refuses("{\"properties\":{\"message\":{}},\"additionalProperties\":false}", "{\"mesage\":1}",
            "/mesage: is not an allowed property; known are 'message'");
    refuses("{\"additionalProperties\":{\"type\":\"null\"}}", "{\"a\":1}", "/a: must be null, is a number");
    refuses("{\"patternProperties\":{\"^x\":{\"type\":\"null\"}}}", "{\"a\":1,\"xy\":2}",
            "/xy: must be null, is a number");
    refuses("{\"propertyNames\":{\"maxLength\":1}}", "{\"ab\":1}",
            "/ab: the name must have at most 1 character, has 2");
    refuses("{\"minProperties\":1}", "{}", "the value: must have at least 1 property, has 0");
    refuses("{\"maxProperties\":1}", "{\"a\":1,\"b\":2}", "the value: must have at most 1 property, has 2");
    refuses("{\"dependentRequired\":{\"a\":[\"b\"]}}", "{\"a\":1}",
            "the value: must have the property 'b', because it has 'a'");
    refuses("{\"dependentSchemas\":{\"a\":{\"maxProperties\":1}}}", "{\"a\":1,\"b\":1}",
            "the value: must have at most 1 property, has 2");
}

static void finds_properties_among_many(void **state) {
    static const char schema[] =
        "{\"properties\":{\"a\":{},\"b\":{},\"c\":{},\"d\":{},\"e\":{},\"f\":{},\"g\":{},\"h\":{},"
        "\"i\":{\"type\":\"null\"}},\"required\":[\"i\"],\"additionalProperties\":false}";

    (void)state;
    accepts(schema, "{\"i\":null,\"h\":1}");
    refuses(schema, "{\"i\":1}", "/i: must be null, is a number");
    refuses(schema, "{\"a\":1}", "the value: must have the property 'i'");
    refuses(schema, "{\"i\":null,\"j\":1}",
            "/j: is not an allowed property; known are 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i'");
}

static void combines_schemas(void **state) {
    (void)state;
    accepts("{\"if\":{\"type\":\"string\"},\"then\":{\"minLength\":2},\"else\":{\"minimum\":3}}", "\"ab\"");
    accepts("{\"not\":{\"type\":\"string\"}}", "1");
    accepts("{\"oneOf\":[{\"minimum\":2},{\"maximum\":1}]}", "2");
    refuses("{\"allOf\":[{\"minimum\":1},{\"minimum\":3}]}", "2", "the value: must be at least 3, is 2");
    refuses("{\"not\":{\"type\":\"string\"}}", "\"\"", "the value: must not be what 'not' describes, but is");
    refuses("{\"if\":{\"type\":\"string\"},\"then\":{\"minLength\":2},\"else\":{\"minimum\":3}}", "\"a\"",
            "the value: must have at least 2 characters, has 1");
    refuses("{\"if\":{\"type\":\"string\"},\"then\":{\"minLength\":2},\"else\":{\"minimum\":3}}", "2",
            "the value: must be at least 3, is 2");
    refuses("{\"oneOf\":[{\"minimum\":2},{\"maximum\":3},{\"type\":\"null\"}]}", "2",
            "the value: must match exactly one of 3 alternatives of 'oneOf', matches those at 0 and 1");
}

static void says_which_alternative_was_nearest(void **state) {
    static const char kinds[] =
        "{\"oneOf\":[{\"properties\":{\"kind\":{\"const\":\"a\"},\"size\":{\"type\":\"number\"}}},"
        "{\"properties\":{\"kind\":{\"const\":\"b\"},\"name\":{\"type\":\"string\"}}}]}";

    (void)state;
    refuses(kinds, "{\"kind\":\"b\",\"name\":1}", "/name: must be a string, is a number (nearest of 2 alternatives)");
    refuses(kinds, "{\"kind\":\"c\"}", "/kind: must be \"a\", is \"c\"; or must be \"b\", is \"c\"");
    refuses("{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"integer\"}]}", "null",
            "the value: must be a string, is null; or must be an integer, is null");
    refuses("{\"anyOf\":[{\"enum\":[\"auto\"]},{\"type\":\"integer\",\"minimum\":1}]}", "0",
            "the value: must be at least 1, is 0 (nearest of 2 alternatives)");
    refuses(
        "{\"anyOf\":[{\"properties\":{\"a\":{\"anyOf\":[{\"type\":\"string\"},{\"properties\":{\"b\":{\"type\":\"null\"}}}]}}},"
        "{\"properties\":{\"a\":{\"type\":\"array\"}}}]}",
        "{\"a\":{\"b\":1}}", "/a/b: must be null, is a number (nearest of 2 alternatives)");
}

static void sees_what_was_left_unevaluated(void **state) {
    static const char some[] = "{\"properties\":{\"a\":true},\"anyOf\":[{\"properties\":{\"b\":{\"type\":\"null\"}}},"
                               "{\"properties\":{\"c\":true}}],\"unevaluatedProperties\":false}";

    (void)state;
    accepts(some, "{\"a\":1,\"b\":null,\"c\":1}");
    refuses(some, "{\"a\":1,\"b\":1,\"c\":1}", "/b: is not an allowed property; known are 'a'");
    refuses("{\"anyOf\":[{\"properties\":{\"b\":true},\"required\":[\"z\"]},{\"properties\":{\"a\":true}}],"
            "\"unevaluatedProperties\":false}",
            "{\"a\":1,\"b\":1}", "/b: is not an allowed property");
    accepts("{\"prefixItems\":[true],\"contains\":{\"const\":5},\"unevaluatedItems\":{\"type\":\"null\"}}",
            "[1,5,null]");
    refuses("{\"prefixItems\":[true],\"contains\":{\"const\":5},\"unevaluatedItems\":{\"type\":\"null\"}}", "[1,5,6]",
            "/2: must be null, is a number");
    refuses("{\"allOf\":[{\"properties\":{\"a\":true}},{\"unevaluatedProperties\":false}]}", "{\"a\":1}",
            "/a: is not an allowed property");
}

static void follows_references(void **state) {
    static const char list[] = "{\"$id\":\"http://example.com/list\",\"type\":\"object\",\"properties\":{"
                               "\"v\":{\"$ref\":\"#number\"},\"next\":{\"$ref\":\"list\"}},"
                               "\"$defs\":{\"n\":{\"$anchor\":\"number\",\"type\":\"number\"}}}";

    (void)state;
    accepts(list, "{\"v\":1,\"next\":{\"v\":2,\"next\":{}}}");
    refuses(list, "{\"next\":{\"next\":{\"v\":null}}}", "/next/next/v: must be a number, is null");
    accepts("{\"$ref\":\"#/definitions/a~1b%25\",\"definitions\":{\"a/b%\":{\"type\":\"null\"}}}", "null");
    refuses("{\"$ref\":\"#/x-shared/a\",\"x-shared\":{\"a\":{\"type\":\"null\"}}}", "1",
            "the value: must be null, is a number");
}

static void follows_dynamic_references(void **state) {
    static const char strings[] =
        "{\"$id\":\"http://example.com/strings\",\"$ref\":\"list\",\"$defs\":{"
        "\"item\":{\"$dynamicAnchor\":\"item\",\"type\":\"string\"},"
        "\"list\":{\"$id\":\"list\",\"items\":{\"$dynamicRef\":\"#item\"},\"$defs\":{\"item\":{\"$dynamicAnchor\":\"item\"}}}}}";

    (void)state;
    accepts(strings, "[\"a\"]");
    refuses(strings, "[1]", "/0: must be a string, is a number");
}

static void checks_a_value_that_must_be_a_schema(void **state) {
    static const char schema[] = "{\"$ref\":\"https://json-schema.org/draft/2020-12/schema\"}";

    (void)state;
    accepts(schema, "{\"properties\":{\"a\":{\"type\":\"string\"}},\"my-own\":1}");
    refuses(schema, "{\"properties\":{\"a\":{\"minLength\":-1}}}",
            "/properties/a/minLength: must be an integer from 0 on, is -1");
    refuses(schema, "1", "the value: must be a schema, that is an object or a boolean, is a number");
}

static void keeps_nothing_of_the_document(void **state) {
    struct schema *schema = NULL;
    json_t *document = parse("{\"enum\":[\"abc\",[1]],\"properties\":{\"a\":{\"const\":{\"x\":1}}}}");
    json_auto_t *value = parse("[1]");

    (void)state;
    assert_int_equal(schema_new(&schema, document, NULL), 0);
    json_decref(document);
    assert_int_equal(schema_check(schema, value, NULL), 0);
    schema = schema_free(schema);
    assert_null(schema);
}

static void shows_long_texts_in_part(void **state) {
    CLEANUP(schema_free) struct schema *schema = compile("{\"additionalProperties\":{\"type\":\"null\"}}");
    struct theseus_error err = {0};
    char key[1001] = "";
    json_auto_t *value = json_object();

    (void)state;
    memset(key, 'k', sizeof(key) - 1);
    assert_int_equal(json_object_set_new(value, key, json_true()), 0);
    assert_int_equal(schema_check(schema, value, &err), -1);
    assert_non_null(strstr(err.message, "k\xe2\x80\xa6: must be null, is a boolean"));
}

static void *check_often(void *arg) {
    const struct schema *schema = arg;
    json_auto_t *good = parse("{\"id\":\"abc-12\",\"tags\":[\"x\",\"y\"],\"kind\":\"h\"}");
    json_auto_t *bad = parse("{\"id\":\"abc\",\"tags\":[\"x\",\"x\"],\"kind\":\"z\"}");
    size_t wrong = 0;

    for (int i = 0; i < 2000; i++) {
        struct theseus_error err = {0};
        wrong += schema_check(schema, good, &err) != 0;
        wrong += schema_check(schema, bad, &err) == 0;
        wrong += strcmp(err.message, "/id: must match the pattern '^[a-z]+-[0-9]+$', is \"abc\"") != 0;
    }
    return (void *)wrong;
}

static void serves_several_threads_at_once(void **state) {
    CLEANUP(schema_free)
    struct schema *schema = compile(
        "{\"properties\":{\"id\":{\"pattern\":\"^[a-z]+-[0-9]+$\"},\"tags\":{\"uniqueItems\":true},"
        "\"kind\":{\"enum\":[\"a\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\",\"h\",\"i\"]}},\"unevaluatedProperties\":false}");
    pthread_t threads[4];

    (void)state;
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, check_often, schema), 0);
    for (size_t i = 0; i < 4; i++) {
        void *wrong = schema;
        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        assert_null(wrong);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_the_path_and_the_rule),
        cmocka_unit_test(checks_type),
        cmocka_unit_test(checks_enum_and_const),
        cmocka_unit_test(checks_numbers),
        cmocka_unit_test(checks_strings),
        cmocka_unit_test(checks_arrays),
        cmocka_unit_test(checks_objects),
        cmocka_unit_test(finds_properties_among_many),
        cmocka_unit_test(combines_schemas),
        cmocka_unit_test(says_which_alternative_was_nearest),
        cmocka_unit_test(sees_what_was_left_unevaluated),
        cmocka_unit_test(follows_references),
        cmocka_unit_test(follows_dynamic_references),
        cmocka_unit_test(checks_a_value_that_must_be_a_schema),
        cmocka_unit_test(keeps_nothing_of_the_document),
        cmocka_unit_test(shows_long_texts_in_part),
        cmocka_unit_test(serves_several_threads_at_once),
    };

    return cmocka_run_group_tests_name("rpc/schema", tests, NULL, NULL);
}
