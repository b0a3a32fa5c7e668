/* Calls other tools, and itself inside itself. */
#include <theseus/plugin.h>

/* Steals `args`. */
static int pass_on(struct theseus_call *call, const char *tool, json_t *args) {
    json_t *result = NULL;

    if (theseus_call_tool(call, tool, args, &result) < 0)
        return theseus_reply_error(call, "%s", theseus_last_error(call->host));
    return theseus_reply(call, result);
}

static int inner(struct theseus_call *call, void *self, const json_t *args) {
    json_t *arguments = json_object_get(args, "arguments");

    (void)self;
    return pass_on(call, json_string_value(json_object_get(args, "tool")),
                   arguments ? json_deep_copy(arguments) : NULL);
}

static int inner_depth(struct theseus_call *call, void *self, const json_t *args) {
    json_int_t depth = json_integer_value(json_object_get(args, "depth"));

    (void)self;
    if (depth == 0)
        return theseus_reply_text(call, "the bottom");
    return pass_on(call, "inner_depth", json_pack("{s:I}", "depth", depth - 1));
}

static const struct theseus_tool tools[] = {
    {.name = "inner",
     .description = "Calls the tool that is named and returns what it returned.",
     .input_schema = "{\"type\":\"object\",\"properties\":{\"tool\":{\"type\":\"string\"},"
                     "\"arguments\":{\"type\":\"object\"}},\"required\":[\"tool\"],\"additionalProperties\":false}",
     .call = inner},
    {.name = "inner_depth",
     .description = "Calls itself so many times inside itself.",
     .input_schema = "{\"type\":\"object\",\"properties\":{\"depth\":{\"type\":\"integer\",\"minimum\":0}},"
                     "\"required\":[\"depth\"],\"additionalProperties\":false}",
     .flags = THESEUS_READ_ONLY,
     .call = inner_depth},
    {0},
};

const struct theseus_plugin theseus_plugin = {
    .abi = THESEUS_ABI,
    .size = sizeof(struct theseus_plugin),
    .name = "inner",
    .version = "1",
    .tools = tools,
};
