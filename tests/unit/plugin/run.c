#include "test.h"

#include "plugin/run.h"

#include <sched.h>

#include "plugin/made.h"

/* ---- tools ---- */

static atomic_int entered;

static int echo(struct theseus_call *call, void *self, const json_t *args) {
    const char *text = json_string_value(json_object_get(args, "text"));

    (void)self;
    (void)atomic_fetch_add(&entered, 1);
    return theseus_reply_text(call, "%s", text ? text : theseus_tool_name(call));
}

static int twice(struct theseus_call *call, void *self, const json_t *args) {
    (void)self;
    (void)args;
    (void)theseus_reply_text(call, "first");
    return theseus_reply_error(call, "second");
}

static int never(struct theseus_call *call, void *self, const json_t *args) {
    (void)call;
    (void)self;
    (void)args;
    return THESEUS_DONE;
}

static int odd(struct theseus_call *call, void *self, const json_t *args) {
    (void)call;
    (void)self;
    (void)args;
    return 77;
}

static int raw(struct theseus_call *call, void *self, const json_t *args) {
    (void)self;
    return theseus_reply(call, json_incref(json_object_get(args, "result")));
}

static int structured(struct theseus_call *call, void *self, const json_t *args) {
    (void)self;
    return theseus_reply_json(call, json_incref(json_object_get(args, "value")));
}

static int bytes(struct theseus_call *call, void *self, const json_t *args) {
    (void)self;
    (void)args;
    return theseus_reply_text(call, "a\xff\xe2\x82z");
}

static int large(struct theseus_call *call, void *self, const json_t *args) {
    CLEANUP(free) char *text = xasprintf("%0*d", (int)json_integer_value(json_object_get(args, "len")), 0);

    (void)self;
    return theseus_reply_json(call, json_pack("{s:s}", "text", text));
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

static int wait(struct theseus_call *call, void *self, const json_t *args) {
    (void)self;
    (void)args;
    (void)atomic_fetch_add(&entered, 1);
    while (!atomic_load(&let_go) && !theseus_cancelled(call))
        (void)sched_yield();
    return theseus_cancelled(call) ? THESEUS_DONE : theseus_reply_text(call, "waited");
}

static atomic_int beside, most;

static int alone(struct theseus_call *call, void *self, const json_t *args) {
    static char order[64];
    static size_t len;
    const char *name = json_string_value(json_object_get(args, "name"));

    (void)self;
    int now = atomic_fetch_add(&beside, 1) + 1;
    if (now > atomic_load(&most))
        atomic_store(&most, now);
    while (!atomic_load(&let_go))
        (void)sched_yield();
    if (name && len < sizeof(order) - 1)
        order[len++] = *name;
    (void)atomic_fetch_sub(&beside, 1);
    return theseus_reply_text(call, "%s", order);
}

#define TEXT "{\"type\":\"object\",\"properties\":{\"text\":{\"type\":\"string\"}},\"additionalProperties\":false}"
#define ANY "{\"type\":\"object\"}"
#define COUNT "{\"type\":\"object\",\"properties\":{\"count\":{\"type\":\"integer\"}},\"required\":[\"count\"]}"

static const struct theseus_tool tools[] = {
    {.name = "inline", .input_schema = TEXT, .flags = THESEUS_INLINE, .call = echo},
    {.name = "worker", .input_schema = TEXT, .call = echo},
    {.name = "again", .input_schema = TEXT, .flags = THESEUS_IDEMPOTENT, .call = echo},
    {.name = "resumes", .input_schema = TEXT, .flags = THESEUS_RESUMABLE, .call = echo},
    {.name = "twice", .call = twice},
    {.name = "never", .call = never},
    {.name = "odd", .call = odd},
    {.name = "raw", .input_schema = ANY, .call = raw},
    {.name = "counts", .input_schema = ANY, .output_schema = COUNT, .call = structured},
    {.name = "raw_counts", .input_schema = ANY, .output_schema = COUNT, .call = raw},
    {.name = "structured", .input_schema = ANY, .call = structured},
    {.name = "bytes", .call = bytes},
    {.name = "large", .input_schema = ANY, .call = large},
    {.name = "later", .call = later},
    {.name = "wait", .call = wait},
    {.name = "wait_shortly", .call = wait, .timeout = 1},
    {.name = "alone", .input_schema = ANY, .flags = THESEUS_SERIAL, .call = alone},
    {.name = "alone_inline", .input_schema = ANY, .flags = THESEUS_SERIAL | THESEUS_INLINE, .call = alone},
    {0},
};

/* ---- tests ---- */

/* When all is over: no pins (generation_made_cleanup asserts it), and no records. */
static void is_settled(struct made_host *made, struct generation *generation) {
    until(made->host.loop, registry_pins(made->host.registry, generation) == 0);
    assert_int_equal(ledger_count(made->owner->ledger), 0);
}

static void runs_inline_and_on_workers(void **state) {
    CLEANUP(made_host_free) struct made_host *made = made_host_new(2);
    CLEANUP(generation_made) struct generation *plugin = generation_served(made, "p", tools);

    (void)state;
    CLEANUP(call_unref) struct call *call = made_call_args(made, "inline", "{\"text\":\"x\"}");
    assert_true(call_is_over(call)); /* at once */
    free(owner_said(made->owner));
    made_gives(made, "inline", NULL, false, "inline");
    made_gives(made, "worker", "{\"text\":\"hello\"}", false, "hello");
    made_gives(made, "later", NULL, false, "later");
    until(made->host.loop, registry_pins(made->host.registry, plugin) == 0);
    is_settled(made, plugin);
    assert_int_equal(atomic_load(&plugin->plugin->stats.served), 4);
}

static void checks_the_arguments_before_the_handler_sees_them(void **state) {
    CLEANUP(made_host_free) struct made_host *made = made_host_new(1);
    CLEANUP(generation_made) struct generation *plugin = generation_served(made, "p", tools);

    (void)state;
    atomic_store(&entered, 0);
    made_end(made, made_call_args(made, "worker", "{\"text\":5}"));
    CLEANUP(free) char *said = owner_said(made->owner);
    assert_non_null(strstr(said, "\"isError\":true"));
    assert_non_null(strstr(said, "invalid arguments for tool 'worker': /text"));
    assert_int_equal(atomic_load(&entered), 0);
    is_settled(made, plugin);
}

static void tells_an_unknown_tool_from_one_that_has_gone(void **state) {
    CLEANUP(made_host_free) struct made_host *made = made_host_new(1);
    CLEANUP(generation_made) struct generation *plugin = generation_served(made, "p", tools);

    (void)state;
    made_end(made, made_call(made, "nobody"));
    CLEANUP(free) char *said = owner_said(made->owner);
    assert_non_null(strstr(said, "\"code\":-32602,\"message\":\"unknown tool 'nobody'\""));
    assert_int_equal(registry_swap(made->host.registry, plugin, NULL, NULL), 0);
    made_gives(made, "worker", NULL, true,
               "tool 'worker' of plugin 'p' is not offered any more; ask for the list of tools again");
    is_settled(made, plugin);
}

static void answers_once_whatever_a_handler_does(void **state) {
    CLEANUP(made_host_free) struct made_host *made = made_host_new(1);
    CLEANUP(generation_made) struct generation *plugin = generation_served(made, "p", tools);

    (void)state;
    log_set_level(LOG_ERROR + 1);
    made_gives(made, "twice", NULL, false, "first");
    made_gives(made, "never", NULL, true, "tool 'never' ended without an answer");
    made_gives(made, "odd", NULL, true, "tool 'odd' ended with the unknown outcome 77");
    made_gives(made, "raw", "{}", true, "tool 'raw': no memory for its result, or it is not valid");
    made_gives(made, "raw", "{\"result\":[]}", true, "tool 'raw' gave no result with a 'content' array");
    made_gives(made, "raw", "{\"result\":{\"content\":5}}", true, "tool 'raw' gave no result with a 'content' array");
    is_settled(made, plugin);
    assert_int_equal(made->owner->dropped, 0);
    assert_int_equal(atomic_load(&plugin->plugin->stats.failed), 5);
}

static void checks_what_a_tool_says_it_returns(void **state) {
    CLEANUP(made_host_free) struct made_host *made = made_host_new(1);
    CLEANUP(generation_made) struct generation *plugin = generation_served(made, "p", tools);

    (void)state;
    log_set_level(LOG_ERROR + 1);
    made_gives(made, "counts", "{\"value\":{\"count\":1}}", false, "{\"count\":1}");
    made_end(made, made_call_args(made, "counts", "{\"value\":{\"count\":\"x\"}}"));
    CLEANUP(free) char *said = owner_said(made->owner);
    assert_non_null(strstr(said, "tool 'counts' gave a result that its output schema refuses: /count"));
    assert_non_null(strstr(said, "\"isError\":true"));
    made_gives(made, "raw_counts", "{\"result\":{\"content\":[]}}", true,
               "tool 'raw_counts' gave no structuredContent although it declares an output schema");
    made_gives(made, "raw_counts", "{\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"t\"}],\"isError\":true}}",
               true, "t"); /* an error needs none */
    is_settled(made, plugin);
}

static void mends_text_that_is_no_text(void **state) {
    CLEANUP(made_host_free) struct made_host *made = made_host_new(1);
    CLEANUP(generation_made) struct generation *plugin = generation_served(made, "p", tools);

    (void)state;
    made_gives(made, "bytes", NULL, false, "a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz");
    is_settled(made, plugin);
}

static void leaves_out_the_copy_of_a_large_result_and_refuses_a_larger_one(void **state) {
    CLEANUP(made_host_free) struct made_host *made = made_host_new(1);
    CLEANUP(generation_made) struct generation *plugin = generation_served(made, "p", tools);

    (void)state;
    made_gives(made, "large", "{\"len\":500000}", false, "The result of 500011 bytes is in structuredContent.");
    made_end(made, made_call_args(made, "large", "{\"len\":2000000}"));
    CLEANUP(free) char *said = owner_said(made->owner);
    assert_non_null(strstr(said, "\"code\":-32603"));
    is_settled(made, plugin);
}

static void does_not_enter_what_was_cancelled_before(void **state) {
    CLEANUP(made_host_free) struct made_host *made = made_host_new(1);
    CLEANUP(generation_made) struct generation *plugin = generation_served(made, "p", tools);

    (void)state;
    atomic_store(&entered, 0);
    atomic_store(&let_go, false);
    struct call *first = made_call(made, "wait"), *second = made_call(made, "worker");
    until(made->host.loop, atomic_load(&entered) == 1);
    call_cancel(second);
    call_cancel(first); /* its handler asks, and ends without a word */
    made_end(made, first);
    made_end(made, second);
    is_settled(made, plugin);
    assert_int_equal(atomic_load(&entered), 1);
    CLEANUP(free) char *said = owner_said(made->owner);
    assert_string_equal(said, "");
}

static void answers_for_a_handler_that_takes_too_long(void **state) {
    CLEANUP(made_host_free) struct made_host *made = made_host_new(1);
    CLEANUP(generation_made) struct generation *plugin = generation_served(made, "p", tools);

    (void)state;
    atomic_store(&let_go, false);
    made_gives(made, "wait_shortly", NULL, true,
               "the call did not end within 1 s and is given up; what it does may still take effect. The limit is the "
               "tool's own; .call_timeout in [plugin:p] would go before it");
    is_settled(made, plugin);
}

static void runs_a_serial_tool_alone_and_in_order(void **state) {
    static const char *const names[] = {"alone", "alone_inline"};
    CLEANUP(made_host_free) struct made_host *made = made_host_new(4);
    CLEANUP(generation_made) struct generation *plugin = generation_served(made, "p", tools);
    struct call *calls[20];

    (void)state;
    for (size_t n = 0; n < ARRAY_SIZE(names); n++) {
        atomic_store(&let_go, false);
        for (int i = 0; i < 20; i++) {
            CLEANUP(free) char *args = xasprintf("{\"name\":\"%c\"}", (n ? 'A' : 'a') + i);
            calls[i] = made_call_args(made, names[n], args);
        }
        call_cancel(calls[5]); /* one that waits */
        atomic_store(&let_go, true);
        for (int i = 0; i < 20; i++)
            made_end(made, calls[i]);
        until(made->host.loop, registry_pins(made->host.registry, plugin) == 0);
    }
    assert_int_equal(atomic_load(&most), 1);
    free(owner_said(made->owner));
    made_gives(made, "alone", "{}", false, "abcdeghijklmnopqrstABCDEGHIJKLMNOPQRST");
    is_settled(made, plugin);
}

/* A request that an earlier image had entered `attempts` times. */
static struct call *call_after_restart(struct made_host *made, const char *tool, bool checkpoint) {
    const struct run_record run = {.conn = 1, .offset = 4711, .attempts = 1};
    struct call *call = owner_call_new(made->owner, OWNER_REQUEST, 4711);

    assert_int_equal(ledger_put(made->owner->ledger, &run_kind, &run, NULL), 0);
    if (checkpoint)
        assert_int_equal(keep_checkpoint(call, json_true(), NULL), 0);
    keep_restore(call);
    loop_enter();
    run_start(&made->host, call, tool, NULL);
    return call;
}

static void runs_again_only_what_may_be_run_again(void **state) {
    CLEANUP(made_host_free) struct made_host *made = made_host_new(1);
    CLEANUP(generation_made) struct generation *plugin = generation_served(made, "p", tools);
    static const struct {
        const char *tool;
        bool checkpoint, runs;
    } rows[] = {{"worker", false, false}, {"worker", true, false}, {"again", false, true}, {"resumes", false, false},
                {"resumes", true, true},  {"gone", true, false}}; /* with the plugin that had it */

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        atomic_store(&entered, 0);
        made_end(made, call_after_restart(made, rows[i].tool, rows[i].checkpoint));
        CLEANUP(free) char *said = owner_said(made->owner);
        assert_int_equal(atomic_load(&entered), rows[i].runs);
        assert_true(rows[i].runs || strstr(said, "it may have executed, and is not run again: check what it did "
                                                 "before calling it again"));
        is_settled(made, plugin);
    }
}

static void waits_while_its_plugin_is_being_replaced(void **state) {
    CLEANUP(made_host_free) struct made_host *made = made_host_new(1);
    CLEANUP(generation_made) struct generation *old = generation_served(made, "p", tools);
    CLEANUP(generation_made) struct generation *new = generation_made(made, "p", tools);
    struct registry *registry = made->host.registry;

    (void)state;
    assert_int_equal(registry_set_waiting(registry, old, true, true), 0);
    struct call *call = made_call(made, "worker"), *cancelled = made_call(made, "worker");
    call_cancel(cancelled);
    assert_int_equal(registry_pins(registry, old), 0);
    assert_false(call_is_over(call));
    assert_int_equal(registry_swap(registry, old, new, NULL), 0);
    (void)registry_set_waiting(registry, old, false, false);
    run_release_held(old);
    made_end(made, call);
    made_end(made, cancelled);
    is_settled(made, new);
    assert_int_equal(atomic_load(&new->plugin->stats.served), 1);
    assert_int_equal(atomic_load(&old->plugin->stats.served), 0);
}

static void takes_back_what_has_not_begun(void **state) {
    CLEANUP(made_host_free) struct made_host *made = made_host_new(1);
    CLEANUP(generation_made) struct generation *old = generation_served(made, "p", tools);
    struct registry *registry = made->host.registry;
    struct call *calls[6];

    (void)state;
    atomic_store(&let_go, false);
    atomic_store(&entered, 0);
    calls[0] = made_call(made, "wait");
    until(made->host.loop, atomic_load(&entered) == 1);
    for (size_t i = 1; i < ARRAY_SIZE(calls); i++)
        calls[i] = made_call(made, i < 3 ? "worker" : "alone");
    (void)registry_set_waiting(registry, old, true, true);
    run_hold_queued(old);
    assert_int_equal(registry_pins(registry, old), 1); /* only what runs */
    atomic_store(&let_go, true);
    until(made->host.loop, made->idle == 1);
    (void)registry_set_waiting(registry, old, false, false);
    run_release_held(old);
    for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
        made_end(made, calls[i]);
    is_settled(made, old);
    assert_int_equal(made->owner->answers, ARRAY_SIZE(calls));
}

int main(void) {
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(runs_inline_and_on_workers),
        cmocka_unit_test(checks_the_arguments_before_the_handler_sees_them),
        cmocka_unit_test(tells_an_unknown_tool_from_one_that_has_gone),
        cmocka_unit_test(answers_once_whatever_a_handler_does),
        cmocka_unit_test(checks_what_a_tool_says_it_returns),
        cmocka_unit_test(mends_text_that_is_no_text),
        cmocka_unit_test(leaves_out_the_copy_of_a_large_result_and_refuses_a_larger_one),
        cmocka_unit_test(does_not_enter_what_was_cancelled_before),
        cmocka_unit_test(answers_for_a_handler_that_takes_too_long),
        cmocka_unit_test(runs_a_serial_tool_alone_and_in_order),
        cmocka_unit_test(runs_again_only_what_may_be_run_again),
        cmocka_unit_test(waits_while_its_plugin_is_being_replaced),
        cmocka_unit_test(takes_back_what_has_not_begun),
    };

    return cmocka_run_group_tests_name("plugin/run", cases, NULL, NULL);
}
