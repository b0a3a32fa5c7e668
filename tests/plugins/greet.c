/* A plugin with one tool that answers in words which say which build of it answered; greet2.c is the other build. */
#include <theseus/plugin.h>

static int greet_call(struct theseus_call *call, void *self, const json_t *args) {
    (void)self;
    return theseus_reply_text(call, "hello %s", json_string_value(json_object_get(args, "name")));
}

static const struct theseus_tool tools[] = {
    {
        .name = "greet",
        .title = "Greet",
        .description = "Use this to greet somebody by name.",
        .input_schema = "{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\"}},"
                        "\"required\":[\"name\"],\"additionalProperties\":false}",
        .flags = THESEUS_READ_ONLY | THESEUS_IDEMPOTENT | THESEUS_INLINE,
        .call = greet_call,
    },
    {0},
};

const struct theseus_plugin theseus_plugin = {
    .abi = THESEUS_ABI,
    .size = sizeof(struct theseus_plugin),
    .name = "greet",
    .version = "1.0.0",
    .description = "Greets.",
    .tools = tools,
};
