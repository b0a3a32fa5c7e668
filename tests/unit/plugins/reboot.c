#include "test.h"

#include "../../../plugins/reboot/health.c"
#include "../../../plugins/reboot/prepare.c"
#include "../../../plugins/reboot/reconnect.c"
#include "../../../plugins/reboot/restart.c"
#include "../../../plugins/reboot/status.c"

/* Last, for its table of tools has a name that others might use. */
#include "../../../plugins/reboot/reboot.c"

#include "host.h"
#include "rpc/schema.h"

static const struct theseus_tool *tool_named(const char *name) {
    const struct theseus_tool *tool = theseus_plugin.tools;

    while (tool->name && strcmp(tool->name, name) != 0)
        tool++;
    assert_non_null(tool->name);
    return tool;
}

static json_t *json(const char *text) {
    json_t *value = json_loads(text, JSON_REJECT_DUPLICATES, NULL);

    assert_non_null(value);
    return value;
}

/* 0, or -1: what `text` says is refused. */
static int check(const char *schema_text, const char *text, struct theseus_error *err) {
    json_auto_t *document = json(schema_text), *value = json(text);
    CLEANUP(schema_free) struct schema *schema = NULL;

    *err = (struct theseus_error){0};
    assert_int_equal(schema_new(&schema, document, err), 0);
    return schema_check(schema, value, err);
}

static void assert_accepts(const char *schema, const char *text) {
    struct theseus_error err;
    int r = check(schema, text, &err);

    assert_string_equal(err.message, "");
    assert_int_equal(r, 0);
}

static void assert_refuses(const char *schema, const char *text, const char *why) {
    struct theseus_error err;

    assert_true(check(schema, text, &err) != 0);
    assert_string_equal(err.message, why);
}

/* The core is asked `question` when the tool is called with `args`, both as JSON text. */
static void assert_asks(const char *name, const char *args_text, const char *question_text) {
    struct fake fake = fake_made();
    json_auto_t *args = json(args_text), *question = json(question_text);

    fake.tool = name;
    assert_accepts(tool_named(name)->input_schema, args_text);
    assert_int_equal(tool_named(name)->call(&fake.call, NULL, args),
                     strcmp(name, "orchestrator_restart_server") == 0 ? THESEUS_LATER : THESEUS_DONE);
    assert_int_equal(json_array_size(fake.asked), 1);
    char *asked = json_dumps(json_array_get(fake.asked, 0), JSON_SORT_KEYS);
    char *expected = json_dumps(question, JSON_SORT_KEYS);
    assert_string_equal(asked, expected);
    free(asked);
    free(expected);
    fake_fini(&fake);
}

/* ---- what is said of the tools ---- */

static void describes_itself_in_a_few_words(void **state) {
    size_t total = 0;

    (void)state;
    for (const struct theseus_tool *tool = theseus_plugin.tools; tool->name; tool++) {
        assert_in_range(strlen(tool->description), 40, 399);
        assert_memory_equal(tool->description, "Use this ", 9);
        assert_non_null(tool->title);
        total += strlen(tool->description) + strlen(tool->input_schema) + strlen(tool->output_schema);
    }
    assert_in_range(total, 1, 10 << 10);
}

static void only_the_restart_changes_anything(void **state) {
    (void)state;
    for (const struct theseus_tool *tool = theseus_plugin.tools; tool->name; tool++)
        assert_int_equal(tool->flags, strcmp(tool->name, "orchestrator_restart_server") == 0 ? THESEUS_DESTRUCTIVE
                                                                                             : THESEUS_READ_ONLY);
}

static void names_the_range_of_the_time(void **state) {
    (void)state;
    assert_accepts(reboot_restart_input, "{\"timeout\": 10}");
    assert_accepts(reboot_restart_input, "{\"timeout\": 300}");
    assert_refuses(reboot_restart_input, "{\"timeout\": 9}", "/timeout: must be from 10 to 300, is 9");
    assert_refuses(reboot_restart_input, "{\"timeout\": 301}", "/timeout: must be from 10 to 300, is 301");
}

static void knows_five_reasons(void **state) {
    static const char *const reasons[] = {"manual_request", "configuration_update", "schema_migration",
                                          "error_recovery", "emergency_shutdown"};
    char text[64];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(reasons); i++) {
        (void)snprintf(text, sizeof(text), "{\"reason\": \"%s\"}", reasons[i]);
        assert_accepts(reboot_restart_input, text);
    }
    assert_refuses(reboot_restart_input, "{\"reason\": \"boredom\"}",
                   "/reason: must be one of \"manual_request\", \"configuration_update\", \"schema_migration\", "
                   "\"error_recovery\", \"emergency_shutdown\", is \"boredom\"");
}

/* ---- what the core is asked ---- */

static void fills_in_what_the_caller_left_out(void **state) {
    (void)state;
    assert_asks("orchestrator_restart_server", "{}",
                "[\"restart\", {\"graceful\": true, \"preserve_state\": true, \"reason\": \"manual_request\"}]");
    assert_asks("orchestrator_health_check", "{}",
                "[\"health\", {\"include_reboot_readiness\": true, \"include_connection_status\": true, "
                "\"include_database_status\": true}]");
    assert_asks("orchestrator_shutdown_prepare", "{}",
                "[\"prepare\", {\"check_active_tasks\": true, \"check_database_state\": true, "
                "\"check_client_connections\": true, \"explain\": false}]");
    assert_asks("orchestrator_restart_status", "{}",
                "[\"restart_status\", {\"include_history\": false, \"include_error_details\": true}]");
    assert_asks("orchestrator_reconnect_test", "{}",
                "[\"reconnect_test\", {\"include_buffer_status\": true, \"include_reconnection_stats\": true}]");
}

static void passes_on_what_the_caller_said(void **state) {
    (void)state;
    assert_asks("orchestrator_restart_server",
                "{\"graceful\": false, \"preserve_state\": false, \"timeout\": 60, \"reason\": \"error_recovery\"}",
                "[\"restart\", {\"graceful\": false, \"preserve_state\": false, \"timeout\": 60, \"reason\": "
                "\"error_recovery\"}]");
    assert_asks("orchestrator_health_check", "{\"include_database_status\": false}",
                "[\"health\", {\"include_reboot_readiness\": true, \"include_connection_status\": true, "
                "\"include_database_status\": false}]");
    assert_asks("orchestrator_shutdown_prepare", "{\"explain\": true, \"check_active_tasks\": false}",
                "[\"prepare\", {\"check_active_tasks\": false, \"check_database_state\": true, "
                "\"check_client_connections\": true, \"explain\": true}]");
    assert_asks("orchestrator_restart_status", "{\"include_history\": true}",
                "[\"restart_status\", {\"include_history\": true, \"include_error_details\": true}]");
    assert_asks("orchestrator_reconnect_test", "{\"session_id\": \"s-1\", \"include_buffer_status\": false}",
                "[\"reconnect_test\", {\"session_id\": \"s-1\", \"include_buffer_status\": false, "
                "\"include_reconnection_stats\": true}]");
}

static void an_emergency_waits_for_nothing_unless_told_so(void **state) {
    (void)state;
    assert_asks("orchestrator_restart_server", "{\"reason\": \"emergency_shutdown\"}",
                "[\"restart\", {\"graceful\": false, \"preserve_state\": false, \"reason\": \"emergency_shutdown\"}]");
    assert_asks("orchestrator_restart_server", "{\"reason\": \"emergency_shutdown\", \"graceful\": false}",
                "[\"restart\", {\"graceful\": false, \"preserve_state\": true, \"reason\": \"emergency_shutdown\"}]");
    assert_asks("orchestrator_restart_server", "{\"reason\": \"emergency_shutdown\", \"preserve_state\": true}",
                "[\"restart\", {\"graceful\": true, \"preserve_state\": true, \"reason\": \"emergency_shutdown\"}]");
}

/* ---- what the caller is told ---- */

static void leaves_an_accepted_restart_unanswered(void **state) {
    struct fake fake = fake_made();
    json_auto_t *args = json_object();

    (void)state;
    assert_int_equal(reboot_restart(&fake.call, NULL, args), THESEUS_LATER);
    assert_int_equal(fake.answers, 0);
    fake_fini(&fake);
}

static void answers_what_the_core_says(void **state) {
    struct fake fake = fake_made();
    json_auto_t *args = json_object(), *answer = json("{\"success\": false, \"phase\": \"preparing\"}");

    (void)state;
    json_object_set(fake.control, "restart", answer);
    assert_int_equal(reboot_restart(&fake.call, NULL, args), THESEUS_DONE);
    assert_int_equal(fake.answers, 1);
    assert_true(json_equal(json_object_get(fake.result, "structuredContent"), answer));
    fake_fini(&fake);
}

static void says_why_the_core_refused(void **state) {
    static const char *const verbs[] = {"restart", "health", "prepare", "restart_status", "reconnect_test"};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
        struct fake fake = fake_made();
        json_auto_t *args = json_object();
        json_object_set_new(fake.control, verbs[i], json("{\"error\": \"access.restart is 'no': 100%s\"}"));
        assert_int_equal(theseus_plugin.tools[i].call(&fake.call, NULL, args), THESEUS_DONE);
        assert_true(fake_failed(&fake));
        assert_string_equal(fake_text(&fake), "access.restart is 'no': 100%s");
        fake_fini(&fake);
    }
}

static void says_that_the_core_was_silent(void **state) {
    struct fake fake = fake_made();
    json_auto_t *args = json_object();

    (void)state;
    assert_int_equal(reboot_health(&fake.call, NULL, args), THESEUS_DONE);
    assert_true(fake_failed(&fake));
    assert_string_equal(fake_text(&fake), "the server is leaving");
    fake_fini(&fake);
}

/* ---- shapes of the answers ---- */

static void takes_the_least_that_an_answer_has(void **state) {
    (void)state;
    assert_accepts(reboot_restart_output,
                   "{\"success\": true, \"graceful\": true, \"preserve_state\": true, \"timeout\": 30, \"phase\": "
                   "\"complete\", \"progress\": 100.0, \"message\": \"done\", \"restart_reason\": \"manual_request\", "
                   "\"completed_at\": \"2026-01-02T03:04:05Z\"}");
    assert_accepts(reboot_restart_output, "{\"success\": false, \"phase\": \"preparing\", \"message\": \"another\"}");
    assert_accepts(
        reboot_health_output,
        "{\"healthy\": true, \"timestamp\": \"2026-01-02T03:04:05Z\", \"server_version\": \"1\", "
        "\"checks\": {\"reboot_readiness\": {\"ready\": true, \"issues\": []}, \"database\": {\"connected\": "
        "true, \"status\": \"operational\"}, \"connections\": {\"active_connections\": 2, \"status\": "
        "\"operational\"}}}");
    assert_accepts(
        reboot_prepare_output,
        "{\"ready_for_shutdown\": true, \"blocking_issues\": [], \"timestamp\": \"2026-01-02T03:04:05Z\", "
        "\"checks\": {\"active_tasks\": {\"count\": 2, \"suspendable\": true, \"status\": \"ready\"}, "
        "\"database\": {\"transactions_pending\": 0, \"connections_open\": 1, \"status\": \"ready\"}, "
        "\"client_connections\": {\"active_connections\": 2, \"notifiable\": true, \"status\": \"ready\"}}}");
    assert_accepts(reboot_status_output,
                   "{\"current_status\": {\"phase\": \"complete\", \"progress\": 100.0, \"message\": \"done\", "
                   "\"started_at\": \"2026-01-02T03:04:05Z\", \"errors\": []}, \"timestamp\": "
                   "\"2026-01-02T03:04:06Z\"}");
    assert_accepts(reboot_reconnect_output, "{\"test_completed\": true, \"timestamp\": \"2026-01-02T03:04:06Z\", "
                                            "\"overall_status\": \"pass\", \"results\": {}}");
}

static void refuses_an_answer_that_lacks_its_core(void **state) {
    static const char *const schemas[] = {reboot_restart_output, reboot_health_output, reboot_prepare_output,
                                          reboot_status_output, reboot_reconnect_output};
    struct theseus_error err;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(schemas); i++)
        assert_true(check(schemas[i], "{}", &err) != 0);
    assert_true(check(reboot_restart_output, "{\"success\": 1, \"phase\": \"x\", \"message\": \"\"}", &err) != 0);
}

static void takes_what_was_measured(void **state) {
    (void)state;
    assert_accepts(reboot_restart_output,
                   "{\"success\": true, \"phase\": \"complete\", \"message\": \"done\", \"mechanism\": \"reexec\", "
                   "\"blackout_ms\": 1.7, \"held_ms\": 3, \"suspend_ms\": 0, \"pid\": {\"before\": 1, \"after\": 1}, "
                   "\"boot_id\": {\"before\": \"a\", \"after\": \"b\"}, \"server_version\": {\"before\": \"1\", "
                   "\"after\": \"2\"}, \"requests_held\": 1, \"calls_resumed\": 2, \"calls_interrupted\": 0, "
                   "\"bytes_carried\": 4096, \"plugins\": {\"loaded\": []}, \"errors\": []}");
    assert_accepts(reboot_restart_output, "{\"success\": true, \"phase\": \"complete\", \"message\": \"done\", "
                                          "\"mechanism\": \"reload\", \"blackout_ms\": null}");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(describes_itself_in_a_few_words),
        cmocka_unit_test(only_the_restart_changes_anything),
        cmocka_unit_test(names_the_range_of_the_time),
        cmocka_unit_test(knows_five_reasons),
        cmocka_unit_test(fills_in_what_the_caller_left_out),
        cmocka_unit_test(passes_on_what_the_caller_said),
        cmocka_unit_test(an_emergency_waits_for_nothing_unless_told_so),
        cmocka_unit_test(leaves_an_accepted_restart_unanswered),
        cmocka_unit_test(answers_what_the_core_says),
        cmocka_unit_test(says_why_the_core_refused),
        cmocka_unit_test(says_that_the_core_was_silent),
        cmocka_unit_test(takes_the_least_that_an_answer_has),
        cmocka_unit_test(refuses_an_answer_that_lacks_its_core),
        cmocka_unit_test(takes_what_was_measured),
    };

    return cmocka_run_group_tests_name("plugins/reboot", tests, NULL, NULL);
}
