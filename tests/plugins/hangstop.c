/* Hangs in the slot that its configuration names. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <theseus/plugin.h>

static void hang_if(const struct theseus_ctx *ctx, const char *slot) {
    const char *where = json_string_value(json_object_get(theseus_config(ctx), "hang"));

    while (where && strcmp(where, slot) == 0)
        (void)pause();
}

static int start(struct theseus_ctx *ctx, void **ret_self, struct theseus_error *err) {
    (void)err;
    hang_if(ctx, "start");
    *ret_self = ctx;
    return 0;
}

static int activate(void *self, struct theseus_error *err) {
    (void)err;
    hang_if(self, "activate");
    return 0;
}

static int selftest(void *self, struct theseus_error *err) {
    (void)err;
    hang_if(self, "selftest");
    return 0;
}

static json_t *save(void *self) {
    hang_if(self, "save");
    return json_object();
}

static void stop(void *self) {
    hang_if(self, "stop");
}

static int hangs(struct theseus_call *call, void *self, const json_t *args) {
    (void)self;
    (void)args;
    return theseus_reply_text(call, "not here");
}

static const struct theseus_tool tools[] = {
    {.name = "hangs", .description = "Answers at once.", .flags = THESEUS_READ_ONLY, .call = hangs},
    {0},
};

const struct theseus_plugin theseus_plugin = {
    .abi = THESEUS_ABI,
    .size = sizeof(struct theseus_plugin),
    .name = "hangstop",
    .version = "1",
    .start = start,
    .activate = activate,
    .selftest = selftest,
    .config_schema = "{\"type\":\"object\",\"properties\":{\"hang\":{\"enum\":[\"never\",\"start\",\"activate\","
                     "\"selftest\",\"save\",\"stop\"],\"type\":\"string\",\"default\":\"never\"}},"
                     "\"additionalProperties\":false}",
    .save = save,
    .stop = stop,
    .tools = tools,
};
