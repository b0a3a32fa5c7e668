/* Two tools with one name. */
#include <theseus/plugin.h>

static int answer(struct theseus_call *call, void *self, const json_t *args) {
    (void)self;
    (void)args;
    return theseus_reply_text(call, "which one?");
}

static const struct theseus_tool tools[] = {
    {.name = "twin", .description = "The first.", .call = answer},
    {.name = "twin", .description = "The second.", .call = answer},
    {0},
};

const struct theseus_plugin theseus_plugin = {
    .abi = THESEUS_ABI,
    .size = sizeof(struct theseus_plugin),
    .name = "duptool",
    .version = "1",
    .tools = tools,
};
