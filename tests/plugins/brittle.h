/* A plugin in three versions: the second crashes when it is asked to, the others never do. */
#include <stdlib.h>

#include <theseus/plugin.h>

#define TEXT_OF(number) #number
#define TEXT(number) TEXT_OF(number)

#if BRITTLE_VERSION == 2
/* Static, and never inline: the backtrace is to name it. */
static __attribute__((noinline)) void brittle_break(void) {
    abort();
}
#endif

static int answer(struct theseus_call *call, void *self, const json_t *args) {
    (void)self;
#if BRITTLE_VERSION == 2
    if (json_is_true(json_object_get(args, "crash")))
        brittle_break();
#else
    (void)args;
#endif
    return theseus_reply_text(call, "version " TEXT(BRITTLE_VERSION));
}

static const struct theseus_tool tools[] = {
    {.name = "brittle",
     .description = "Says which version answers; the second crashes when it is asked to.",
     .input_schema = "{\"type\":\"object\",\"properties\":{\"crash\":{\"type\":\"boolean\"}}}",
     .call = answer},
#if BRITTLE_VERSION == 2
    {.name = "brittle_new",
     .description = "Is there in the second version only.",
     .input_schema = "{\"type\":\"object\",\"properties\":{\"crash\":{\"type\":\"boolean\"}}}",
     .flags = THESEUS_READ_ONLY | THESEUS_INLINE,
     .call = answer},
#endif
    {0},
};

#if BRITTLE_VERSION == 2
static int start(struct theseus_ctx *ctx, void **ret_self, struct theseus_error *err) {
    const json_t *config = theseus_config(ctx);

    (void)ret_self;
    (void)err;
    if (json_is_true(json_object_get(config, "crash_in_start")))
        brittle_break();
    return 0;
}
#endif

const struct theseus_plugin theseus_plugin = {
    .abi = THESEUS_ABI,
    .size = sizeof(struct theseus_plugin),
    .name = "brittle",
    .version = TEXT(BRITTLE_VERSION) ".0",
    .tools = tools,
    .config_schema = "{\"type\":\"object\",\"properties\":{\"crash_in_start\":{\"type\":\"boolean\"}}}",
#if BRITTLE_VERSION == 2
    .start = start,
#endif
};
