/* Answers what its own output schema forbids. */
#include <theseus/plugin.h>

static int badoutput(struct theseus_call *call, void *self, const json_t *args) {
    (void)self;
    (void)args;
    return theseus_reply_json(call, json_pack("{s:s}", "number", "three"));
}

static const struct theseus_tool tools[] = {
    {.name = "badoutput",
     .description = "Promises a number and gives a word.",
     .output_schema =
         "{\"type\":\"object\",\"properties\":{\"number\":{\"type\":\"integer\"}},\"required\":[\"number\"]}",
     .flags = THESEUS_READ_ONLY,
     .call = badoutput},
    {0},
};

const struct theseus_plugin theseus_plugin = {
    .abi = THESEUS_ABI,
    .size = sizeof(struct theseus_plugin),
    .name = "badoutput",
    .version = "1",
    .tools = tools,
};
