/*
 * @NAME@: say here what this plugin is for.
 *
 * One tool, also named @NAME@. The contract is <theseus/plugin.h>; every slot and function is explained there.
 */
#include <theseus/plugin.h>

/* `args` has been checked against the schema below: "name" is there, and is a string. There is exactly one reply. */
static int answer(struct theseus_call *call, void *self, const json_t *args) {
    (void)self;
    return theseus_reply_text(call, "Hello, %s, from @NAME@", json_string_value(json_object_get(args, "name")));
}

static const struct theseus_tool tools[] = {
    {
        .name = "@NAME@",
        .title = "@NAME@",
        .description = "Use this to greet somebody by name.",
        .input_schema = "{\"type\": \"object\","
                        " \"properties\": {\"name\": {\"type\": \"string\", \"description\": \"who is greeted\"}},"
                        " \"required\": [\"name\"], \"additionalProperties\": false}",
        .flags = THESEUS_READ_ONLY | THESEUS_IDEMPOTENT,
        .call = answer,
    },
    {0},
};

const struct theseus_plugin theseus_plugin = {
    .abi = THESEUS_ABI,
    .size = sizeof(struct theseus_plugin),
    .name = "@NAME@",
    .version = "0.1.0",
    .description = "Greets.",
    .tools = tools,
};
