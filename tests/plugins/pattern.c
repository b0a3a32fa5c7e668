/* Arguments and results that must match a regular expression. */
#include <theseus/plugin.h>

#define WORD "{\"type\":\"object\",\"properties\":{\"word\":{\"type\":\"string\",\"pattern\":\"^[a-z]{1,9}$\"}"

static int pattern(struct theseus_call *call, void *self, const json_t *args) {
    const json_t *answer = json_object_get(args, "answer");

    (void)self;
    return theseus_reply_json(call, json_pack("{s:O*}", "word", answer ? answer : json_object_get(args, "word")));
}

static const struct theseus_tool tools[] = {
    {.name = "pattern",
     .description = "Says a word of small letters, or whatever it shall.",
     .input_schema = WORD ",\"answer\":{\"type\":\"string\"}},\"required\":[\"word\"]}",
     .output_schema = WORD "}}",
     .flags = THESEUS_READ_ONLY,
     .call = pattern},
    {0},
};

const struct theseus_plugin theseus_plugin = {
    .abi = THESEUS_ABI,
    .size = sizeof(struct theseus_plugin),
    .name = "pattern",
    .version = "1",
    .config_schema = WORD "}}",
    .tools = tools,
};
