/* Saves what its settings say: a text, nothing, or too much; after a while, or when a file is gone. Says what it found
 * when it started. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <theseus/plugin.h>

struct self {
    struct theseus_ctx *ctx;
    json_t *found;
};

static int start(struct theseus_ctx *ctx, void **ret_self, struct theseus_error *err) {
    struct self *self = calloc(1, sizeof(*self));
    const json_t *saved = theseus_saved(ctx);

    if (!self)
        return theseus_fail(err, "no memory");
    self->ctx = ctx;
    self->found = saved ? json_deep_copy(saved) : json_null();
    if (json_is_true(json_object_get(theseus_config(ctx), "refuses")) && saved) {
        json_decref(self->found);
        free(self);
        return theseus_fail(err, "the fixture does not start with what was saved");
    }
    *ret_self = self;
    return 0;
}

static json_t *long_text(size_t len) {
    char *text = malloc(len + 1);
    json_t *value = NULL;

    if (text) {
        memset(text, 'x', len);
        text[len] = '\0';
        value = json_stringn(text, len);
    }
    free(text);
    return value;
}

static json_t *save(void *arg) {
    const struct self *self = arg;
    const json_t *config = theseus_config(self->ctx);
    const char *text = json_string_value(json_object_get(config, "text"));
    json_int_t bytes = json_integer_value(json_object_get(config, "bytes"));

    for (json_int_t ms = json_integer_value(json_object_get(config, "slow_ms")); ms > 0; ms--)
        (void)usleep(1000);
    for (const char *held = json_string_value(json_object_get(config, "held")); held && access(held, F_OK) == 0;)
        (void)usleep(1000);
    if (bytes > 0)
        return long_text((size_t)bytes);
    return text ? json_string(text) : NULL;
}

static void stop(void *arg) {
    struct self *self = arg;

    json_decref(self->found);
    free(self);
}

static int found(struct theseus_call *call, void *arg, const json_t *args) {
    const struct self *self = arg;

    (void)args;
    return theseus_reply_json(call, json_pack("{s:O}", "found", self->found));
}

static const struct theseus_tool tools[] = {
    {.name = "found", .description = "What was saved for it.", .flags = THESEUS_READ_ONLY, .call = found},
    {0},
};

const struct theseus_plugin theseus_plugin = {
    .abi = THESEUS_ABI,
    .size = sizeof(struct theseus_plugin),
    .name = "saves",
    .version = "1",
    .config_schema = "{\"type\":\"object\",\"properties\":{\"text\":{\"type\":\"string\"},"
                     "\"bytes\":{\"type\":\"integer\"},\"slow_ms\":{\"type\":\"integer\"},"
                     "\"held\":{\"type\":\"string\"},"
                     "\"refuses\":{\"type\":\"boolean\"}}}",
    .start = start,
    .save = save,
    .stop = stop,
    .tools = tools,
};
