#include "test.h"

#include "../../../plugins/batch/report.c"
#include "../../../plugins/batch/state.c"
#include "../../../plugins/batch/step.c"

/* Last, for its table of tools has a name that others might use. */
#include "../../../plugins/batch/batch.c"

#include "host.h"
#include "rpc/schema.h"

static json_t *json(const char *text) {
    json_t *value = json_loads(text, JSON_REJECT_DUPLICATES, NULL);

    assert_non_null(value);
    return value;
}

static void assert_json(const json_t *value, const char *text) {
    json_auto_t *expected = json(text);
    char *is = json_dumps(value, JSON_SORT_KEYS | JSON_ENCODE_ANY), *should = json_dumps(expected, JSON_SORT_KEYS);

    assert_non_null(is);
    assert_string_equal(is, should);
    free(is);
    free(should);
}

static struct schema *schema(const char *text) {
    json_auto_t *document = json(text);
    struct theseus_error err = {0};
    struct schema *made = NULL;

    assert_int_equal(schema_new(&made, document, &err), 0);
    return made;
}

/* A host in which every tool may be called, and three exist: `a` and `b` say their names, `bad` fails. */
static struct fake made(void) {
    struct fake fake = fake_made();

    fake.tool = "batch";
    json_object_set_new(fake.control, "may_call", json_object());
    json_object_set_new(fake.inner, "a", json("{\"content\": [{\"type\": \"text\", \"text\": \"A\"}]}"));
    json_object_set_new(fake.inner, "b", json("{\"content\": [{\"type\": \"text\", \"text\": \"B\"}]}"));
    json_object_set_new(fake.inner, "bad",
                        json("{\"content\": [{\"type\": \"text\", \"text\": \"no\"}], \"isError\": true}"));
    return fake;
}

/* Runs the batch with arguments that its schema takes. */
static int run(struct fake *fake, const char *text) {
    CLEANUP(schema_free) struct schema *input = schema(theseus_plugin.tools[0].input_schema);
    json_auto_t *args = json(text);
    struct theseus_error err = {0};

    int r = schema_check(input, args, &err);
    assert_string_equal(err.message, "");
    assert_int_equal(r, 0);
    return theseus_plugin.tools[0].call(&fake->call, NULL, args);
}

static const json_t *value_of(const struct fake *fake) {
    return json_object_get(fake->result, "structuredContent");
}

/* It was answered with what the output schema promises. */
static void assert_answered(const struct fake *fake, bool is_error, const char *text) {
    CLEANUP(schema_free) struct schema *output = schema(theseus_plugin.tools[0].output_schema);
    struct theseus_error err = {0};

    assert_int_equal(fake->answers, 1);
    assert_json(value_of(fake), text);
    int r = schema_check(output, value_of(fake), &err);
    assert_string_equal(err.message, "");
    assert_int_equal(r, 0);
    assert_int_equal(fake_failed(fake), is_error);
}

/* Only the inner calls of what the host was asked. */
static void assert_called(const struct fake *fake, const char *text) {
    json_auto_t *calls = json_array();
    json_t *asked;
    size_t i;

    json_array_foreach (fake->asked, i, asked)
        if (strcmp(json_string_value(json_array_get(asked, 0)), "call") == 0)
            json_array_append(calls, json_array_get(asked, 1));
    assert_json(calls, text);
}

#define A "{\"index\": 0, \"tool\": \"a\", \"status\": \"ok\", \"content\": [{\"type\": \"text\", \"text\": \"A\"}]}"
#define B "{\"index\": 1, \"tool\": \"b\", \"status\": \"ok\", \"content\": [{\"type\": \"text\", \"text\": \"B\"}]}"
#define A_THEN_B "{\"calls\": [{\"tool\": \"a\"}, {\"tool\": \"b\"}]}"
#define AGAIN "{\"calls\": [{\"tool\": \"a\"}, {\"tool\": \"b\"}, {\"tool\": \"a\"}]%s}"

/* ---- in one go ---- */

static void describes_itself_in_a_few_words(void **state) {
    const struct theseus_tool *tool = theseus_plugin.tools;

    (void)state;
    assert_in_range(strlen(tool->description), 40, 399);
    assert_memory_equal(tool->description, "Use this ", 9);
    assert_in_range(strlen(tool->input_schema) + strlen(tool->output_schema), 1, 3 << 10);
    assert_int_equal(tool->flags, THESEUS_RESUMABLE | THESEUS_DESTRUCTIVE);
}

static void runs_the_calls_in_order(void **state) {
    struct fake fake = made();

    (void)state;
    assert_int_equal(run(&fake, "{\"calls\": [{\"tool\": \"a\", \"arguments\": {\"k\": 1}}, {\"tool\": \"b\"}]}"),
                     THESEUS_DONE);
    assert_answered(&fake, false, "{\"results\": [" A ", " B "], \"completed\": 2, \"total\": 2, \"resumed\": 0}");
    assert_json(fake.asked, "[[\"may_call\", {\"name\": \"a\"}], [\"call\", \"a\", {\"k\": 1}], "
                            "[\"may_call\", {\"name\": \"b\"}], [\"call\", \"b\", null]]");
    assert_string_equal(fake_text(&fake), "calls[0] a: ok\nA\ncalls[1] b: ok\nB\n");
    assert_json(fake.messages, "[\"a\", \"b\"]");
    assert_true(fake.done == 2);
    fake_fini(&fake);
}

static void says_where_it_is_before_each_call(void **state) {
    struct fake fake = made();

    (void)state;
    assert_int_equal(run(&fake, A_THEN_B), THESEUS_DONE);
    assert_json(fake.checkpoints, "[{\"next\": 0, \"entered\": false, \"results\": [], \"resumed\": 0}, "
                                  "{\"next\": 0, \"entered\": true, \"results\": [], \"resumed\": 0}, "
                                  "{\"next\": 1, \"entered\": true, \"results\": [" A "], \"resumed\": 0}]");
    fake_fini(&fake);
}

static void stops_at_the_first_error(void **state) {
    struct fake fake = made();

    (void)state;
    assert_int_equal(run(&fake, "{\"calls\": [{\"tool\": \"a\"}, {\"tool\": \"bad\"}, {\"tool\": \"b\"}]}"),
                     THESEUS_DONE);
    assert_answered(&fake, true,
                    "{\"results\": [" A ", {\"index\": 1, \"tool\": \"bad\", \"status\": \"error\", \"content\": "
                    "[{\"type\": \"text\", \"text\": \"no\"}]}, {\"index\": 2, \"tool\": \"b\", \"status\": "
                    "\"not_run\"}], \"completed\": 1, \"total\": 3, \"stopped_at\": 1, \"resumed\": 0}");
    assert_called(&fake, "[\"a\", \"bad\"]");
    assert_string_equal(fake_text(&fake), "calls[0] a: ok\nA\ncalls[1] bad: error\nno\ncalls[2] b: not_run\n");
    fake_fini(&fake);
}

static void goes_on_behind_an_error_where_it_is_told_to(void **state) {
    struct fake fake = made();

    (void)state;
    assert_int_equal(run(&fake, "{\"calls\": [{\"tool\": \"nobody\"}, {\"tool\": \"b\"}], \"on_error\": "
                                "\"continue\"}"),
                     THESEUS_DONE);
    assert_answered(&fake, false,
                    "{\"results\": [{\"index\": 0, \"tool\": \"nobody\", \"status\": \"error\", \"text\": \"there is "
                    "no such tool\"}, " B "], \"completed\": 1, \"total\": 2, \"resumed\": 0}");
    fake_fini(&fake);
}

static void calls_nothing_without_leave(void **state) {
    struct fake fake = made();

    (void)state;
    json_object_set_new(fake.control, "may_call", json("{\"error\": \"'a' is not read-only\"}"));
    assert_int_equal(run(&fake, "{\"calls\": [{\"tool\": \"a\"}]}"), THESEUS_DONE);
    assert_answered(&fake, true,
                    "{\"results\": [{\"index\": 0, \"tool\": \"a\", \"status\": \"error\", \"text\": \"'a' is not "
                    "read-only\"}], \"completed\": 0, \"total\": 1, \"stopped_at\": 0, \"resumed\": 0}");
    assert_int_equal(fake.inner_calls, 0);
    fake_fini(&fake);
}

static void takes_silence_for_a_no(void **state) {
    struct fake fake = made();

    (void)state;
    json_object_del(fake.control, "may_call");
    assert_int_equal(run(&fake, "{\"calls\": [{\"tool\": \"a\"}]}"), THESEUS_DONE);
    assert_true(fake_failed(&fake));
    assert_string_equal(fake_text(&fake), "calls[0] a: error\nthe server is leaving\n");
    assert_int_equal(fake.inner_calls, 0);
    fake_fini(&fake);
}

static void refuses_to_call_itself_before_anything_is_run(void **state) {
    struct fake fake = made();

    (void)state;
    assert_int_equal(run(&fake, "{\"calls\": [{\"tool\": \"a\"}, {\"tool\": \"batch\"}]}"), THESEUS_DONE);
    assert_true(fake_failed(&fake));
    assert_string_equal(fake_text(&fake), "calls[1]: 'batch' does not call itself; put those calls into this list");
    assert_int_equal(fake.inner_calls, 0);
    fake_fini(&fake);
}

static void takes_1_to_100_calls_with_names_that_tools_can_have(void **state) {
    CLEANUP(schema_free) struct schema *input = schema(theseus_plugin.tools[0].input_schema);
    struct theseus_error err = {0};
    json_auto_t *args = json("{\"calls\": []}"), *one = json("{\"tool\": \"a\"}");

    (void)state;
    assert_true(schema_check(input, args, &err) != 0);
    for (int i = 0; i < 100; i++)
        json_array_append(json_object_get(args, "calls"), one);
    assert_int_equal(schema_check(input, args, &err), 0);
    json_array_append(json_object_get(args, "calls"), one);
    assert_true(schema_check(input, args, &err) != 0);
    json_object_set_new(one, "tool", json_stringn("a\0b", 3));
    json_array_clear(json_object_get(args, "calls"));
    json_array_append(json_object_get(args, "calls"), one);
    assert_true(schema_check(input, args, &err) != 0);
}

static bool is_called_once(struct fake *fake) {
    return fake->inner_calls >= 1;
}

static void stops_without_an_answer_when_it_is_cancelled(void **state) {
    struct fake fake = made();

    (void)state;
    fake.is_cancelled = is_called_once;
    assert_int_equal(run(&fake, A_THEN_B), THESEUS_DONE);
    assert_int_equal(fake.answers, 0);
    assert_called(&fake, "[\"a\"]");
    fake_fini(&fake);
}

/* ---- sizes ---- */

/* Gives `a` an answer of one text. */
static void answers(struct fake *fake, char *text) {
    json_object_set_new(fake->inner, "a", json_pack("{s:[{s:s, s:s}]}", "content", "type", "text", "text", text));
    free(text);
}

static char *repeated(const char *what, size_t times) {
    char *text = xcalloc(times + 1, strlen(what));

    for (size_t i = 0; i < times; i++)
        memcpy(text + i * strlen(what), what, strlen(what));
    return text;
}

static const char *kept_text(const struct fake *fake) {
    const json_t *result = json_array_get(json_object_get(value_of(fake), "results"), 0);

    assert_null(json_object_get(result, "content"));
    return json_string_value(json_object_get(result, "text"));
}

static void cuts_an_answer_that_is_longer_than_its_share(void **state) {
    static const char note[] = "\n[cut: the whole answer has 1048604 bytes; call the tool by itself to see all of it]";
    struct fake fake = made();

    (void)state;
    answers(&fake, repeated("x", (1 << 20) - 27)); /* {"type":"text","text":""} in [] has 27 bytes */
    assert_int_equal(run(&fake, "{\"calls\": [{\"tool\": \"a\"}]}"), THESEUS_DONE);
    assert_non_null(json_object_get(json_array_get(json_object_get(value_of(&fake), "results"), 0), "content"));
    fake_fini(&fake);

    fake = made();
    answers(&fake, repeated("x", (1 << 20) + 1));
    assert_int_equal(run(&fake, "{\"calls\": [{\"tool\": \"a\"}]}"), THESEUS_DONE);
    assert_int_equal(strlen(kept_text(&fake)), (1 << 20) + sizeof(note) - 1);
    assert_string_equal(kept_text(&fake) + (1 << 20), note);
    fake_fini(&fake);
}

static void cuts_between_characters(void **state) {
    struct fake fake = made();

    (void)state;
    answers(&fake, repeated("\xe2\x82\xac", 1 << 19)); /* 3 does not divide the share */
    assert_int_equal(run(&fake, "{\"calls\": [{\"tool\": \"a\"}]}"), THESEUS_DONE);
    const char *text = kept_text(&fake);
    assert_int_equal((strchr(text, '\n') - text) % 3, 0);
    assert_in_range(strchr(text, '\n') - text, (1 << 20) - 3, 1 << 20);
    fake_fini(&fake);
}

static void counts_what_a_text_takes_as_json(void **state) {
    struct fake fake = made();

    (void)state;
    answers(&fake, repeated("\x01", 1 << 20));
    assert_int_equal(run(&fake, "{\"calls\": [{\"tool\": \"a\"}, {\"tool\": \"a\"}]}"), THESEUS_DONE);
    assert_true(json_dumpb(value_of(&fake), NULL, 0, JSON_COMPACT) < (1 << 20) + 1000);
    fake_fini(&fake);
}

static void keeps_of_other_content_that_it_was_there(void **state) {
    struct fake fake = made();

    (void)state;
    json_object_set_new(
        fake.inner, "a",
        json("{\"content\": [{\"type\": \"image\", \"data\": \"AA==\", \"mimeType\": \"image/png\"}]}"));
    assert_int_equal(run(&fake, "{\"calls\": [{\"tool\": \"a\"}]}"), THESEUS_DONE);
    assert_string_equal(fake_text(&fake), "calls[0] a: ok\n[image]\n");
    fake_fini(&fake);
}

/* ---- across a restart ---- */

static void stops_between_two_calls_when_it_is_asked_to(void **state) {
    struct fake fake = made();

    (void)state;
    fake.suspend_after = 1;
    assert_int_equal(run(&fake, A_THEN_B), THESEUS_SUSPENDED);
    assert_int_equal(fake.answers, 0);
    assert_json(json_array_get(fake.checkpoints, json_array_size(fake.checkpoints) - 1),
                "{\"next\": 1, \"entered\": false, \"results\": [" A "], \"resumed\": 0}");
    fake_fini(&fake);
}

static void goes_on_at_the_next_call(void **state) {
    struct fake fake = made();

    (void)state;
    fake.resume = json("{\"next\": 1, \"entered\": false, \"results\": [" A "], \"resumed\": 1}");
    assert_int_equal(run(&fake, A_THEN_B), THESEUS_DONE);
    assert_answered(&fake, false, "{\"results\": [" A ", " B "], \"completed\": 2, \"total\": 2, \"resumed\": 2}");
    assert_called(&fake, "[\"b\"]");
    assert_json(json_array_get(fake.checkpoints, 0),
                "{\"next\": 1, \"entered\": false, \"results\": [" A "], \"resumed\": 2}");
    fake_fini(&fake);
}

static void runs_a_call_again_that_may_be_repeated(void **state) {
    static const char *const facts[] = {"{\"read_only\": true, \"idempotent\": false, \"resumable\": false}",
                                        "{\"read_only\": false, \"idempotent\": true, \"resumable\": false}"};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(facts); i++) {
        struct fake fake = made();
        fake.resume = json("{\"next\": 1, \"entered\": true, \"results\": [" A "], \"resumed\": 0}");
        json_object_set_new(fake.control, "tool", json(facts[i]));
        assert_int_equal(run(&fake, A_THEN_B), THESEUS_DONE);
        assert_answered(&fake, false, "{\"results\": [" A ", " B "], \"completed\": 2, \"total\": 2, \"resumed\": 1}");
        assert_json(json_array_get(fake.asked, 0), "[\"tool\", {\"name\": \"b\"}]");
        fake_fini(&fake);
    }
}

#define UNCERTAIN_B                                                                                                    \
    "{\"index\": 1, \"tool\": \"b\", \"status\": \"uncertain\", \"text\": \"the server was restarted while this call " \
    "ran: it may have executed, and is not run again\"}"
#define NOT_RUN "{\"index\": 2, \"tool\": \"a\", \"status\": \"not_run\"}"

static void stops_at_a_call_of_which_nobody_knows(void **state) {
    static const char *const facts[] = {"{\"read_only\": false, \"idempotent\": false, \"resumable\": true}",
                                        "{\"error\": \"there is no tool 'b'\"}"};
    char args[256];

    (void)state;
    (void)snprintf(args, sizeof(args), AGAIN, "");
    for (size_t i = 0; i < ARRAY_SIZE(facts); i++) {
        struct fake fake = made();
        fake.resume = json("{\"next\": 1, \"entered\": true, \"results\": [" A "], \"resumed\": 0}");
        json_object_set_new(fake.control, "tool", json(facts[i]));
        assert_int_equal(run(&fake, args), THESEUS_DONE);
        assert_answered(&fake, true,
                        "{\"results\": [" A ", " UNCERTAIN_B ", " NOT_RUN
                        "], \"completed\": 1, \"total\": 3, \"stopped_at\": 1, \"resumed\": 1}");
        assert_int_equal(fake.inner_calls, 0);
        fake_fini(&fake);
    }
}

static void goes_on_behind_it_where_it_is_told_to(void **state) {
    struct fake fake = made();
    char args[256];

    (void)state;
    (void)snprintf(args, sizeof(args), AGAIN, ", \"on_uncertain\": \"continue\"");
    fake.resume = json("{\"next\": 1, \"entered\": true, \"results\": [" A "], \"resumed\": 0}");
    assert_int_equal(run(&fake, args), THESEUS_DONE);
    assert_false(fake_failed(&fake));
    assert_called(&fake, "[\"a\"]");
    assert_int_equal(json_integer_value(json_object_get(value_of(&fake), "completed")), 2);
    fake_fini(&fake);
}

static void stays_stopped_when_it_is_restarted_before_it_said_so(void **state) {
    struct fake fake = made();
    char args[256];

    (void)state;
    (void)snprintf(args, sizeof(args), AGAIN, "");
    fake.resume = json("{\"next\": 2, \"entered\": false, \"results\": [" A ", " UNCERTAIN_B "], \"resumed\": 1}");
    assert_int_equal(run(&fake, args), THESEUS_DONE);
    assert_answered(&fake, true,
                    "{\"results\": [" A ", " UNCERTAIN_B ", " NOT_RUN
                    "], \"completed\": 1, \"total\": 3, \"stopped_at\": 1, \"resumed\": 2}");
    assert_int_equal(fake.inner_calls, 0);
    fake_fini(&fake);
}

static void runs_nothing_that_it_cannot_record(void **state) {
    struct fake fake = made();

    (void)state;
    fake.refuse_checkpoint = 1;
    assert_int_equal(run(&fake, A_THEN_B), THESEUS_DONE);
    assert_true(fake_failed(&fake));
    assert_string_equal(fake_text(&fake), "cannot record how far it gets: there is no room for a checkpoint");
    assert_int_equal(fake.inner_calls, 0);
    fake_fini(&fake);

    fake = made();
    fake.refuse_checkpoint = 3;
    assert_int_equal(run(&fake, A_THEN_B), THESEUS_DONE);
    assert_answered(&fake, true,
                    "{\"results\": [" A ", {\"index\": 1, \"tool\": \"b\", \"status\": \"not_run\", \"text\": \"there "
                    "is no room for a checkpoint\"}], \"completed\": 1, \"total\": 2, \"stopped_at\": 1, \"resumed\": "
                    "0}");
    assert_called(&fake, "[\"a\"]");
    fake_fini(&fake);
}

static void does_not_guess_what_a_damaged_checkpoint_meant(void **state) {
    static const char *const states[] = {
        "{}",
        "[]",
        "{\"next\": 1, \"entered\": false, \"results\": [], \"resumed\": 0}",
        "{\"next\": -1, \"entered\": false, \"results\": [], \"resumed\": 0}",
        "{\"next\": 2, \"entered\": true, \"results\": [" A ", " B "], \"resumed\": 0}",
        "{\"next\": 3, \"entered\": false, \"results\": [" A ", " B ", " B "], \"resumed\": 0}",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
        struct fake fake = made();
        fake.resume = json(states[i]);
        assert_int_equal(run(&fake, A_THEN_B), THESEUS_DONE);
        assert_true(fake_failed(&fake));
        assert_non_null(strstr(fake_text(&fake), "cannot be read"));
        assert_int_equal(fake.inner_calls, 0);
        fake_fini(&fake);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(describes_itself_in_a_few_words),
        cmocka_unit_test(runs_the_calls_in_order),
        cmocka_unit_test(says_where_it_is_before_each_call),
        cmocka_unit_test(stops_at_the_first_error),
        cmocka_unit_test(goes_on_behind_an_error_where_it_is_told_to),
        cmocka_unit_test(calls_nothing_without_leave),
        cmocka_unit_test(takes_silence_for_a_no),
        cmocka_unit_test(refuses_to_call_itself_before_anything_is_run),
        cmocka_unit_test(takes_1_to_100_calls_with_names_that_tools_can_have),
        cmocka_unit_test(stops_without_an_answer_when_it_is_cancelled),
        cmocka_unit_test(cuts_an_answer_that_is_longer_than_its_share),
        cmocka_unit_test(cuts_between_characters),
        cmocka_unit_test(counts_what_a_text_takes_as_json),
        cmocka_unit_test(keeps_of_other_content_that_it_was_there),
        cmocka_unit_test(stops_between_two_calls_when_it_is_asked_to),
        cmocka_unit_test(goes_on_at_the_next_call),
        cmocka_unit_test(runs_a_call_again_that_may_be_repeated),
        cmocka_unit_test(stops_at_a_call_of_which_nobody_knows),
        cmocka_unit_test(goes_on_behind_it_where_it_is_told_to),
        cmocka_unit_test(stays_stopped_when_it_is_restarted_before_it_said_so),
        cmocka_unit_test(runs_nothing_that_it_cannot_record),
        cmocka_unit_test(does_not_guess_what_a_damaged_checkpoint_meant),
    };

    return cmocka_run_group_tests_name("plugins/batch", tests, NULL, NULL);
}
