#include "test.h"

#include "../../../plugins/admin/call.c"

/* Two files with a static function of the same name. */
#define describe describe_plugins
#include "../../../plugins/admin/plugins.c"
#undef describe

#include "../../../plugins/admin/reload.c"

/* Last, for its table of tools has a name that the others use for their locals. */
#include "../../../plugins/admin/admin.c"

#include "host.h"
#include "rpc/schema.h"

static const struct theseus_tool *tool_named(const char *name) {
    const struct theseus_tool *tool = theseus_plugin.tools;

    while (tool->name && strcmp(tool->name, name) != 0)
        tool++;
    assert_non_null(tool->name);
    return tool;
}

/* Calls the tool with arguments as JSON text. */
static void call(struct fake *fake, const char *name, const char *text) {
    json_t *args = json_loads(text, 0, NULL);

    fake->tool = name;
    assert_non_null(args);
    assert_int_equal(tool_named(name)->call(&fake->call, NULL, args), THESEUS_DONE);
    assert_int_equal(fake->answers, 1);
    json_decref(args);
}

static json_t *json(const char *text) {
    json_t *value = json_loads(text, 0, NULL);

    assert_non_null(value);
    return value;
}

/* Its structured content is what its output schema promises. */
static void assert_as_promised(const struct fake *fake, const char *name) {
    json_t *document = json(tool_named(name)->output_schema);
    CLEANUP(schema_free) struct schema *schema = NULL;
    struct theseus_error err = {0};

    assert_int_equal(schema_new(&schema, document, &err), 0);
    int r = schema_check(schema, json_object_get(fake->result, "structuredContent"), &err);
    assert_string_equal(err.message, "");
    assert_int_equal(r, 0);
    json_decref(document);
}

static void describes_itself_in_a_few_words(void **state) {
    size_t total = 0;

    (void)state;
    for (const struct theseus_tool *tool = theseus_plugin.tools; tool->name; tool++) {
        assert_in_range(strlen(tool->description), 40, 399);
        assert_memory_equal(tool->description, "Use this ", 9);
        total += strlen(tool->description) + (tool->input_schema ? strlen(tool->input_schema) : 0) +
                 (tool->output_schema ? strlen(tool->output_schema) : 0);
        if (tool->input_schema)
            json_decref(json(tool->input_schema));
        if (tool->output_schema)
            json_decref(json(tool->output_schema));
    }
    assert_in_range(total, 1, 8 << 10);
}

static void shows_the_plugins(void **state) {
    struct fake fake = fake_made();
    json_t *answer = json("{\"plugins\": [{\"name\": \"echo\", \"version\": \"1.0.0\", \"generation\": 2, \"state\": "
                          "\"active\", \"tools\": [\"echo\", \"ohce\"], \"calls\": {\"served\": 7, \"failed\": 1, "
                          "\"mean_ms\": 0.25, \"p99_ms\": 3}, \"in_flight\": 1}, {\"name\": \"old\", \"version\": "
                          "\"9\", \"generation\": 1, \"state\": \"quarantined\", \"reason\": \"still mapped\", "
                          "\"tools\": []}], \"refused\": [{\"file\": \"/p/bad.so\", \"reason\": \"no symbol\"}], "
                          "\"disabled\": [\"/p/off.so\"]}");

    (void)state;
    json_object_set_new(fake.control, "plugins", answer);
    call(&fake, "theseus_plugins", "{}");
    assert_as_promised(&fake, "theseus_plugins");
    assert_true(json_equal(json_object_get(fake.result, "structuredContent"), answer));
    assert_string_equal(fake_text(&fake), "echo 1.0.0, generation 2, active\n"
                                          "  calls: 7 served, 1 failed, 1 running; mean 0.25 ms, p99 3 ms\n"
                                          "  tools: echo, ohce\n"
                                          "old 9, generation 1, quarantined: still mapped\n"
                                          "  calls: 0 served, 0 failed, 0 running; mean 0 ms, p99 0 ms\n"
                                          "  tools: none\n"
                                          "refused: /p/bad.so: no symbol\n"
                                          "disabled: /p/off.so\n");
    fake_fini(&fake);
}

static void says_the_difference_after_a_reload(void **state) {
    struct fake fake = fake_made();

    (void)state;
    json_object_set_new(fake.control, "reload",
                        json("{\"tools\": {\"added\": [\"a\", \"b\"], \"removed\": [], \"changed\": [\"c\"]}, "
                             "\"plugins\": {\"loaded\": [\"p\"], \"reloaded\": [], \"removed\": [], \"unchanged\": "
                             "[\"q\"]}, \"refused\": [{\"file\": \"x.so\", \"reason\": \"wrong ABI\"}], \"waiting\": "
                             "[{\"plugin\": \"w\", \"calls\": [\"slow\", \"slower\"]}], \"configuration\": "
                             "\"reloaded\"}"));
    call(&fake, "theseus_reload", "{\"plugin\": \"p\"}");
    assert_as_promised(&fake, "theseus_reload");
    assert_string_equal(fake_text(&fake), "tools added: a, b\n"
                                          "tools changed: c\n"
                                          "plugins loaded: p\n"
                                          "refused: x.so: wrong ABI\n"
                                          "waiting: w, until these calls have ended: slow, slower\n"
                                          "configuration: reloaded\n");
    json_t *asked = json("[[\"reload\", {\"plugin\": \"p\"}]]");
    assert_true(json_equal(fake.asked, asked));
    json_decref(asked);
    fake_fini(&fake);
}

static void passes_on_why_the_core_refused(void **state) {
    struct fake fake = fake_made();

    (void)state;
    json_object_set_new(fake.control, "reload", json("{\"error\": \"[access] restart is off\"}"));
    call(&fake, "theseus_reload", "{}");
    assert_true(fake_failed(&fake));
    assert_string_equal(fake_text(&fake), "[access] restart is off");
    fake_fini(&fake);
}

static void calls_another_tool_and_passes_its_answer_on(void **state) {
    struct fake fake = fake_made();
    json_t *inner = json("{\"content\": [], \"isError\": true, \"structuredContent\": {\"x\": 1}}");

    (void)state;
    json_object_set_new(fake.control, "may_call", json_object());
    json_object_set_new(fake.inner, "other", inner);
    call(&fake, "theseus_call", "{\"name\": \"other\", \"arguments\": {\"k\": [1]}}");
    assert_true(json_equal(fake.result, inner));
    json_t *asked = json("[[\"may_call\", {\"name\": \"other\"}], [\"call\", \"other\", {\"k\": [1]}]]");
    assert_true(json_equal(fake.asked, asked));
    json_decref(asked);
    fake_fini(&fake);
}

static void refuses_to_call_itself(void **state) {
    struct fake fake = fake_made();

    (void)state;
    json_object_set_new(fake.control, "may_call", json_object());
    call(&fake, "theseus_call", "{\"name\": \"theseus_call\"}");
    assert_true(fake_failed(&fake));
    assert_string_equal(fake_text(&fake), "'theseus_call' does not call itself; name the tool that you want");
    assert_int_equal(json_array_size(fake.asked), 0);
    fake_fini(&fake);
}

static void calls_nothing_without_leave(void **state) {
    struct fake fake = fake_made();

    (void)state;
    json_object_set_new(fake.control, "may_call", json("{\"error\": \"'rm' is not read-only\"}"));
    call(&fake, "theseus_call", "{\"name\": \"rm\"}");
    assert_true(fake_failed(&fake));
    assert_string_equal(fake_text(&fake), "'rm' is not read-only");
    assert_int_equal(json_array_size(fake.asked), 1);
    fake_fini(&fake);
}

static void says_that_a_tool_does_not_exist(void **state) {
    struct fake fake = fake_made();

    (void)state;
    json_object_set_new(fake.control, "may_call", json_object());
    call(&fake, "theseus_call", "{\"name\": \"nobody\"}");
    assert_true(fake_failed(&fake));
    assert_string_equal(fake_text(&fake), "cannot call 'nobody': there is no such tool");
    fake_fini(&fake);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(describes_itself_in_a_few_words),
        cmocka_unit_test(shows_the_plugins),
        cmocka_unit_test(says_the_difference_after_a_reload),
        cmocka_unit_test(passes_on_why_the_core_refused),
        cmocka_unit_test(calls_another_tool_and_passes_its_answer_on),
        cmocka_unit_test(refuses_to_call_itself),
        cmocka_unit_test(calls_nothing_without_leave),
        cmocka_unit_test(says_that_a_tool_does_not_exist),
    };

    return cmocka_run_group_tests_name("plugins/admin", tests, NULL, NULL);
}
