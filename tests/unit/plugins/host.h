/*
 * A host for one plugin and one call at a time, made of nothing but the table that plugins see: what the plugin does
 * with it can be read from struct fake. Each test includes the plugin's own sources.
 */
#pragma once

#include <stdatomic.h>
#include <stdlib.h>

#include <theseus/plugin.h>

struct fake {
    struct theseus_call call;
    struct theseus_ctx ctx;
    const char *tool; /* borrowed: under which name the call came */
    json_t *config;   /* owned: theseus_config() */
    json_t *result;   /* owned: what the call was answered with */
    unsigned answers; /* how often it was answered */
    atomic_bool cancelled;
    bool (*is_cancelled)(struct fake *fake); /* asked instead, where set */
    struct theseus_client_info client;
    /* progress */
    unsigned reports;
    double done;
    json_t *messages; /* owned: array of all texts */
    /* children */
    long child; /* pid of the last that started */
    unsigned started, ended;
    bool refuse_child;
    /* tools added at run time */
    json_t *tools; /* owned: name → {title, description, schema, flags, timeout, data} */
    json_t *gone;  /* owned: array of those that were removed, their data not released yet */
    void (*release)(void *data);
    json_t *edits; /* owned: array of "+name" and "-name" */
    int (*handler)(struct theseus_call *call, void *self, const json_t *args);
    /* control and inner calls */
    json_t *control; /* owned: verb → answer */
    json_t *asked;   /* owned: array of [verb, args] */
    json_t *inner;   /* owned: name → result */
    unsigned inner_calls;
    /* checkpoints */
    json_t *resume;             /* owned: theseus_resume_state() */
    json_t *checkpoints;        /* owned: array of all that were made */
    unsigned refuse_checkpoint; /* the how manieth is refused; 0: none */
    unsigned suspend_after;     /* inner calls; 0: never asked to stop */
};

static inline struct fake *fake_of(const struct theseus_call *call) {
    return (struct fake *)((uintptr_t)call - offsetof(struct fake, call));
}

static inline struct fake *fake_of_ctx(const struct theseus_ctx *ctx) {
    return (struct fake *)((uintptr_t)ctx - offsetof(struct fake, ctx));
}

static _Thread_local const char *fake_error = ""; /* why the last function failed */

static int fake_reply(struct theseus_call *call, json_t *result) {
    struct fake *fake = fake_of(call);

    json_decref(fake->result);
    fake->result = result;
    fake->answers++;
    return THESEUS_DONE;
}

static int fake_reply_json(struct theseus_call *call, json_t *value) {
    return fake_reply(call, json_pack("{s:[], s:o}", "content", "structuredContent", value));
}

static int fake_reply_json_text(struct theseus_call *call, const char *text) {
    return fake_reply_json(call, json_loads(text, JSON_DECODE_ANY, NULL));
}

static int fake_reply_text(struct theseus_call *call, const char *text) {
    return fake_reply(call, json_pack("{s:[{s:s, s:s}], s:b}", "content", "type", "text", "text", text, "isError", 0));
}

static int fake_reply_error(struct theseus_call *call, const char *text) {
    return fake_reply(call, json_pack("{s:[{s:s, s:s}], s:b}", "content", "type", "text", "text", text, "isError", 1));
}

static void fake_progress(struct theseus_call *call, double done, double total, const char *message) {
    struct fake *fake = fake_of(call);

    (void)total;
    fake->reports++;
    fake->done = done;
    if (message)
        json_array_append_new(fake->messages, json_string(message));
}

static bool fake_cancelled(const struct theseus_call *call) {
    struct fake *fake = fake_of(call);

    return fake->is_cancelled ? fake->is_cancelled(fake) : atomic_load(&fake->cancelled);
}

static bool fake_suspending(const struct theseus_call *call) {
    const struct fake *fake = fake_of(call);

    return fake->suspend_after > 0 && fake->inner_calls >= fake->suspend_after;
}

static int fake_checkpoint(struct theseus_call *call, json_t *state) {
    struct fake *fake = fake_of(call);

    fake_error = "there is no room for a checkpoint";
    json_array_append_new(fake->checkpoints, json_deep_copy(state));
    json_decref(state);
    return json_array_size(fake->checkpoints) == fake->refuse_checkpoint ? -1 : 0;
}

static const json_t *fake_resume_state(const struct theseus_call *call) {
    return fake_of(call)->resume;
}

static const char *fake_tool_name(const struct theseus_call *call) {
    return fake_of(call)->tool;
}

static void *fake_tool_data(const struct theseus_call *call) {
    const struct fake *fake = fake_of(call);

    return (void *)(uintptr_t)json_integer_value(json_object_get(json_object_get(fake->tools, fake->tool), "data"));
}

static const char *fake_args_text(struct theseus_call *call) {
    return fake_of(call)->tool; /* the tests put the text there */
}

static const struct theseus_client_info *fake_client(struct theseus_call *call) {
    return &fake_of(call)->client;
}

static int fake_child_started(struct theseus_call *call, long pid) {
    struct fake *fake = fake_of(call);

    fake->child = pid;
    fake->started++;
    return fake->refuse_child ? -1 : 0;
}

static void fake_child_ended(struct theseus_call *call, long pid) {
    struct fake *fake = fake_of(call);

    fake->ended += pid == fake->child;
}

static const json_t *fake_config(const struct theseus_ctx *ctx) {
    return fake_of_ctx(ctx)->config;
}

static int fake_tool_add(struct theseus_ctx *ctx, const struct theseus_tool *tool) {
    struct fake *fake = fake_of_ctx(ctx);

    if (json_object_get(fake->tools, tool->name)) {
        fake_error = "another plugin has a tool of this name";
        return -1;
    }
    json_array_append_new(fake->edits, json_sprintf("+%s", tool->name));
    fake->handler = tool->call;
    fake->release = tool->release;
    return json_object_set_new(fake->tools, tool->name,
                               json_pack("{s:s*, s:s*, s:o, s:i, s:i, s:I}", "title", tool->title, "description",
                                         tool->description, "schema", json_loads(tool->input_schema, 0, NULL), "flags",
                                         (int)tool->flags, "timeout", (int)tool->timeout, "data",
                                         (json_int_t)(uintptr_t)tool->data));
}

static inline void fake_release(const struct fake *fake, const json_t *tool) {
    if (json_object_get(tool, "data"))
        fake->release((void *)(uintptr_t)json_integer_value(json_object_get(tool, "data")));
}

/* What the host does when no call of a removed tool is left. */
static inline void fake_release_gone(struct fake *fake) {
    json_t *tool;
    size_t i;

    json_array_foreach (fake->gone, i, tool)
        fake_release(fake, tool);
    json_array_clear(fake->gone);
}

/* What the host does after a change that failed: `before` is what there was, `gone` was empty. */
static inline void fake_take_back(struct fake *fake, json_t *before) {
    const char *name;
    json_t *tool;

    json_object_foreach (fake->tools, name, tool)
        if (json_object_get(before, name) != tool)
            fake_release(fake, tool);
    json_array_clear(fake->gone);
    json_object_clear(fake->tools);
    json_object_update(fake->tools, before);
}

static int fake_tool_remove(struct theseus_ctx *ctx, const char *name) {
    struct fake *fake = fake_of_ctx(ctx);

    json_array_append_new(fake->edits, json_sprintf("-%s", name));
    json_array_append(fake->gone, json_object_get(fake->tools, name));
    return json_object_del(fake->tools, name);
}

static json_t *fake_control(struct theseus_call *call, const char *verb, const json_t *args) {
    struct fake *fake = fake_of(call);

    json_array_append_new(fake->asked, json_pack("[s, O?]", verb, args));
    fake_error = "the server is leaving";
    return json_incref(json_object_get(fake->control, verb));
}

static int fake_call_tool(struct theseus_call *call, const char *name, json_t *args, json_t **ret_result) {
    struct fake *fake = fake_of(call);
    json_t *result = json_object_get(fake->inner, name);

    json_array_append_new(fake->asked, json_pack("[s, s, o?]", "call", name, args));
    fake->inner_calls++;
    fake_error = "there is no such tool";
    if (!result)
        return -1;
    *ret_result = json_incref(result);
    return 0;
}

/* theseus_last_error() */
static const char *fake_last_error(void) {
    return fake_error;
}

static const struct theseus_host fake_host = {
    .abi = THESEUS_ABI,
    .size = sizeof(struct theseus_host),
    .reply = fake_reply,
    .reply_json = fake_reply_json,
    .reply_json_text = fake_reply_json_text,
    .reply_text = fake_reply_text,
    .reply_error = fake_reply_error,
    .progress = fake_progress,
    .cancelled = fake_cancelled,
    .suspending = fake_suspending,
    .checkpoint = fake_checkpoint,
    .resume_state = fake_resume_state,
    .tool_name = fake_tool_name,
    .args_text = fake_args_text,
    .call_tool = fake_call_tool,
    .client = fake_client,
    .control = fake_control,
    .child_started = fake_child_started,
    .child_ended = fake_child_ended,
    .config = fake_config,
    .tool_add = fake_tool_add,
    .tool_remove = fake_tool_remove,
    .last_error = fake_last_error,
    .tool_data = fake_tool_data,
};

static inline struct fake fake_made(void) {
    return (struct fake){
        .call = {&fake_host},
        .ctx = {&fake_host},
        .client = {.name = "test", .version = "1", .transport = "stdio", .session = "", .directory = "", .uid = -1},
        .messages = json_array(),
        .tools = json_object(),
        .gone = json_array(),
        .edits = json_array(),
        .control = json_object(),
        .asked = json_array(),
        .inner = json_object(),
        .checkpoints = json_array(),
    };
}

static inline void fake_fini(struct fake *fake) {
    const char *name;
    json_t *tool;

    json_object_foreach (fake->tools, name, tool)
        fake_release(fake, tool);
    fake_release_gone(fake);
    json_decref(fake->gone);
    json_decref(fake->config);
    json_decref(fake->result);
    json_decref(fake->messages);
    json_decref(fake->tools);
    json_decref(fake->edits);
    json_decref(fake->control);
    json_decref(fake->asked);
    json_decref(fake->inner);
    json_decref(fake->resume);
    json_decref(fake->checkpoints);
}

/* The text of the answer; borrowed, "" where there was none. */
static inline const char *fake_text(const struct fake *fake) {
    const json_t *item = json_array_get(json_object_get(fake->result, "content"), 0);
    const char *text = json_string_value(json_object_get(item, "text"));

    return text ? text : "";
}

static inline bool fake_failed(const struct fake *fake) {
    return json_is_true(json_object_get(fake->result, "isError"));
}
