/*
 * A whole plugin in C. Build it with this one command, then put hello.so into the plugin directory:
 *
 *     cc -shared -fPIC $(pkg-config --cflags theseus) -o hello.so hello.c
 */
#include <theseus/plugin.h>

/*
 * The tool. `args` has been checked against the schema below: "name" is there, and is a string. There is exactly one
 * reply; `self` is what `start` would have made, had this plugin one.
 */
static int hello(struct theseus_call *call, void *self, const json_t *args) {
    (void)self;
    return theseus_reply_text(call, "Hello, %s, from C", json_string_value(json_object_get(args, "name")));
}

/* What clients see. The row of zeroes ends the table. */
static const struct theseus_tool tools[] = {
    {
        .name = "hello_c",
        .title = "Hello from C",
        .description = "Use this to see a plugin in C at work: greets by name.",
        .input_schema = "{\"type\": \"object\", \"properties\": {\"name\": {\"type\": \"string\"}},"
                        " \"required\": [\"name\"]}",
        .flags = THESEUS_READ_ONLY | THESEUS_IDEMPOTENT | THESEUS_INLINE,
        .call = hello,
    },
    {0},
};

/* The one symbol that the server looks for. */
const struct theseus_plugin theseus_plugin = {
    .abi = THESEUS_ABI,
    .size = sizeof(struct theseus_plugin),
    .name = "hello_c",
    .version = "1.0.0",
    .description = "An example in C.",
    .tools = tools,
};
