#include "test.h"

#include <sched.h>

#include "plugin/made.h"

/* ---- tools ---- */

static const char *text_in(const json_t *result) {
    const char *text =
        json_string_value(json_object_get(json_array_get(json_object_get(result, "content"), 0), "text"));

    return text ? text : "(none)";
}

/* Calls the tool that the arguments name with the arguments that they hold, and says what came of it. */
static int calls(struct theseus_call *call, void *self, const json_t *args) {
    const char *name = json_string_value(json_object_get(args, "tool"));
    json_auto_t *result = NULL;

    (void)self;
    if (theseus_call_tool(call, name, json_incref(json_object_get(args, "args")), &result) < 0)
        return theseus_reply_error(call, "not called: %s", theseus_last_error(call->host));
    return theseus_reply_text(call, "%s%s", json_is_true(json_object_get(result, "isError")) ? "error: " : "",
                              text_in(result));
}

/* Calls itself so many times more. */
static int deep(struct theseus_call *call, void *self, const json_t *args) {
    json_int_t more = json_integer_value(json_object_get(args, "more"));
    json_auto_t *result = NULL;

    (void)self;
    if (more == 0)
        return theseus_reply_text(call, "deep enough");
    if (theseus_call_tool(call, theseus_tool_name(call), json_pack("{s:I}", "more", more - 1), &result) < 0)
        return theseus_reply_error(call, "%s", theseus_last_error(call->host));
    return theseus_reply(call, TAKE_PTR(result));
}

static int says_key(struct theseus_call *call, void *self, const json_t *args) {
    (void)self;
    (void)args;
    return theseus_reply_text(call, "%s", theseus_call_key(call));
}

static int checkpoints(struct theseus_call *call, void *self, const json_t *args) {
    (void)self;
    (void)args;
    if (theseus_checkpoint(call, json_true()) == 0)
        return theseus_reply_text(call, "made");
    return theseus_reply_error(call, "%s", theseus_last_error(call->host));
}

static void *answer_later(void *call) {
    (void)theseus_reply_text(call, "later");
    return NULL;
}

static int later(struct theseus_call *call, void *self, const json_t *args) {
    pthread_t thread;

    (void)self;
    (void)args;
    if (pthread_create(&thread, NULL, answer_later, call) != 0)
        return theseus_reply_error(call, "no thread");
    (void)pthread_detach(thread);
    return THESEUS_LATER;
}

static atomic_bool let_go;
static atomic_int waiting;

static int waits(struct theseus_call *call, void *self, const json_t *args) {
    (void)self;
    (void)args;
    (void)atomic_fetch_add(&waiting, 1);
    while (!atomic_load(&let_go) && !theseus_cancelled(call))
        (void)sched_yield();
    return theseus_reply_text(call, "waited");
}

static struct theseus_call *_Atomic forgotten;

static int forgets(struct theseus_call *call, void *self, const json_t *args) {
    (void)self;
    (void)args;
    atomic_store(&forgotten, call);
    return THESEUS_LATER;
}

#define ANY "{\"type\":\"object\"}"
#define NONE "{\"type\":\"object\",\"additionalProperties\":false}"

static const struct theseus_tool tools[] = {
    {.name = "calls", .input_schema = ANY, .call = calls},
    {.name = "calls_alone", .input_schema = ANY, .flags = THESEUS_SERIAL, .call = calls},
    {.name = "calls_inline", .input_schema = ANY, .flags = THESEUS_INLINE, .call = calls},
    {.name = "deep", .input_schema = ANY, .call = deep},
    {.name = "key", .input_schema = NONE, .call = says_key},
    {.name = "key_inline", .flags = THESEUS_INLINE, .call = says_key},
    {.name = "checkpoints", .call = checkpoints},
    {.name = "later", .call = later},
    {.name = "waits", .call = waits},
    {.name = "waits_alone", .flags = THESEUS_SERIAL, .call = waits},
    {.name = "forgets", .call = forgets},
    {0},
};

/* ---- tests ---- */

static void is_settled(struct made_host *made, struct generation *generation) {
    until(made->host.loop, registry_pins(made->host.registry, generation) == 0);
    assert_int_equal(ledger_count(made->owner->ledger), 0);
}

static void calls_as_if_a_client_had_asked(void **state) {
    CLEANUP(made_host_free) struct made_host *made = made_host_new(1);
    CLEANUP(generation_made) struct generation *plugin = generation_served(made, "p", tools);

    (void)state;
    log_set_level(LOG_ERROR + 1);
    made_gives(made, "calls", "{\"tool\":\"later\"}", false, "later");
    made_gives(made, "calls", "{\"tool\":\"nobody\"}", true, "not called: unknown tool 'nobody'");
    made_gives(made, "calls", "{\"tool\":\"key\",\"args\":[]}", true, "not called: the arguments must be an object");
    made_end(made, made_call_args(made, "calls", "{\"tool\":\"key\",\"args\":{\"x\":1}}"));
    CLEANUP(free) char *said = owner_said(made->owner);
    assert_non_null(strstr(said, "error: invalid arguments for tool 'key': "));
    is_settled(made, plugin);
}

static void goes_eight_deep_and_not_nine(void **state) {
    CLEANUP(made_host_free) struct made_host *made = made_host_new(1);
    CLEANUP(generation_made) struct generation *plugin = generation_served(made, "p", tools);

    (void)state;
    made_gives(made, "deep", "{\"more\":8}", false, "deep enough");
    made_gives(made, "deep", "{\"more\":9}", true, "calls inside calls go 8 deep at most");
    is_settled(made, plugin);
}

static void gives_each_inner_call_a_key_of_its_own(void **state) {
    CLEANUP(made_host_free) struct made_host *made = made_host_new(1);
    CLEANUP(generation_made) struct generation *plugin = generation_served(made, "p", tools);

    (void)state;
    made_end(made, made_call_args(made, "calls", "{\"tool\":\"calls\",\"args\":{\"tool\":\"key\"}}"));
    CLEANUP(free) char *said = owner_said(made->owner);
    assert_non_null(strstr(said, "-0-inner-2\""));
    is_settled(made, plugin);
}

static void has_no_checkpoint(void **state) {
    CLEANUP(made_host_free) struct made_host *made = made_host_new(1);
    CLEANUP(generation_made) struct generation *plugin = generation_served(made, "p", tools);

    (void)state;
    made_gives(made, "checkpoints", NULL, false, "made");
    made_gives(made, "calls", "{\"tool\":\"checkpoints\"}", false,
               "error: a call inside a call has no checkpoint: the outer one's counts");
    is_settled(made, plugin);
}

static void refuses_a_serial_tool_that_waits_for_it(void **state) {
    CLEANUP(made_host_free) struct made_host *made = made_host_new(1);
    CLEANUP(generation_made) struct generation *plugin = generation_served(made, "p", tools);

    (void)state;
    made_gives(made, "calls_alone", "{\"tool\":\"calls_alone\"}", true,
               "not called: tool 'calls_alone' never runs beside itself, and waits for this call");
    made_gives(made, "calls_alone", "{\"tool\":\"calls\",\"args\":{\"tool\":\"calls_alone\"}}", false,
               "error: not called: tool 'calls_alone' never runs beside itself, and waits for this call");
    made_gives(made, "calls_alone", "{\"tool\":\"later\"}", false, "later"); /* it is free again */
    is_settled(made, plugin);
}

static void waits_for_its_turn_with_a_serial_tool(void **state) {
    CLEANUP(made_host_free) struct made_host *made = made_host_new(2);
    CLEANUP(generation_made) struct generation *plugin = generation_served(made, "p", tools);

    (void)state;
    atomic_store(&let_go, false);
    atomic_store(&waiting, 0);
    struct call *first = made_call(made, "waits_alone");
    until(made->host.loop, atomic_load(&waiting) == 1);
    struct call *second = made_call_args(made, "calls", "{\"tool\":\"waits_alone\"}");
    struct call *third = made_call_args(made, "calls", "{\"tool\":\"waits_alone\"}");
    call_cancel(third); /* gives up waiting */
    until(made->host.loop, workers_busy(made->host.workers) == 2);
    assert_int_equal(atomic_load(&waiting), 1);
    atomic_store(&let_go, true);
    made_end(made, first);
    made_end(made, second);
    made_end(made, third);
    is_settled(made, plugin);
    assert_int_equal(made->owner->answers, 2);
}

static void never_waits_on_the_loop_thread(void **state) {
    CLEANUP(made_host_free) struct made_host *made = made_host_new(1);
    CLEANUP(generation_made) struct generation *plugin = generation_served(made, "p", tools);

    (void)state;
    made_gives(made, "calls_inline", "{\"tool\":\"later\"}", true,
               "not called: tool 'later' may block, and is called from one that runs on the loop thread");
    made_end(made, made_call_args(made, "calls_inline", "{\"tool\":\"key_inline\"}"));
    CLEANUP(free) char *said = owner_said(made->owner);
    assert_non_null(strstr(said, "-inner-1\""));
    is_settled(made, plugin);
}

static void ends_when_the_client_cancels(void **state) {
    CLEANUP(made_host_free) struct made_host *made = made_host_new(1);
    CLEANUP(generation_made) struct generation *plugin = generation_served(made, "p", tools);

    (void)state;
    atomic_store(&let_go, false);
    atomic_store(&waiting, 0);
    struct call *call = made_call_args(made, "calls", "{\"tool\":\"waits\"}");
    until(made->host.loop, atomic_load(&waiting) == 1);
    call_cancel(call);
    made_end(made, call);
    is_settled(made, plugin);
    assert_int_equal(made->owner->said.len, 0);
}

/* It asks for that once a second. */
static void gives_up_one_that_never_answers_when_the_client_cancels(void **state) {
    CLEANUP(made_host_free) struct made_host *made = made_host_new(1);
    CLEANUP(generation_made) struct generation *plugin = generation_served(made, "p", tools);

    (void)state;
    struct call *call = made_call_args(made, "calls", "{\"tool\":\"forgets\"}");
    until(made->host.loop, atomic_load(&forgotten));
    call_cancel(call);
    made_end(made, call);
    until(made->host.loop, workers_busy(made->host.workers) == 0);
    assert_int_equal(registry_pins(made->host.registry, plugin), 2); /* it may still answer, and keeps who called it */
    (void)theseus_reply_text(atomic_load(&forgotten), "at last");
    is_settled(made, plugin);
    assert_int_equal(made->owner->said.len, 0);
}

static void waits_while_another_plugin_is_being_replaced(void **state) {
    CLEANUP(made_host_free) struct made_host *made = made_host_new(1);
    CLEANUP(generation_made) struct generation *plugin = generation_served(made, "p", tools);
    const struct theseus_tool other[] = {{.name = "other", .call = says_key}, {0}};
    CLEANUP(generation_made) struct generation *old = generation_served(made, "q", other);
    CLEANUP(generation_made) struct generation *new = generation_made(made, "q", other);

    (void)state;
    (void)registry_set_waiting(made->host.registry, old, true, true);
    struct call *call = made_call_args(made, "calls", "{\"tool\":\"other\"}");
    until(made->host.loop, workers_busy(made->host.workers) == 1);
    assert_int_equal(registry_swap(made->host.registry, old, new, NULL), 0);
    (void)registry_set_waiting(made->host.registry, old, false, false);
    made_end(made, call);
    is_settled(made, plugin);
    until(made->host.loop, registry_pins(made->host.registry, new) == 0);
    assert_int_equal(atomic_load(&new->plugin->stats.served), 1);
}

int main(void) {
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(calls_as_if_a_client_had_asked),
        cmocka_unit_test(goes_eight_deep_and_not_nine),
        cmocka_unit_test(gives_each_inner_call_a_key_of_its_own),
        cmocka_unit_test(has_no_checkpoint),
        cmocka_unit_test(refuses_a_serial_tool_that_waits_for_it),
        cmocka_unit_test(waits_for_its_turn_with_a_serial_tool),
        cmocka_unit_test(never_waits_on_the_loop_thread),
        cmocka_unit_test(ends_when_the_client_cancels),
        cmocka_unit_test(gives_up_one_that_never_answers_when_the_client_cancels),
        cmocka_unit_test(waits_while_another_plugin_is_being_replaced),
    };

    return cmocka_run_group_tests_name("plugin/inner", cases, NULL, NULL);
}
