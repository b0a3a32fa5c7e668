/* Counts step by step and stops at a checkpoint when it is asked to. */
#include <stdlib.h>
#include <time.h>

#include <theseus/plugin.h>

static void pause_ms(long ms) {
    struct timespec time = {ms / 1000, ms % 1000 * 1000000};

    (void)nanosleep(&time, NULL);
}

static long number(const json_t *args, const char *key, long otherwise) {
    const json_t *value = json_object_get(args, key);

    return value ? (long)json_integer_value(value) : otherwise;
}

/* The effects of all runs, each step once: what a test looks at. */
static json_t *add_effect(const json_t *current, void *arg) {
    json_t *effects = current ? json_deep_copy(current) : json_array();

    (void)json_array_append_new(effects, json_integer(*(long *)arg));
    return effects;
}

static int resumable(struct theseus_call *call, void *self, const json_t *args) {
    const long steps = number(args, "steps", 1), ms = number(args, "ms", 1);
    long at = (long)json_integer_value(json_object_get(theseus_resume_state(call), "at"));

    for (; at < steps; at++) {
        if (theseus_cancelled(call))
            return THESEUS_DONE;
        if (theseus_checkpoint(call, json_pack("{s:I}", "at", (json_int_t)at)) < 0)
            return theseus_reply_error(call, "no checkpoint: %s", theseus_last_error(call->host));
        if (theseus_suspending(call))
            return THESEUS_SUSPENDED;
        if (theseus_state_update(self, "effects", add_effect, &at) < 0)
            return theseus_reply_error(call, "no effect: %s", theseus_last_error(call->host));
        pause_ms(ms);
        theseus_progress(call, (double)at + 1, (double)steps, NULL);
    }
    return theseus_reply_json(call, json_pack("{s:I}", "steps", (json_int_t)steps));
}

/* Stops when it is asked to, and leaves nothing to go on with. */
static int resumable_careless(struct theseus_call *call, void *self, const json_t *args) {
    (void)self;
    (void)args;
    while (!theseus_suspending(call) && !theseus_cancelled(call))
        pause_ms(1);
    return THESEUS_SUSPENDED;
}

static int effects(struct theseus_call *call, void *self, const json_t *args) {
    json_t *all = theseus_state_get(self, "effects");

    (void)args;
    return theseus_reply_json(call, json_pack("{s:o}", "effects", all ? all : json_array()));
}

static int start(struct theseus_ctx *ctx, void **ret_self, struct theseus_error *err) {
    (void)err;
    *ret_self = ctx;
    return 0;
}

#define ARGUMENTS                                                        \
    "{\"type\":\"object\",\"properties\":{"                              \
    "\"steps\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":100000}," \
    "\"ms\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":60000}},"    \
    "\"additionalProperties\":false}"

static const struct theseus_tool tools[] = {
    {.name = "resumable",
     .description = "Takes so many steps, each with an effect that happens once.",
     .input_schema = ARGUMENTS,
     .flags = THESEUS_RESUMABLE,
     .call = resumable},
    {.name = "resumable_careless",
     .description = "Stops when it is asked to, without a checkpoint.",
     .flags = THESEUS_RESUMABLE,
     .call = resumable_careless},
    {.name = "effects", .description = "Says what had an effect.", .flags = THESEUS_READ_ONLY, .call = effects},
    {0},
};

const struct theseus_plugin theseus_plugin = {
    .abi = THESEUS_ABI,
    .size = sizeof(struct theseus_plugin),
    .name = "resumable",
    .version = "1",
    .start = start,
    .tools = tools,
    .flags = THESEUS_SHARED_STATE,
};
