/* Says that it replied, and did not; or returns a number that means nothing. */
#include <theseus/plugin.h>

static int noreply(struct theseus_call *call, void *self, const json_t *args) {
    (void)call;
    (void)self;
    (void)args;
    return THESEUS_DONE;
}

static int nonsense(struct theseus_call *call, void *self, const json_t *args) {
    (void)call;
    (void)self;
    (void)args;
    return 4711;
}

static const struct theseus_tool tools[] = {
    {.name = "noreply", .description = "Never answers.", .flags = THESEUS_READ_ONLY, .call = noreply},
    {.name = "nonsense", .description = "Returns nonsense.", .flags = THESEUS_READ_ONLY, .call = nonsense},
    {0},
};

const struct theseus_plugin theseus_plugin = {
    .abi = THESEUS_ABI,
    .size = sizeof(struct theseus_plugin),
    .name = "noreply",
    .version = "1",
    .tools = tools,
};
