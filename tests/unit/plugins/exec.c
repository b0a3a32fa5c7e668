#include "exec.h"

static json_t *edits_of(struct bench *bench) {
    json_t *edits = bench->fake.edits;

    bench->fake.edits = json_array();
    return edits;
}

static void assert_edits(struct bench *bench, const char *wanted_text) {
    json_t *edits = edits_of(bench), *wanted = json(wanted_text);

    if (!json_equal(edits, wanted))
        print_error("%s\n", wanted_text);
    assert_true(json_equal(edits, wanted));
    json_decref(edits);
    json_decref(wanted);
}

static int configure(struct bench *bench, const char *tools, struct theseus_error *err) {
    json_t *config = json_pack("{s:o}", "tool", json(tools));
    json_t *before = json_copy(bench->fake.tools);
    int r = theseus_plugin.configure(bench->self, config, err);

    if (r < 0)
        fake_take_back(&bench->fake, before);
    json_decref(before);
    json_decref(config);
    return r;
}

static void starts_with_no_section_at_all(void **state) {
    struct fake fake = fake_made();
    struct theseus_error err = {0};
    void *self = NULL;

    (void)state;
    assert_int_equal(theseus_plugin.start(&fake.ctx, &self, &err), 0);
    assert_int_equal(json_object_size(fake.tools), 0);
    theseus_plugin.stop(self);
    fake_fini(&fake);
}

static void touches_only_the_tools_that_changed(void **state) {
    struct bench *bench = bench_new("{\"command\": \"a\"}");
    struct theseus_error err = {0};

    (void)state;
    assert_edits(bench, "[\"+t\"]");
    assert_int_equal(
        configure(bench, "{\"t\": {\"command\": \"a\"}, \"b\": {\"command\": \"b\"}, \"c\": {\"command\": \"c\"}}",
                  &err),
        0);
    assert_edits(bench, "[\"+b\", \"+c\"]");
    assert_int_equal(configure(bench,
                               "{\"t\": {\"command\": \"a\"}, \"b\": {\"command\": \"b2\"}, \"d\": {\"command\": "
                               "\"d\"}}",
                               &err),
                     0);
    assert_edits(bench, "[\"-b\", \"-c\", \"+b\", \"+d\"]");
    bench_free(bench);
}

static void a_refused_configuration_changes_nothing(void **state) {
    struct bench *bench = bench_new("{\"command\": \"echo old\"}");
    struct theseus_error err = {0};

    (void)state;
    json_decref(edits_of(bench));
    assert_int_equal(configure(bench, "{\"u\": {\"command\": \"a\"}, \"t\": {\"command\": \"a |\"}}", &err), -1);
    assert_memory_equal(err.message, "[tool:t] command: '|' is for a shell", 36);
    assert_edits(bench, "[]");
    assert_string_equal(bench_call(bench, "{}"), "old\n");
    bench_free(bench);
}

static void an_edit_takes_effect_at_the_next_call(void **state) {
    struct bench *bench = bench_new("{\"command\": \"echo old\"}");
    struct theseus_error err = {0};

    (void)state;
    assert_string_equal(bench_call(bench, "{}"), "old\n");
    assert_int_equal(configure(bench, "{\"t\": {\"command\": \"echo new\"}}", &err), 0);
    assert_string_equal(bench_call(bench, "{}"), "new\n");
    assert_int_equal(configure(bench, "{}", &err), 0);
    assert_int_equal(json_object_size(bench->fake.tools), 0);
    bench_free(bench);
}

/* Takes the section away while the call that asks is running. */
static bool reconfigure_once(struct fake *fake) {
    struct bench *bench = (struct bench *)fake;
    struct theseus_error err = {0};

    if (json_object_size(fake->tools) > 0)
        assert_int_equal(configure(bench, "{}", &err), 0);
    return false;
}

static void a_running_call_keeps_the_section_it_began_with(void **state) {
    struct bench *bench = bench_new("{\"command\": \"sh -c 'exit 4'\"}");

    (void)state;
    bench->fake.is_cancelled = reconfigure_once;
    assert_string_equal(bench_call(bench, "{}"), "'sh' ended with exit status 4 and printed nothing\n");
    assert_int_equal(json_object_size(bench->fake.tools), 0);
    bench_free(bench);
}

static void says_which_tool_the_server_did_not_take(void **state) {
    struct fake fake = fake_made();
    struct theseus_error err = {0};
    void *self = NULL;

    (void)state;
    fake.config = json("{\"tool\": {\"taken\": {\"command\": \"x\"}}}");
    json_object_set_new(fake.tools, "taken", json_true());
    assert_int_equal(theseus_plugin.start(&fake.ctx, &self, &err), -1);
    assert_string_equal(err.message, "[tool:taken] another plugin has a tool of this name");
    assert_null(self);
    fake_fini(&fake);
}

static void a_change_that_the_server_refuses_leaves_all_as_it_was(void **state) {
    struct bench *bench = bench_new("{\"command\": \"echo old\"}");
    struct theseus_error err = {0};
    json_t *before;

    (void)state;
    json_object_set_new(bench->fake.tools, "taken", json_true());
    before = json_deep_copy(bench->fake.tools);
    assert_int_equal(configure(bench,
                               "{\"a\": {\"command\": \"a\"}, \"t\": {\"command\": \"echo new\"}, \"taken\": "
                               "{\"command\": \"x\"}, \"z\": {\"command\": \"z\"}}",
                               &err),
                     -1);
    assert_string_equal(err.message, "[tool:taken] another plugin has a tool of this name");
    assert_true(json_equal(bench->fake.tools, before));
    assert_string_equal(bench_call(bench, "{}"), "old\n");
    json_decref(before);
    bench_free(bench);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_with_no_section_at_all),
        cmocka_unit_test(touches_only_the_tools_that_changed),
        cmocka_unit_test(a_refused_configuration_changes_nothing),
        cmocka_unit_test(an_edit_takes_effect_at_the_next_call),
        cmocka_unit_test(a_running_call_keeps_the_section_it_began_with),
        cmocka_unit_test(says_which_tool_the_server_did_not_take),
        cmocka_unit_test(a_change_that_the_server_refuses_leaves_all_as_it_was),
    };

    return cmocka_run_group_tests_name("plugins/exec", tests, NULL, NULL);
}
