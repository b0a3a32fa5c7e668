/* Keeps as much state as it is asked to: what a restart has to carry. */
#include <stdio.h>
#include <string.h>

#include <theseus/plugin.h>

enum { VALUE_BYTES = 4096 };

static int start(struct theseus_ctx *ctx, void **ret_self, struct theseus_error *err) {
    (void)err;
    *ret_self = ctx;
    return 0;
}

static int ballast(struct theseus_call *call, void *self, const json_t *args) {
    json_int_t kib = json_integer_value(json_object_get(args, "kib"));
    struct theseus_ctx *ctx = self;
    char value[VALUE_BYTES], key[32];

    memset(value, 'b', sizeof(value));
    for (json_int_t i = 0; i < kib * 1024 / VALUE_BYTES; i++) {
        (void)snprintf(key, sizeof(key), "%08lld", (long long)i);
        if (theseus_state_put(ctx, key, json_stringn(value, sizeof(value))) < 0)
            return theseus_reply_error(call, "not kept: %s", theseus_last_error(ctx->host));
    }
    return theseus_reply_text(call, "%lld KiB", (long long)kib);
}

static const struct theseus_tool tools[] = {
    {.name = "ballast",
     .description = "Keeps so much state.",
     .input_schema = "{\"type\":\"object\",\"properties\":{\"kib\":{\"type\":\"integer\",\"minimum\":0,"
                     "\"maximum\":32768}},\"required\":[\"kib\"],\"additionalProperties\":false}",
     .flags = THESEUS_IDEMPOTENT,
     .call = ballast},
    {0},
};

const struct theseus_plugin theseus_plugin = {
    .abi = THESEUS_ABI,
    .size = sizeof(struct theseus_plugin),
    .name = "ballast",
    .version = "1",
    .start = start,
    .tools = tools,
    .flags = THESEUS_SHARED_STATE,
};
