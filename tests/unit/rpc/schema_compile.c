#include "test.h"

#include "rpc/schema_compile.h"

#include "base/limits.h"

static json_t *parse(const char *text) {
    json_error_t at;
    json_t *json = json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, &at);

    if (!json)
        print_message("%s: %s\n", text, at.text);
    assert_non_null(json);
    return json;
}

static int compile(const char *text, const struct schema_options *options, struct theseus_error *err) {
    CLEANUP(schema_free) struct schema *schema = NULL;
    json_auto_t *document = parse(text);

    return schema_new_with_options(&schema, document, options, err);
}

static void accepts(const char *text) {
    struct theseus_error err = {0};

    if (compile(text, &(struct schema_options){0}, &err) < 0)
        print_message("%s: %s\n", text, err.message);
    assert_int_equal(err.code, ERR_UNSET);
}

static void refuses(const char *text, const char *message) {
    struct theseus_error err = {0};

    if (compile(text, &(struct schema_options){0}, &err) == 0)
        print_message("%s is accepted\n", text);
    assert_string_equal(err.message, message);
    assert_int_equal(err.code, ERR_INVALID);
}

static void accepts_annotations(void **state) {
    (void)state;
    accepts("{\"title\":\"t\",\"description\":\"d\",\"default\":{\"any\":1},\"examples\":[1],\"deprecated\":true,"
            "\"readOnly\":true,\"writeOnly\":false,\"format\":\"email\",\"contentEncoding\":\"base64\","
            "\"contentMediaType\":\"text/plain\",\"contentSchema\":{},\"$comment\":\"c\",\"x-mcp-header\":\"H\","
            "\"x-own\":{\"type\":\"nonsense\"}}");
    refuses("{\"title\":1}", "the schema: 'title' must be a string, is 1");
    refuses("{\"deprecated\":\"yes\"}", "the schema: 'deprecated' must be true or false, is \"yes\"");
    refuses("{\"examples\":{}}", "the schema: 'examples' must be an array, is an object");
    refuses(
        "{\"contentSchema\":{\"type\":1}}",
        "/contentSchema: 'type' must be array, boolean, integer, null, number, object, string, or an array of some of "
        "these, is 1");
}

static void refuses_unknown_keywords(void **state) {
    (void)state;
    refuses("{\"properties\":{\"a/b\":{\"minLenght\":1}}}",
            "/properties/a~1b: unknown keyword 'minLenght'; did you mean 'minLength'?");
    refuses("{\"Required\":[]}", "the schema: unknown keyword 'Required'; did you mean 'required'?");
    refuses("{\"$def\":{}}", "the schema: unknown keyword '$def'; did you mean '$defs'?");
    refuses("{\"nullable\":true}", "the schema: unknown keyword 'nullable'; did you mean 'type'?");
    refuses("{\"dependencies\":{}}", "the schema: unknown keyword 'dependencies'; did you mean 'dependentRequired'?");
    refuses("{\"somethingElse\":1}",
            "the schema: unknown keyword 'somethingElse'; what is not JSON Schema 2020-12 may begin with 'x-'");
    refuses("{\"$defs\":{\"a\":{\"not\":{\"foo\":1}}}}",
            "/$defs/a/not: unknown keyword 'foo'; what is not JSON Schema 2020-12 may begin with 'x-'");
}

static void skips_unknown_keywords_where_it_may(void **state) {
    const struct schema_options lenient = {.lenient = true};
    struct theseus_error err = {0};

    (void)state;
    assert_int_equal(compile("{\"foo\":{\"type\":\"nonsense\"}}", &lenient, &err), 0);
    assert_int_equal(compile("{\"type\":\"nonsense\"}", &lenient, &err), -1);
}

static void refuses_values_of_the_wrong_form(void **state) {
    (void)state;
    refuses("1", "the schema: must be a schema, that is an object or a boolean, is a number");
    refuses("{\"items\":[{}]}", "the schema: 'items' must be a schema (a list of schemas is prefixItems), is an array");
    refuses("{\"not\":1}", "the schema: 'not' must be a schema, that is an object or a boolean, is 1");
    refuses("{\"allOf\":[1]}", "/allOf/0: must be a schema, that is an object or a boolean, is a number");
    refuses("{\"anyOf\":[]}", "the schema: 'anyOf' must be a non-empty array of schemas, is an array");
    refuses("{\"properties\":[]}", "the schema: 'properties' must be an object of schemas, is an array");
    refuses("{\"minLength\":-1}", "the schema: 'minLength' must be an integer from 0 on, is -1");
    refuses("{\"maxItems\":1.5}", "the schema: 'maxItems' must be an integer from 0 on, is 1.5");
    refuses("{\"minimum\":\"1\"}", "the schema: 'minimum' must be a number, is \"1\"");
    refuses("{\"exclusiveMinimum\":true}", "the schema: 'exclusiveMinimum' must be a number, is true");
    refuses("{\"multipleOf\":0}", "the schema: 'multipleOf' must be a number above 0, is 0");
    refuses("{\"required\":\"a\"}", "the schema: 'required' must be an array of different strings, is \"a\"");
    refuses("{\"required\":[\"a\",\"a\"]}", "the schema: 'required' must be an array of different strings");
    refuses("{\"dependentRequired\":{\"a\":[1]}}",
            "the schema: 'dependentRequired' must be an object of arrays of different strings");
    refuses("{\"enum\":1}", "the schema: 'enum' must be an array, is 1");
    refuses("{\"uniqueItems\":1}", "the schema: 'uniqueItems' must be true or false, is 1");
    refuses("{\"$anchor\":\"1a\"}",
            "the schema: '$anchor' must be a name of letters, digits, '_', '-' and '.', is \"1a\"");
    refuses("{\"$id\":\"a#b\"}",
            "the schema: '$id' must be a URI reference without a fragment ($anchor names a place), is \"a#b\"");
    refuses("{\"$ref\":\"a\\u0000b\"}", "the schema: '$ref' must be a URI reference, is \"a?b\"");
    refuses("{\"type\":[]}",
            "the schema: 'type' must be array, boolean, integer, null, number, object, string, or an array "
            "of some of these, is an array");
}

static void refuses_bad_patterns(void **state) {
    (void)state;
    refuses("{\"properties\":{\"a\":{\"pattern\":\"(b\"}}}",
            "/properties/a: 'pattern' is not a valid regular expression: missing closing parenthesis");
    refuses("{\"patternProperties\":{\"[\":true}}",
            "/patternProperties: '[' is not a valid regular expression: missing terminating ] for character class");
}

static void refuses_references_to_nothing(void **state) {
    (void)state;
    refuses("{\"items\":{\"$ref\":\"#/$defs/x\"}}",
            "/items: '$ref' to '#/$defs/x' cannot be resolved: there is nothing at that place");
    refuses("{\"$dynamicRef\":\"#x\"}",
            "the schema: '$dynamicRef' to '#x' cannot be resolved: there is nothing at that place");
    refuses("{\"$ref\":\"http://example.com/a\"}",
            "the schema: '$ref' to 'http://example.com/a' cannot be resolved: no such "
            "document is at hand, and nothing is fetched");
    refuses("{\"$ref\":\"#/%zz\"}",
            "the schema: '$ref' to '#/%zz' cannot be resolved: its fragment is not well encoded");
    refuses("{\"$ref\":\"#/enum/0\",\"enum\":[1]}",
            "in '#/enum/0': the schema: must be a schema, that is an object or a boolean, is a number");
    refuses("{\"$ref\":\"#/allOf/01\",\"allOf\":[true,true]}",
            "the schema: '$ref' to '#/allOf/01' cannot be resolved: there is nothing at that place");
}

static void refuses_names_given_twice(void **state) {
    (void)state;
    refuses("{\"$defs\":{\"a\":{\"$id\":\"x\"},\"b\":{\"$id\":\"x\"}}}",
            "/$defs/b: '$id' makes 'x', which another schema is called already");
    refuses("{\"$defs\":{\"a\":{\"$anchor\":\"x\"},\"b\":{\"$dynamicAnchor\":\"x\"}}}",
            "/$defs/b: '$dynamicAnchor' gives the name 'x', which another schema has already");
}

static void knows_its_dialects(void **state) {
    (void)state;
    accepts("{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\"}");
    accepts("{\"$schema\":\"https://json-schema.org/draft/2019-09/schema\"}");
    accepts("{\"$schema\":\"http://json-schema.org/draft-07/schema#\",\"definitions\":{}}");
    refuses("{\"$schema\":\"http://json-schema.org/draft-04/schema#\"}",
            "the schema: the dialect 'http://json-schema.org/draft-04/schema#' of '$schema' is not supported; use "
            "'https://json-schema.org/draft/2020-12/schema'");
    refuses(
        "{\"$dynamicAnchor\":\"meta\",\"$ref\":\"https://json-schema.org/draft/2020-12/schema\"}",
        "'$dynamicAnchor': 'meta' beside a reference to 'https://json-schema.org/draft/2020-12/schema' is not supported");
}

static void reads_the_vocabularies_of_a_dialect(void **state) {
    json_auto_t *plain =
        parse("{\"$vocabulary\":{\"https://json-schema.org/draft/2020-12/vocab/core\":true,"
              "\"https://json-schema.org/draft/2020-12/vocab/applicator\":true,\"http://own/v\":false}}");
    json_auto_t *strange = parse("{\"$vocabulary\":{\"http://own/v\":true}}");
    const struct schema_remote remotes[] = {{"http://own/plain", plain}, {"http://own/strange", strange}};
    const struct schema_options options = {.remotes = remotes, .remote_count = 2};
    struct theseus_error err = {0};

    (void)state;
    assert_int_equal(compile("{\"$schema\":\"http://own/plain\",\"items\":true}", &options, &err), 0);
    assert_int_equal(compile("{\"$schema\":\"http://own/plain\",\"minimum\":1}", &options, &err), -1);
    assert_string_equal(err.message, "the schema: 'minimum' is in no vocabulary of the dialect that '$schema' names");
    err.code = ERR_UNSET;
    assert_int_equal(compile("{\"$schema\":\"http://own/strange\"}", &options, &err), -1);
    assert_string_equal(err.message,
                        "the schema: the vocabulary 'http://own/v' that '$schema' requires is not supported");
}

static void takes_documents_that_are_at_hand(void **state) {
    json_auto_t *good = parse("{\"$defs\":{\"n\":{\"type\":\"null\"}}}");
    json_auto_t *bad = parse("{\"items\":{\"typo\":1}}");
    const struct schema_remote remotes[] = {{"http://own/good#", good}, {"http://own/bad", bad}};
    const struct schema_options options = {.remotes = remotes, .remote_count = 2};
    struct theseus_error err = {0};

    (void)state;
    assert_int_equal(compile("{\"$ref\":\"http://own/good#/$defs/n\"}", &options, &err), 0);
    assert_int_equal(compile("{\"$ref\":\"http://own/bad\"}", &options, &err), -1);
    assert_string_equal(err.message, "in 'http://own/bad': /items: unknown keyword 'typo'; did you mean 'type'?");
}

static json_t *nested_new(unsigned levels) {
    json_t *schema = json_object();

    for (unsigned i = 1; i < levels; i++)
        schema = json_pack("{s:o}", "not", schema);
    return schema;
}

static void bounds_the_nesting_of_schemas(void **state) {
    json_auto_t *most = nested_new(LIMIT_SCHEMA_DEPTH), *more = nested_new(LIMIT_SCHEMA_DEPTH + 1);
    CLEANUP(schema_free) struct schema *schema = NULL;
    struct schema *none = NULL;
    struct theseus_error err = {0};

    (void)state;
    assert_int_equal(schema_new(&schema, most, &err), 0);
    assert_int_equal(schema_new(&none, more, &err), -1);
    assert_int_equal(err.code, ERR_LIMIT);
    assert_non_null(strstr(err.message, "schemas are nested more than 64 levels deep"));
    assert_null(none);
}

static void refuses_names_with_a_nul(void **state) {
    json_auto_t *properties = json_object(), *document = json_pack("{s:O}", "properties", properties);
    struct schema *schema = NULL;
    struct theseus_error err = {0};

    (void)state;
    assert_int_equal(json_object_setn_new(properties, "a\0b", 3, json_true()), 0);
    assert_int_equal(schema_new(&schema, document, &err), -1);
    assert_string_equal(err.message, "the schema: 'properties' has a name with a NUL character in it");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_annotations),
        cmocka_unit_test(refuses_unknown_keywords),
        cmocka_unit_test(skips_unknown_keywords_where_it_may),
        cmocka_unit_test(refuses_values_of_the_wrong_form),
        cmocka_unit_test(refuses_bad_patterns),
        cmocka_unit_test(refuses_references_to_nothing),
        cmocka_unit_test(refuses_names_given_twice),
        cmocka_unit_test(knows_its_dialects),
        cmocka_unit_test(reads_the_vocabularies_of_a_dialect),
        cmocka_unit_test(takes_documents_that_are_at_hand),
        cmocka_unit_test(bounds_the_nesting_of_schemas),
        cmocka_unit_test(refuses_names_with_a_nul),
    };

    return cmocka_run_group_tests_name("rpc/schema_compile", tests, NULL, NULL);
}
