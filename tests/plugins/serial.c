/* Finds out how many runs of a tool there are at a time: one with THESEUS_SERIAL, one without. */
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include <theseus/plugin.h>

struct runs {
    int now, most;
};

struct serial {
    pthread_mutex_t lock;
    struct runs serial, parallel;
};

static int start(struct theseus_ctx *ctx, void **ret_self, struct theseus_error *err) {
    struct serial *serial = calloc(1, sizeof(*serial));

    (void)ctx;
    if (!serial)
        return theseus_fail(err, "no memory");
    (void)pthread_mutex_init(&serial->lock, NULL);
    *ret_self = serial;
    return 0;
}

static void stop(void *self) {
    struct serial *serial = self;

    (void)pthread_mutex_destroy(&serial->lock);
    free(serial);
}

static int run(struct theseus_call *call, struct serial *serial, struct runs *runs, const json_t *args) {
    json_int_t ms = json_integer_value(json_object_get(args, "ms"));
    const struct timespec time = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};

    (void)pthread_mutex_lock(&serial->lock);
    runs->now++;
    if (runs->now > runs->most)
        runs->most = runs->now;
    (void)pthread_mutex_unlock(&serial->lock);
    (void)nanosleep(&time, NULL);
    (void)pthread_mutex_lock(&serial->lock);
    runs->now--;
    int most = runs->most;
    (void)pthread_mutex_unlock(&serial->lock);
    return theseus_reply_json(call, json_pack("{s:i}", "most", most));
}

static int serial_call(struct theseus_call *call, void *self, const json_t *args) {
    struct serial *serial = self;

    return run(call, serial, &serial->serial, args);
}

static int parallel_call(struct theseus_call *call, void *self, const json_t *args) {
    struct serial *serial = self;

    return run(call, serial, &serial->parallel, args);
}

#define ARGUMENTS                                                                                          \
    "{\"type\":\"object\",\"properties\":{\"ms\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":10000}}," \
    "\"additionalProperties\":false}"

static const struct theseus_tool tools[] = {
    {.name = "serial",
     .description = "Never runs beside itself; says how many runs it saw at a time.",
     .input_schema = ARGUMENTS,
     .flags = THESEUS_READ_ONLY | THESEUS_SERIAL,
     .call = serial_call},
    {.name = "parallel",
     .description = "May run beside itself; says how many runs it saw at a time.",
     .input_schema = ARGUMENTS,
     .flags = THESEUS_READ_ONLY,
     .call = parallel_call},
    {0},
};

const struct theseus_plugin theseus_plugin = {
    .abi = THESEUS_ABI,
    .size = sizeof(struct theseus_plugin),
    .name = "serial",
    .version = "1",
    .start = start,
    .stop = stop,
    .tools = tools,
};
