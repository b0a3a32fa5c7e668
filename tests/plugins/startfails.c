/* Its start fails. */
#include <theseus/plugin.h>

static int answer(struct theseus_call *call, void *self, const json_t *args) {
    (void)self;
    (void)args;
    return theseus_reply_text(call, "never");
}

static int fails(struct theseus_ctx *ctx, void **ret_self, struct theseus_error *err) {
    (void)ctx;
    (void)ret_self;
    return theseus_fail(err, "the fixture does not want to start");
}

static const struct theseus_tool tools[] = {
    {.name = "startfails", .description = "Never to be seen.", .call = answer},
    {0},
};

const struct theseus_plugin theseus_plugin = {
    .abi = THESEUS_ABI,
    .size = sizeof(struct theseus_plugin),
    .name = "startfails",
    .version = "1",
    .start = fails,
    .tools = tools,
};
