/*
 * Echo: the smallest plugin that is of use, and the one to read first.
 *
 * A tool is a function and a row in a table. The server has checked the arguments against `input_schema` before the
 * function is called, so `message` is there and is a string.
 */
#include <theseus/plugin.h>

/*
 * The result is put together by hand because a message may hold NUL characters, which the "%s" of theseus_reply_text()
 * would end at. Nothing is copied: the answer shares the argument.
 */
static int echo_call(struct theseus_call *call, void *self, const json_t *args) {
    const json_t *message = json_object_get(args, "message");

    (void)self;
    return theseus_reply(call, json_pack("{s:[{s:s, s:O}]}", "content", "type", "text", "text", message));
}

static const struct theseus_tool tools[] = {
    {
        .name = "echo",
        .title = "Echo",
        .description = "Use this to see whether the server answers: returns the message unchanged.",
        .input_schema = "{\"type\": \"object\","
                        " \"properties\": {\"message\": {\"type\": \"string\", \"description\": \"what to return\"}},"
                        " \"required\": [\"message\"], \"additionalProperties\": false}",
        .flags = THESEUS_READ_ONLY | THESEUS_IDEMPOTENT | THESEUS_INLINE,
        .call = echo_call,
    },
    {0},
};

const struct theseus_plugin theseus_plugin = {
    .abi = THESEUS_ABI,
    .size = sizeof(struct theseus_plugin),
    .name = "echo",
    .version = "1.0.0",
    .description = "Says back what it is told.",
    .tools = tools,
};
