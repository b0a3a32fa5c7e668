/* Keeps values with the host, its secret too if it is told to; and a call that makes a checkpoint and goes on. */
#include <string.h>
#include <time.h>

#include <theseus/plugin.h>

static int start(struct theseus_ctx *ctx, void **ret_self, struct theseus_error *err) {
    json_t *found = theseus_state_get(ctx, "first");

    (void)err;
    if (found) /* what came back is there before `start` is entered */
        (void)theseus_state_put(ctx, "found_at_start", found);
    *ret_self = ctx;
    return 0;
}

static int vault_put(struct theseus_call *call, void *self, const json_t *args) {
    const char *key = json_string_value(json_object_get(args, "key"));

    if (theseus_state_put(self, key, json_incref(json_object_get(args, "value"))) < 0)
        return theseus_reply_error(call, "not kept: %s", theseus_last_error(call->host));
    return theseus_reply_text(call, "kept");
}

static int vault_get(struct theseus_call *call, void *self, const json_t *args) {
    json_t *value = theseus_state_get(self, json_string_value(json_object_get(args, "key")));

    return theseus_reply_json(call, json_pack("{s:o}", "value", value ? value : json_null()));
}

static int vault_leak(struct theseus_call *call, void *self, const json_t *args) {
    const char *secret = json_string_value(json_object_get(theseus_config(self), "secret"));

    (void)args;
    if (theseus_state_put(self, "leak", json_pack("[{s:s+}]", "in", "so: ", secret ? secret : "")) < 0)
        return theseus_reply_error(call, "not kept");
    return theseus_reply_text(call, "kept");
}

/* Until it is cancelled. */
static int vault_work(struct theseus_call *call, void *self, const json_t *args) {
    const struct timespec pause = {.tv_nsec = 10000000};

    (void)self;
    if (json_is_true(json_object_get(args, "checkpoint")) &&
        theseus_checkpoint(call, json_pack("{s:i}", "step", 1)) < 0)
        return theseus_reply_error(call, "no checkpoint");
    while (!theseus_cancelled(call))
        (void)nanosleep(&pause, NULL);
    return theseus_reply_text(call, "ended");
}

#define OBJECT(properties) "{\"type\":\"object\",\"properties\":{" properties "}}"

static const struct theseus_tool tools[] = {
    {.name = "vault_put",
     .description = "Keeps a value.",
     .input_schema = OBJECT("\"key\":{\"type\":\"string\"},\"value\":{}"),
     .call = vault_put},
    {.name = "vault_get",
     .description = "Shows a value.",
     .input_schema = OBJECT("\"key\":{\"type\":\"string\"}"),
     .call = vault_get},
    {.name = "vault_leak", .description = "Keeps the secret.", .call = vault_leak},
    {.name = "vault_work",
     .description = "Works until it is cancelled.",
     .input_schema = OBJECT("\"checkpoint\":{\"type\":\"boolean\"}"),
     .flags = THESEUS_RESUMABLE,
     .call = vault_work},
    {0},
};

const struct theseus_plugin theseus_plugin = {
    .abi = THESEUS_ABI,
    .size = sizeof(struct theseus_plugin),
    .name = "vault",
    .version = "1",
    .start = start,
    .tools = tools,
    .config_schema = "{\"type\":\"object\",\"properties\":{\"secret\":{\"type\":\"string\",\"writeOnly\":true}}}",
    .flags = THESEUS_SHARED_STATE,
};
