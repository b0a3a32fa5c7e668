#include "test.h"

#include "plugin/host.h"

#include "plugin/made.h"

static void (*body)(struct theseus_call *call, struct theseus_ctx *ctx);

static int runs_body(struct theseus_call *call, void *self, const json_t *args) {
    (void)args;
    body(call, self);
    return THESEUS_DONE;
}

static int json_text(struct theseus_call *call, void *self, const json_t *args) {
    (void)self;
    return theseus_reply_json_text(call, json_string_value(json_object_get(args, "text")));
}

static const struct theseus_tool tools[] = {
    {.name = "t", .input_schema = "{\"type\":\"object\"}", .flags = THESEUS_INLINE, .call = runs_body},
    {.name = "json", .input_schema = "{\"type\":\"object\"}", .flags = THESEUS_INLINE, .call = json_text},
    {0},
};

static int touched;

static void on_touched(void *arg) {
    (void)arg;
    touched++;
}

static json_t *on_control(void *arg, struct run *run, const char *verb, const json_t *args) {
    (void)arg;
    (void)args;
    return json_pack("{s:s, s:s}", "verb", verb, "tool", run->name);
}

/* Runs `what` as the handler of a call with a progress token and these arguments; returns what was said. Owned. */
static char *said_by(const char *args, void (*what)(struct theseus_call *call, struct theseus_ctx *ctx)) {
    CLEANUP(made_host_free) struct made_host *made = made_host_new(1);
    CLEANUP(state_free) struct state *state = state_new(made->owner->ledger);
    made->host.state = state;
    made->host.tools_touched = on_touched;
    made->host.control = on_control;
    made->host.arg = made;
    CLEANUP(generation_made) struct generation *plugin = generation_served(made, "p", tools);
    const struct theseus_client_info client = {.name = "n", .session = "s", .uid = 5};
    json_auto_t *given = json_loads(args, 0, NULL);

    body = what;
    plugin->self = &plugin->ctx;
    CLEANUP(call_unref) struct call *call = owner_call_new(made->owner, OWNER_REQUEST, 1);
    call_read_meta(call);
    call_set_client(call, &client);
    call->log_level = THESEUS_INFO;
    loop_enter();
    run_start(&made->host, call, "t", given);
    while (loop_turn(made->host.loop, 0))
        ;
    return owner_said(made->owner);
}

static void says_anything(struct theseus_call *call, struct theseus_ctx *ctx) {
    theseus_ctx_log(ctx, THESEUS_DEBUG, "nobody wants this");
    theseus_progress(call, 1, 1, "half\xff");
    theseus_log(call, THESEUS_DEBUG, "less than was asked for");
    theseus_log(call, THESEUS_NOTICE, "%s", "a\xff");
    (void)theseus_reply_error(call, "%s", "text");
}

static void mends_text_on_its_way_to_the_client(void **state) {
    (void)state;
    CLEANUP(free) char *said = said_by("{}", says_anything);
    assert_non_null(strstr(said, "\"message\":\"half\xef\xbf\xbd\""));
    assert_non_null(strstr(said, "\"level\":\"notice\",\"logger\":\"p\",\"data\":\"a\xef\xbf\xbd\""));
    assert_null(strstr(said, "less than"));
    assert_non_null(strstr(said, "\"text\":\"text\"}],\"isError\":true"));
}

static void reads_itself(struct theseus_call *call, struct theseus_ctx *ctx) {
    (void)ctx;
    assert_string_equal(theseus_args_text(call), "{\"b\":[1,\"x\"]}");
    assert_ptr_equal(theseus_args_text(call), theseus_args_text(call));
    assert_string_equal(theseus_tool_name(call), "t");
    assert_string_equal(theseus_call_key(call), "boot-1-1-0");
    assert_null(theseus_resume_state(call));
    assert_false(theseus_cancelled(call));
    assert_false(theseus_suspending(call));
    assert_string_equal(theseus_client(call)->name, "n");
    assert_string_equal(theseus_client(call)->version, "");
    assert_int_equal(theseus_client(call)->uid, 5);
    json_auto_t *answer = theseus_control(call, "health", NULL);
    assert_string_equal(json_string_value(json_object_get(answer, "verb")), "health");
    (void)theseus_reply_text(call, "read");
}

static void tells_a_call_about_itself(void **state) {
    (void)state;
    CLEANUP(free) char *said = said_by("{\"b\":[1,\"x\"]}", reads_itself);
    assert_non_null(strstr(said, "\"text\":\"read\""));
}

static json_t *twice(const json_t *current, void *arg) {
    (void)arg;
    return json_integer(2 * json_integer_value(current));
}

static void keeps_things(struct theseus_call *call, struct theseus_ctx *ctx) {
    assert_int_equal(theseus_state_put(ctx, "k", json_integer(21)), 0);
    assert_int_equal(theseus_state_update(ctx, "k", twice, NULL), 0);
    json_auto_t *value = theseus_state_get(ctx, "k");
    assert_int_equal(json_integer_value(value), 42);
    assert_null(theseus_state_get(ctx, "other"));
    assert_int_equal(theseus_state_put(ctx, "", json_true()), -1);
    assert_non_null(strstr(theseus_last_error(call->host), "key must have 1 to"));
    assert_int_equal(theseus_checkpoint(call, json_true()), 0);
    (void)theseus_reply_text(call, "kept");
}

static void keeps_state_for_a_plugin(void **state) {
    (void)state;
    CLEANUP(free) char *said = said_by("{}", keeps_things);
    assert_non_null(strstr(said, "\"text\":\"kept\""));
}

static void grows(struct theseus_call *call, struct theseus_ctx *ctx) {
    const struct theseus_tool more = {.name = "more", .call = runs_body}, bad = {.name = "no name!", .call = runs_body};

    assert_int_equal(theseus_tool_add(ctx, &more), 0);
    assert_int_equal(theseus_tool_add(ctx, &more), -1);
    assert_string_equal(theseus_last_error(call->host), "tool 'more' is there already");
    assert_int_equal(theseus_tool_add(ctx, &bad), -1);
    assert_int_equal(theseus_tool_remove(ctx, "nobody"), -1);
    assert_int_equal(theseus_tool_remove(ctx, "more"), 0);
    (void)theseus_reply_text(call, "grown");
}

static void lets_tools_come_and_go(void **state) {
    (void)state;
    touched = 0;
    CLEANUP(free) char *said = said_by("{}", grows);
    assert_non_null(strstr(said, "\"text\":\"grown\""));
    assert_int_equal(touched, 2);
}

static void takes_json_as_text(void **state) {
    CLEANUP(made_host_free) struct made_host *made = made_host_new(1);
    CLEANUP(generation_made) struct generation *plugin = generation_served(made, "p", tools);

    (void)state;
    (void)plugin;
    made_gives(made, "json", "{\"text\":\"{\\\"a\\\":1}\"}", false, "{\"a\":1}");
    made_gives(made, "json", "{\"text\":\"[1, 2]\"}", false, "[1,2]");
    made_end(made, made_call_args(made, "json", "{\"text\":\"{\"}"));
    CLEANUP(free) char *said = owner_said(made->owner);
    assert_non_null(strstr(said, "the tool answered with text that is not JSON: "));
    assert_non_null(strstr(said, "\"isError\":true"));
    made_end(made, made_call_args(made, "json", "{}")); /* no text at all */
    CLEANUP(free) char *none = owner_said(made->owner);
    assert_non_null(strstr(none, "\"isError\":true"));
}

static void has_every_function_of_the_table(void **state) {
    const char *const *slots = (const char *const *)((const char *)&host_table + offsetof(struct theseus_host, reply));
    size_t count = (sizeof(host_table) - offsetof(struct theseus_host, reply)) / sizeof(*slots);

    (void)state;
    assert_int_equal(host_table.abi, THESEUS_ABI);
    assert_int_equal(host_table.size, sizeof(struct theseus_host));
    for (size_t i = 0; i < count; i++)
        assert_non_null(slots[i]);
}

int main(void) {
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(mends_text_on_its_way_to_the_client),
        cmocka_unit_test(tells_a_call_about_itself),
        cmocka_unit_test(keeps_state_for_a_plugin),
        cmocka_unit_test(lets_tools_come_and_go),
        cmocka_unit_test(takes_json_as_text),
        cmocka_unit_test(has_every_function_of_the_table),
    };

    return cmocka_run_group_tests_name("plugin/host", cases, NULL, NULL);
}
