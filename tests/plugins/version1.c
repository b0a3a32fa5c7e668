/* The first of two files with one plugin name: version2.c replaces it. */
#include <time.h>

#include <theseus/plugin.h>

#define WORD "one"

static void wait_for(struct theseus_call *call, json_int_t ms) {
    const struct timespec step = {0, 1000000};

    for (; ms > 0 && !theseus_cancelled(call); ms--)
        (void)nanosleep(&step, NULL);
}

static int version(struct theseus_call *call, void *self, const json_t *args) {
    (void)self;
    wait_for(call, json_integer_value(json_object_get(args, "ms")));
    return theseus_reply_text(call, WORD);
}

static const struct theseus_tool tools[] = {
    {.name = "version",
     .description = "Says which version answers, after a while.",
     .input_schema = "{\"type\":\"object\",\"properties\":{\"ms\":{\"type\":\"integer\",\"minimum\":0,"
                     "\"maximum\":600000}},\"additionalProperties\":false}",
     .flags = THESEUS_READ_ONLY,
     .call = version},
    {0},
};

const struct theseus_plugin theseus_plugin = {
    .abi = THESEUS_ABI,
    .size = sizeof(struct theseus_plugin),
    .name = "version",
    .version = "1.0",
    .tools = tools,
};
