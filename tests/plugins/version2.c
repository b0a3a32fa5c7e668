/* Replaces version1.c: another answer, and one more tool. */
#include <time.h>

#include <theseus/plugin.h>

#define WORD "two"

/* By the clock: a thousand naps of a millisecond take as long as the machine likes. */
static void wait_for(struct theseus_call *call, json_int_t ms) {
    const struct timespec step = {0, 1000000};
    struct timespec now, end;

    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += ms / 1000;
    end.tv_nsec += ms % 1000 * 1000000;
    do {
        (void)nanosleep(&step, NULL);
        (void)clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((now.tv_sec - end.tv_sec) * 1000000000 + now.tv_nsec - end.tv_nsec < 0 && !theseus_cancelled(call));
}

static int version(struct theseus_call *call, void *self, const json_t *args) {
    (void)self;
    wait_for(call, json_integer_value(json_object_get(args, "ms")));
    return theseus_reply_text(call, WORD);
}

static int extra(struct theseus_call *call, void *self, const json_t *args) {
    (void)self;
    (void)args;
    return theseus_reply_text(call, "only in two");
}

static const struct theseus_tool tools[] = {
    {.name = "version",
     .description = "Says which version answers, after a while.",
     .input_schema = "{\"type\":\"object\",\"properties\":{\"ms\":{\"type\":\"integer\",\"minimum\":0,"
                     "\"maximum\":600000}},\"additionalProperties\":false}",
     .flags = THESEUS_READ_ONLY,
     .call = version},
    {.name = "version_extra",
     .description = "Is there in the second version only.",
     .flags = THESEUS_READ_ONLY,
     .call = extra},
    {0},
};

const struct theseus_plugin theseus_plugin = {
    .abi = THESEUS_ABI,
    .size = sizeof(struct theseus_plugin),
    .name = "version",
    .version = "2.0",
    .tools = tools,
};
