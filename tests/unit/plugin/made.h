/* Plugins without a file: a generation that offers some tools of a test's own, and the host that runs them. */
#pragma once

#include "call/owner.h"
#include "plugin/generation.h"
#include "plugin/plugin.h"
#include "plugin/run.h"
#include "plugin/state.h"

struct made_host {
    struct owner *owner;
    struct config *config;
    const struct config *present;
    struct plugin_host host;
    int idle; /* how often a generation was said to be idle */
};

static inline void made_on_idle(void *arg, struct generation *generation) {
    (void)generation;
    ((struct made_host *)arg)->idle++;
}

static inline struct made_host *made_host_new(int workers) {
    struct made_host *made = xcalloc(1, sizeof(*made));
    struct said said;

    loop_enter();
    made->owner = owner_new();
    made->config = load_text("", &said);
    made->present = made->config;
    made->host = (struct plugin_host){
        .loop = made->owner->loop,
        .loop_thread = pthread_self(),
        .ledger = made->owner->ledger,
        .workers = workers_new(made->owner->loop, workers),
        .registry = registry_new(),
        .config = &made->present,
        .idle = made_on_idle,
        .arg = made,
    };
    return made;
}

static inline void made_host_free_cleanup(struct made_host **held) {
    struct made_host *made = *held;

    loop_enter();
    made->host.workers = workers_free(made->host.workers);
    made->host.registry = registry_free(made->host.registry);
    made->config = config_free(made->config);
    owner_free_cleanup(&made->owner);
    free(made);
}

static inline void made_on_generation_idle(void *arg) {
    struct generation *generation = arg;

    generation->host->idle(generation->host->arg, generation);
}

/* Its tools are in no registry yet. `tools` ends with {0}. */
static inline struct generation *generation_made(struct made_host *made, const char *name,
                                                 const struct theseus_tool *tools) {
    struct generation *generation = xcalloc(1, sizeof(*generation));

    generation->ctx.host = &host_table;
    generation->host = &made->host;
    generation->name = xstrdup(name);
    generation->component = xasprintf("%s#1", name);
    generation->idle_loop = made->host.loop;
    generation->idle = (struct loop_task){.run = made_on_generation_idle, .arg = generation};
    generation->plugin = xcalloc(1, sizeof(struct plugin));
    list_init(&generation->link);
    list_init(&generation->offers);
    list_init(&generation->queued);
    list_init(&generation->held);
    for (; tools->name; tools++) {
        struct theseus_error err = {0};
        struct tool *tool = NULL;
        if (tool_new(&tool, tools, &err) < 0 || registry_add(made->host.registry, generation, tool, &err) < 0)
            print_error("%s\n", err.message);
        assert_int_equal(err.code, ERR_UNSET);
    }
    return generation;
}

/* Offered at once. */
static inline struct generation *generation_served(struct made_host *made, const char *name,
                                                   const struct theseus_tool *tools) {
    struct generation *generation = generation_made(made, name, tools);

    assert_int_equal(registry_swap(made->host.registry, NULL, generation, NULL), 0);
    return generation;
}

static inline void generation_made_cleanup(struct generation **held) {
    struct generation *generation = *held;

    loop_enter();
    assert_int_equal(registry_pins(generation->host->registry, generation), 0);
    loop_forget(generation->host->loop, &generation->idle);
    registry_clear(generation->host->registry, generation);
    free(generation->plugin);
    free(generation->name);
    free(generation->component);
    free(generation);
}

/* Calls the tool; the call is over some time later. A new reference. */
static inline struct call *made_call_args(struct made_host *made, const char *tool, const char *args) {
    static uint64_t offset;
    CLEANUP(free)
    char *text =
        xasprintf("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"arguments\":%s}}", args);
    struct call *call = owner_call_new(made->owner, text, ++offset);

    loop_enter();
    run_start(&made->host, call, tool, json_object_get(call->message.params, "arguments"));
    return call;
}

static inline struct call *made_call(struct made_host *made, const char *tool) {
    return made_call_args(made, tool, "{}");
}

/* Waits for its end and takes it off, as its owner does. */
static inline void made_end(struct made_host *made, struct call *call) {
    until(made->host.loop, call_is_over(call));
    call_end_on_loop(call);
    (void)call_unref(call);
}

/* The one answer there is; a new reference. */
static inline json_t *made_answer_new(struct made_host *made) {
    CLEANUP(free) char *said = owner_said(made->owner);
    json_t *answer = json_loads(said, 0, NULL);

    if (!answer)
        print_error("said: %s\n", said);
    assert_non_null(answer);
    return answer;
}

/* Calls it and asserts on the text of the first content item. */
static inline void made_gives(struct made_host *made, const char *tool, const char *args, bool is_error,
                              const char *text) {
    made_end(made, made_call_args(made, tool, args ? args : "{}"));
    json_auto_t *answer = made_answer_new(made);
    const json_t *result = json_object_get(answer, "result");
    const json_t *item = json_array_get(json_object_get(result, "content"), 0);
    const char *given = json_string_value(json_object_get(item, "text"));

    if (!given || strcmp(given, text) != 0) {
        CLEANUP(free) char *all = json_dumps(answer, JSON_COMPACT);
        print_error("got %s\nnot %s\n", all, text);
    }
    assert_non_null(given);
    assert_string_equal(given, text);
    assert_int_equal(json_is_true(json_object_get(result, "isError")), is_error);
}
