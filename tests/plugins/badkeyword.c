/* A schema with a keyword that no draft has: what is not understood may not be ignored. */
#include <theseus/plugin.h>

static int answer(struct theseus_call *call, void *self, const json_t *args) {
    (void)self;
    (void)args;
    return theseus_reply_text(call, "never");
}

static const struct theseus_tool tools[] = {
    {.name = "badkeyword",
     .description = "Never to be seen.",
     .input_schema = "{\"type\": \"object\", \"properties\": {\"a\": {\"type\": \"string\", \"maxWords\": 3}}}",
     .call = answer},
    {0},
};

const struct theseus_plugin theseus_plugin = {
    .abi = THESEUS_ABI,
    .size = sizeof(struct theseus_plugin),
    .name = "badkeyword",
    .version = "1",
    .tools = tools,
};
