/* Counts in memory and hands the count to the next generation. */
#include <pthread.h>
#include <stdlib.h>

#include <theseus/plugin.h>

struct counter {
    pthread_mutex_t lock;
    json_int_t count;
};

static int start(struct theseus_ctx *ctx, void **ret_self, struct theseus_error *err) {
    struct counter *counter = calloc(1, sizeof(*counter));

    if (!counter)
        return theseus_fail(err, "no memory");
    (void)pthread_mutex_init(&counter->lock, NULL);
    counter->count = json_integer_value(json_object_get(theseus_saved(ctx), "count"));
    *ret_self = counter;
    return 0;
}

static void stop(void *self) {
    struct counter *counter = self;

    (void)pthread_mutex_destroy(&counter->lock);
    free(counter);
}

static json_int_t add(struct counter *counter, int by) {
    (void)pthread_mutex_lock(&counter->lock);
    json_int_t count = counter->count += by;
    (void)pthread_mutex_unlock(&counter->lock);
    return count;
}

static json_t *save(void *self) {
    return json_pack("{s:I}", "count", add(self, 0));
}

static int count(struct theseus_call *call, void *self, const json_t *args) {
    (void)args;
    return theseus_reply_json(call, json_pack("{s:I}", "count", add(self, 1)));
}

static int counted(struct theseus_call *call, void *self, const json_t *args) {
    (void)args;
    return theseus_reply_json(call, json_pack("{s:I}", "count", add(self, 0)));
}

#define RESULT "{\"type\":\"object\",\"properties\":{\"count\":{\"type\":\"integer\"}},\"required\":[\"count\"]}"

static const struct theseus_tool tools[] = {
    {.name = "count", .description = "Adds one and says the count.", .output_schema = RESULT, .call = count},
    {.name = "counted",
     .description = "Says the count.",
     .output_schema = RESULT,
     .flags = THESEUS_READ_ONLY,
     .call = counted},
    {0},
};

const struct theseus_plugin theseus_plugin = {
    .abi = THESEUS_ABI,
    .size = sizeof(struct theseus_plugin),
    .name = "counter",
    .version = "1",
    .start = start,
    .save = save,
    .stop = stop,
    .tools = tools,
};
