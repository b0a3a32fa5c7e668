/* Built when the structure was smaller: what lies behind its size is not a slot, whatever is there. */
#include <theseus/plugin.h>

static int smallsize(struct theseus_call *call, void *self, const json_t *args) {
    (void)self;
    (void)args;
    return theseus_reply_text(call, "still here");
}

static const struct theseus_tool tools[] = {
    {.name = "smallsize", .description = "Answers from an old plugin.", .flags = THESEUS_READ_ONLY, .call = smallsize},
    {0},
};

const struct theseus_plugin theseus_plugin = {
    .abi = THESEUS_ABI,
    .size = offsetof(struct theseus_plugin, flags),
    .name = "smallsize",
    .version = "1",
    .tools = tools,
    .flags = ~0u,
};
