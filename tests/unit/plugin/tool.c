#include "test.h"

#include "plugin/tool.h"

#include <theseus/plugin.h>

#include "base/limits.h"
#include "plugin/fixture.h"
#include "rpc/schema.h"

static int answer(struct theseus_call *call, void *self, const json_t *args) {
    (void)call;
    (void)self;
    (void)args;
    return THESEUS_DONE;
}

static struct theseus_tool good_tool(void) {
    return (struct theseus_tool){.name = "good", .call = answer};
}

static void assert_refused(const struct theseus_tool *declared, const char *words) {
    CLEANUP(tool_free) struct tool *tool = NULL;
    struct theseus_error err = {0};

    if (tool_new(&tool, declared, &err) == 0)
        test_failed("accepted, though %s", words);
    if (!strstr(err.message, words))
        test_failed("'%s' is not in: %s", words, err.message);
}

static void assert_input_refused(const char *schema, const char *words) {
    struct theseus_tool declared = good_tool();

    declared.input_schema = schema;
    assert_refused(&declared, words);
}

static void assert_output_refused(const char *schema, const char *words) {
    struct theseus_tool declared = good_tool();

    declared.output_schema = schema;
    assert_refused(&declared, words);
}

static void copies_everything_that_was_declared(void **state) {
    char name[] = "say", title[] = "Say", description[] = "Use it to say.", input[] = "{\"type\":\"object\"}";
    char output[] = "{\"type\":\"object\",\"required\":[\"n\"]}";
    const struct theseus_tool declared = {.name = name,
                                          .title = title,
                                          .description = description,
                                          .input_schema = input,
                                          .output_schema = output,
                                          .flags = THESEUS_READ_ONLY | THESEUS_LONG,
                                          .call = answer,
                                          .timeout = 7};
    CLEANUP(tool_free) struct tool *tool = NULL;

    (void)state;
    assert_int_equal(tool_new(&tool, &declared, NULL), 0);
    name[0] = title[0] = description[0] = input[0] = output[0] = '!';
    assert_string_equal(tool->name, "say");
    assert_string_equal(tool->title, "Say");
    assert_string_equal(tool->description, "Use it to say.");
    assert_string_equal(json_string_value(json_object_get(tool->input_schema, "type")), "object");
    assert_true(json_is_array(json_object_get(tool->output_schema, "required")));
    assert_int_equal(tool->flags, THESEUS_READ_ONLY | THESEUS_LONG);
    assert_int_equal(tool->timeout, 7);
    assert_ptr_equal(tool->call, answer);
    json_auto_t *empty = json_object();
    assert_int_equal(schema_check(tool->input, empty, NULL), 0);
    assert_int_equal(schema_check(tool->output, empty, NULL), -1);
}

static void without_a_schema_takes_no_arguments(void **state) {
    const struct theseus_tool declared = good_tool();
    CLEANUP(tool_free) struct tool *tool = NULL;
    json_auto_t *none = json_object();
    json_auto_t *some = json_pack("{s:i}", "a", 1);

    (void)state;
    assert_int_equal(tool_new(&tool, &declared, NULL), 0);
    json_auto_t *expected = json_pack("{s:s, s:b}", "type", "object", "additionalProperties", 0);
    assert_true(json_equal(tool->input_schema, expected));
    assert_int_equal(schema_check(tool->input, none, NULL), 0);
    assert_int_equal(schema_check(tool->input, some, NULL), -1);
    assert_null(tool->output_schema);
    assert_null(tool->output);
    assert_null(tool->title);
    assert_null(tool->description);
}

static void checks_the_name(void **state) {
    static const char *const bad[] = {"a b", "a.b", "a/b", "\xc3\xa4", "a\n"};
    struct theseus_tool declared = good_tool();
    char name[LIMIT_TOOL_NAME + 2];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        declared.name = bad[i];
        assert_refused(&declared, "may hold A-Z, a-z, 0-9, '_' and '-' only");
    }
    declared.name = NULL;
    assert_refused(&declared, "a tool's name is missing");
    declared.name = "";
    assert_refused(&declared, "a tool's name is missing");
    memset(name, 'n', sizeof(name) - 1);
    name[LIMIT_TOOL_NAME + 1] = '\0';
    declared.name = name;
    assert_refused(&declared, "has more than 64 characters");
    name[LIMIT_TOOL_NAME] = '\0';
    CLEANUP(tool_free) struct tool *tool = NULL;
    assert_int_equal(tool_new(&tool, &declared, NULL), 0);
}

static void refuses_what_cannot_be_offered(void **state) {
    struct theseus_tool declared = good_tool();

    (void)state;
    declared.call = NULL;
    assert_refused(&declared, "tool 'good': has no handler");
    declared = good_tool();
    declared.description = "a\xff";
    assert_refused(&declared, "tool 'good': its description is not UTF-8");
    declared = good_tool();
    declared.title = "\xc3";
    assert_refused(&declared, "its title is not UTF-8");
    declared = good_tool();
    declared.flags = 1u << 30;
    assert_refused(&declared, "has unknown flags (0x40000000)");
    declared.flags = THESEUS_READ_ONLY | THESEUS_DESTRUCTIVE;
    assert_refused(&declared, "both THESEUS_READ_ONLY and THESEUS_DESTRUCTIVE");
    declared = good_tool();
    declared.reserved[0] = &declared;
    assert_refused(&declared, "reserved member");
}

static void refuses_schemas_that_are_none(void **state) {
    (void)state;
    assert_input_refused("{\"type\":", "tool 'good': input_schema: is not JSON: line 1");
    assert_input_refused("", "is not JSON");
    assert_input_refused("{\"type\":\"object\",\"type\":\"object\"}", "is not JSON");
    assert_input_refused("true", "must be a JSON object");
    assert_input_refused("[]", "must be a JSON object");
    assert_input_refused("{\"type\":\"object\",\"required\":1}", "required");
    assert_input_refused("{\"type\":\"object\",\"maxWords\":1}", "maxWords");
    assert_output_refused("{\"type\":\"object\",\"maxWords\":1}", "tool 'good': output_schema: ");
}

static void wants_an_object_at_the_root_of_arguments(void **state) {
    (void)state;
    assert_input_refused("{}", "its root must say \"type\": \"object\"");
    assert_input_refused("{\"type\":\"string\"}", "its root must say \"type\": \"object\"");
    assert_input_refused("{\"type\":[\"object\"]}", "its root must say \"type\": \"object\"");
}

static void lets_structured_content_be_anything(void **state) {
    struct theseus_tool declared = good_tool();
    CLEANUP(tool_free) struct tool *tool = NULL;

    (void)state;
    declared.output_schema = "{\"type\":\"array\",\"items\":true}";
    assert_int_equal(tool_new(&tool, &declared, NULL), 0);
    assert_non_null(tool->output);
}

static void refuses_a_boolean_for_a_property(void **state) {
    (void)state;
    assert_input_refused("{\"type\":\"object\",\"properties\":{\"a\":{},\"b\":true}}", "/properties/b: true or false");
    assert_output_refused("{\"type\":\"object\",\"properties\":{\"b\":false}}", "/properties/b: true or false");
}

static void refuses_a_schema_that_is_too_long(void **state) {
    CLEANUP(free) char *schema = xcalloc(LIMIT_SCHEMA_BYTES + 2, 1);

    (void)state;
    memset(schema, ' ', LIMIT_SCHEMA_BYTES + 1);
    memcpy(schema, "{\"type\":\"object\"}", 17);
    assert_input_refused(schema, "is longer than");
    schema[LIMIT_SCHEMA_BYTES] = '\0';
    struct theseus_tool declared = good_tool();
    CLEANUP(tool_free) struct tool *tool = NULL;
    declared.input_schema = schema;
    assert_int_equal(tool_new(&tool, &declared, NULL), 0);
}

static struct tool *trusted(const char *input, const char *output) {
    const struct theseus_tool declared = {
        .name = "good", .call = answer, .input_schema = input, .output_schema = output};
    struct tool *tool = NULL;

    assert_int_equal(tool_new_trusted(&tool, &declared, NULL), 0);
    assert_null(tool->input_schema);
    assert_null(tool->input);
    return tool;
}

static void reads_the_schemas_of_a_trusted_one_when_they_are_wanted(void **state) {
    char input[] = "{\"type\":\"object\",\"required\":[\"n\"]}", output[] = "{\"type\":\"object\"}";
    CLEANUP(tool_free) struct tool *tool = trusted(input, output);
    CLEANUP(tool_free) struct tool *none = trusted(NULL, NULL);
    json_auto_t *empty = json_object();

    (void)state;
    input[0] = output[0] = 'x'; /* the image they stand in may be gone by then */
    for (int i = 0; i < 2; i++)
        assert_int_equal(tool_read(tool, NULL), 0);
    assert_int_equal(schema_check(tool->input, empty, NULL), -1);
    assert_int_equal(schema_check(tool->output, empty, NULL), 0);
    assert_true(json_is_array(json_object_get(tool->input_schema, "required")));
    assert_int_equal(tool_read(none, NULL), 0);
    assert_int_equal(schema_check(none->input, empty, NULL), 0);
    assert_null(none->output);
}

static void refuses_each_time_what_was_trusted_wrongly(void **state) {
    CLEANUP(free) char *long_one = xcalloc(1, LIMIT_SCHEMA_BYTES + 10);
    memset(long_one, ' ', LIMIT_SCHEMA_BYTES + 9);
    const struct {
        const char *input, *output, *words;
    } rows[] = {
        {"{", NULL, "tool 'good': input_schema: is not JSON"},
        {"{\"type\":\"string\"}", NULL, "tool 'good': input_schema: its root must say"},
        {NULL, "{\"type\":7}", "tool 'good': output_schema: "},
        {long_one, NULL, "tool 'good': input_schema: is longer than"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP(tool_free) struct tool *tool = trusted(rows[i].input, rows[i].output);
        for (int again = 0; again < 2; again++) {
            struct theseus_error err = {0};
            assert_int_equal(tool_read(tool, &err), -1);
            assert_ptr_equal(strstr(err.message, rows[i].words), err.message);
            assert_null(tool->input);
            assert_null(tool->output);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_everything_that_was_declared),
        cmocka_unit_test(without_a_schema_takes_no_arguments),
        cmocka_unit_test(checks_the_name),
        cmocka_unit_test(refuses_what_cannot_be_offered),
        cmocka_unit_test(refuses_schemas_that_are_none),
        cmocka_unit_test(wants_an_object_at_the_root_of_arguments),
        cmocka_unit_test(lets_structured_content_be_anything),
        cmocka_unit_test(refuses_a_boolean_for_a_property),
        cmocka_unit_test(refuses_a_schema_that_is_too_long),
        cmocka_unit_test(reads_the_schemas_of_a_trusted_one_when_they_are_wanted),
        cmocka_unit_test(refuses_each_time_what_was_trusted_wrongly),
    };

    return cmocka_run_group_tests_name("plugin/tool", tests, NULL, NULL);
}
