/* A schema that is not JSON. */
#include <theseus/plugin.h>

static int answer(struct theseus_call *call, void *self, const json_t *args) {
    (void)self;
    (void)args;
    return theseus_reply_text(call, "never");
}

static const struct theseus_tool tools[] = {
    {.name = "badschema",
     .description = "Never to be seen.",
     .input_schema = "{\"type\": \"object\", \"properties\": {\"a\": }}",
     .call = answer},
    {0},
};

const struct theseus_plugin theseus_plugin = {
    .abi = THESEUS_ABI,
    .size = sizeof(struct theseus_plugin),
    .name = "badschema",
    .version = "1",
    .tools = tools,
};
