/* Starts, and finds that it does not work. */
#include <theseus/plugin.h>

static int answer(struct theseus_call *call, void *self, const json_t *args) {
    (void)self;
    (void)args;
    return theseus_reply_text(call, "never");
}

static int fails(void *self, struct theseus_error *err) {
    (void)self;
    return theseus_fail(err, "the fixture does not work");
}

static const struct theseus_tool tools[] = {
    {.name = "selftestfails", .description = "Never to be seen.", .call = answer},
    {0},
};

const struct theseus_plugin theseus_plugin = {
    .abi = THESEUS_ABI,
    .size = sizeof(struct theseus_plugin),
    .name = "selftestfails",
    .version = "1",
    .selftest = fails,
    .tools = tools,
};
