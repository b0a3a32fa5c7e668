/*
 * Needs a library that is not there. To link it one must exist: compiled with FIXTURE_LIBRARY, this file is that
 * library (soname libtheseus-nowhere.so.1), which nobody installs.
 */
#include <theseus/plugin.h>

extern int theseus_fixture_elsewhere(void);

#ifdef FIXTURE_LIBRARY
int theseus_fixture_elsewhere(void) {
    return 1;
}
#else
static int answer(struct theseus_call *call, void *self, const json_t *args) {
    (void)self;
    (void)args;
    return theseus_reply_text(call, "%d", theseus_fixture_elsewhere());
}

static const struct theseus_tool tools[] = {
    {.name = "needs", .description = "Never to be seen.", .call = answer},
    {0},
};

const struct theseus_plugin theseus_plugin = {
    .abi = THESEUS_ABI,
    .size = sizeof(struct theseus_plugin),
    .name = "needs",
    .version = "1",
    .tools = tools,
};
#endif
