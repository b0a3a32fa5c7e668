/* Keeps a count that `save` hands over, and can take its time over an addition: a replacement has to wait for it. Deaf,
 * it goes on whatever it is told. */
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include <theseus/plugin.h>

struct keeper {
    pthread_mutex_t lock;
    json_int_t count;
};

static int start(struct theseus_ctx *ctx, void **ret_self, struct theseus_error *err) {
    struct keeper *keeper = calloc(1, sizeof(*keeper));

    if (!keeper)
        return theseus_fail(err, "no memory");
    (void)pthread_mutex_init(&keeper->lock, NULL);
    keeper->count = json_integer_value(json_object_get(theseus_saved(ctx), "count"));
    *ret_self = keeper;
    return 0;
}

static void stop(void *self) {
    struct keeper *keeper = self;

    (void)pthread_mutex_destroy(&keeper->lock);
    free(keeper);
}

static json_int_t add(struct keeper *keeper, int by) {
    (void)pthread_mutex_lock(&keeper->lock);
    json_int_t count = keeper->count += by;
    (void)pthread_mutex_unlock(&keeper->lock);
    return count;
}

static json_t *save(void *self) {
    return json_pack("{s:I}", "count", add(self, 0));
}

static int keeper_add(struct theseus_call *call, void *self, const json_t *args) {
    const struct timespec step = {0, 1000000};
    bool deaf = json_is_true(json_object_get(args, "deaf"));

    for (json_int_t ms = json_integer_value(json_object_get(args, "ms")); ms > 0 && (deaf || !theseus_cancelled(call));
         ms--)
        (void)nanosleep(&step, NULL);
    return theseus_reply_json(call, json_pack("{s:I}", "count", add(self, 1)));
}

static const struct theseus_tool tools[] = {
    {.name = "keeper_add",
     .description = "Adds one, after a while, and says the count.",
     .input_schema = "{\"type\":\"object\",\"properties\":{\"ms\":{\"type\":\"integer\",\"minimum\":0,"
                     "\"maximum\":600000},\"deaf\":{\"type\":\"boolean\"}},\"additionalProperties\":false}",
     .call = keeper_add},
    {0},
};

const struct theseus_plugin theseus_plugin = {
    .abi = THESEUS_ABI,
    .size = sizeof(struct theseus_plugin),
    .name = "keeper",
    .version = "1",
    .start = start,
    .save = save,
    .stop = stop,
    .tools = tools,
};
