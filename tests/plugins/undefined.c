/* Calls a function that nobody defines; linked without -z defs, so that this shows when it is loaded. */
#include <theseus/plugin.h>

extern int theseus_fixture_nowhere(void);

static int call(struct theseus_call *call, void *self, const json_t *args) {
    (void)self;
    (void)args;
    return theseus_reply_text(call, "%d", theseus_fixture_nowhere());
}

static const struct theseus_tool tools[] = {
    {.name = "undefined", .description = "Never to be seen.", .call = call},
    {0},
};

const struct theseus_plugin theseus_plugin = {
    .abi = THESEUS_ABI,
    .size = sizeof(struct theseus_plugin),
    .name = "undefined",
    .version = "1",
    .tools = tools,
};
