/* Counts in state that the host keeps, so that generations may overlap. */
#include <theseus/plugin.h>

static int start(struct theseus_ctx *ctx, void **ret_self, struct theseus_error *err) {
    (void)err;
    *ret_self = ctx;
    return 0;
}

static json_t *one_more(const json_t *current, void *arg) {
    json_int_t *count = arg;

    *count = json_integer_value(current) + 1;
    return json_integer(*count);
}

static int shared_count(struct theseus_call *call, void *self, const json_t *args) {
    struct theseus_ctx *ctx = self;
    json_int_t count = 0;

    (void)args;
    if (theseus_state_update(ctx, "count", one_more, &count) < 0)
        return theseus_reply_error(call, "not counted: %s", theseus_last_error(ctx->host));
    return theseus_reply_json(call, json_pack("{s:I}", "count", count));
}

static int shared_counted(struct theseus_call *call, void *self, const json_t *args) {
    json_t *count = theseus_state_get(self, "count");

    (void)args;
    return theseus_reply_json(call, json_pack("{s:o}", "count", count ? count : json_integer(0)));
}

#define RESULT "{\"type\":\"object\",\"properties\":{\"count\":{\"type\":\"integer\"}},\"required\":[\"count\"]}"

static const struct theseus_tool tools[] = {
    {.name = "shared_count",
     .description = "Adds one and says the count.",
     .output_schema = RESULT,
     .call = shared_count},
    {.name = "shared_counted",
     .description = "Says the count.",
     .output_schema = RESULT,
     .flags = THESEUS_READ_ONLY,
     .call = shared_counted},
    {0},
};

const struct theseus_plugin theseus_plugin = {
    .abi = THESEUS_ABI,
    .size = sizeof(struct theseus_plugin),
    .name = "shared",
    .version = "1",
    .start = start,
    .tools = tools,
    .flags = THESEUS_SHARED_STATE,
};
