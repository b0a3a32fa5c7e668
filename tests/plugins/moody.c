/* Starts unless a file is there, which its configuration names; and takes that away if it is to fail only once. */
#include <unistd.h>

#include <theseus/plugin.h>

static int answer(struct theseus_call *call, void *self, const json_t *args) {
    (void)self;
    (void)args;
    return theseus_reply_text(call, "in a good mood");
}

static int start(struct theseus_ctx *ctx, void **ret_self, struct theseus_error *err) {
    const json_t *config = theseus_config(ctx);
    const char *file = json_string_value(json_object_get(config, "file"));

    (void)ret_self;
    if (!file || access(file, F_OK) < 0)
        return 0;
    if (json_is_true(json_object_get(config, "once")))
        (void)unlink(file);
    return theseus_fail(err, "'%s' is there", file);
}

static const struct theseus_tool tools[] = {
    {.name = "moody", .description = "Says how it is.", .flags = THESEUS_READ_ONLY, .call = answer},
    {0},
};

const struct theseus_plugin theseus_plugin = {
    .abi = THESEUS_ABI,
    .size = sizeof(struct theseus_plugin),
    .name = "moody",
    .version = "1.0",
    .start = start,
    .tools = tools,
    .config_schema =
        "{\"type\":\"object\",\"properties\":{\"file\":{\"type\":\"string\"},\"once\":{\"type\":\"boolean\"}}}",
};
