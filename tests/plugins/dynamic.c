/* Adds and removes tools while it runs. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include <theseus/plugin.h>

struct dynamic {
    struct theseus_ctx *ctx;
    pthread_mutex_t lock;
    int grown;
};

static int start(struct theseus_ctx *ctx, void **ret_self, struct theseus_error *err) {
    struct dynamic *dynamic = calloc(1, sizeof(*dynamic));

    if (!dynamic)
        return theseus_fail(err, "no memory");
    dynamic->ctx = ctx;
    (void)pthread_mutex_init(&dynamic->lock, NULL);
    *ret_self = dynamic;
    return 0;
}

static void stop(void *self) {
    struct dynamic *dynamic = self;

    (void)pthread_mutex_destroy(&dynamic->lock);
    free(dynamic);
}

static int grown(struct theseus_call *call, void *self, const json_t *args) {
    (void)self;
    (void)args;
    return theseus_reply_text(call, "I am %s", theseus_tool_name(call));
}

static int grow_one(struct dynamic *dynamic) {
    char name[32];
    const struct theseus_tool tool = {
        .name = name, .description = "Came while the server ran.", .flags = THESEUS_READ_ONLY, .call = grown};

    (void)snprintf(name, sizeof(name), "grown_%d", dynamic->grown + 1);
    if (theseus_tool_add(dynamic->ctx, &tool) < 0)
        return -1;
    return ++dynamic->grown;
}

static int grow(struct theseus_call *call, void *self, const json_t *args) {
    struct dynamic *dynamic = self;

    (void)args;
    (void)pthread_mutex_lock(&dynamic->lock);
    int n = grow_one(dynamic);
    (void)pthread_mutex_unlock(&dynamic->lock);
    if (n < 0)
        return theseus_reply_error(call, "did not grow: %s", theseus_last_error(call->host));
    return theseus_reply_text(call, "grown_%d", n);
}

static int shrink_one(struct dynamic *dynamic) {
    char name[32];

    (void)snprintf(name, sizeof(name), "grown_%d", dynamic->grown);
    if (theseus_tool_remove(dynamic->ctx, name) < 0)
        return -1;
    return dynamic->grown--;
}

static int shrink(struct theseus_call *call, void *self, const json_t *args) {
    struct dynamic *dynamic = self;

    (void)args;
    (void)pthread_mutex_lock(&dynamic->lock);
    int n = shrink_one(dynamic);
    (void)pthread_mutex_unlock(&dynamic->lock);
    if (n < 0)
        return theseus_reply_error(call, "did not shrink: %s", theseus_last_error(call->host));
    return theseus_reply_text(call, "grown_%d", n);
}

static const struct theseus_tool tools[] = {
    {.name = "grow", .description = "Adds a tool grown_N.", .call = grow},
    {.name = "shrink", .description = "Removes the newest tool grown_N.", .call = shrink},
    {0},
};

const struct theseus_plugin theseus_plugin = {
    .abi = THESEUS_ABI,
    .size = sizeof(struct theseus_plugin),
    .name = "dynamic",
    .version = "1",
    .start = start,
    .stop = stop,
    .tools = tools,
};
