/* The tool `echo` as an ordinary tool, which may block and runs on a worker: for measuring. */
#include <theseus/plugin.h>

static int echo(struct theseus_call *call, void *self, const json_t *args) {
    (void)self;
    return theseus_reply_text(call, "%s", json_string_value(json_object_get(args, "message")));
}

static const struct theseus_tool tools[] = {
    {.name = "echo",
     .description = "Says back what it is told.",
     .input_schema =
         "{\"type\":\"object\",\"properties\":{\"message\":{\"type\":\"string\"}},\"required\":[\"message\"]}",
     .flags = THESEUS_READ_ONLY,
     .call = echo},
    {0},
};

const struct theseus_plugin theseus_plugin = {
    .abi = THESEUS_ABI,
    .size = sizeof(struct theseus_plugin),
    .name = "ordinary",
    .version = "1",
    .tools = tools,
};
