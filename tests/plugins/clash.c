/* Claims a tool's name that another plugin has. */
#include <theseus/plugin.h>

static int echo(struct theseus_call *call, void *self, const json_t *args) {
    (void)self;
    (void)args;
    return theseus_reply_text(call, "the other echo");
}

static const struct theseus_tool tools[] = {
    {.name = "echo", .description = "Says that it is not the usual echo.", .flags = THESEUS_READ_ONLY, .call = echo},
    {0},
};

const struct theseus_plugin theseus_plugin = {
    .abi = THESEUS_ABI,
    .size = sizeof(struct theseus_plugin),
    .name = "clash",
    .version = "1",
    .tools = tools,
};
