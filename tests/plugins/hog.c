/* Takes all the memory that it can get, in different ways. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <theseus/plugin.h>

enum { BLOCK = 1 << 20, SMALL = 1 << 10, BLOCKS_MAX = 1 << 16, PART = 64 << 10, PARTS_LEFT = 12 };

struct hog {
    struct theseus_ctx *ctx;
    void *kept;    /* chain of blocks */
    json_t *parts; /* owned; NULL: none */
};

static size_t take(struct hog *hog, size_t size, size_t most) {
    size_t count = 0;

    for (void *block; count < most && (block = malloc(size)); count++) {
        memset(block, 1, size);
        memcpy(block, &hog->kept, sizeof(void *));
        hog->kept = block;
    }
    return count;
}

static void give_back(struct hog *hog) {
    json_decref(hog->parts);
    hog->parts = NULL;
    while (hog->kept) {
        void *block = hog->kept;
        memcpy(&hog->kept, block, sizeof(void *));
        free(block);
    }
}

/* Until nothing is left, down to the last kilobyte. */
static int hog_keep(struct theseus_call *call, void *self, const json_t *args) {
    size_t blocks = take(self, BLOCK, BLOCKS_MAX), small = take(self, SMALL, BLOCKS_MAX);

    (void)args;
    return theseus_reply_text(call, "%zu MiB and %zu KiB", blocks, small);
}

/* The same, and what the server has in reserve for what clients and plugins ask of it, but for a bit of that. */
static int hog_reserve(struct theseus_call *call, void *self, const json_t *args) {
    struct hog *hog = self;
    static char text[PART];

    (void)args;
    hog->parts = json_array();
    (void)take(self, BLOCK, BLOCKS_MAX);
    (void)take(self, SMALL, BLOCKS_MAX);
    memset(text, 'x', sizeof(text));
    for (json_t *part; (part = json_stringn(text, sizeof(text)));)
        if (json_array_append_new(hog->parts, part) < 0)
            break;
    for (int i = 0; i < PARTS_LEFT; i++)
        (void)json_array_remove(hog->parts, 0);
    return theseus_reply_text(call, "%zu parts", json_array_size(hog->parts));
}

static int hog_free(struct theseus_call *call, void *self, const json_t *args) {
    (void)args;
    give_back(self);
    return theseus_reply_text(call, "given back");
}

static int hog_polite(struct theseus_call *call, void *self, const json_t *args) {
    size_t blocks = take(self, BLOCK, BLOCKS_MAX);

    (void)args;
    give_back(self);
    return theseus_reply_error(call, "no memory after %zu MiB", blocks);
}

/* Does not look whether it got any. */
static int hog_careless(struct theseus_call *call, void *self, const json_t *args) {
    struct hog *hog = self;

    (void)args;
    while (!theseus_cancelled(call)) {
        void *block = malloc(BLOCK);
        memset(block, 1, BLOCK);
        memcpy(block, &hog->kept, sizeof(void *));
        hog->kept = block;
    }
    return theseus_reply_error(call, "cancelled");
}

/* A result that grows until jansson has no memory for it. */
static int hog_json(struct theseus_call *call, void *self, const json_t *args) {
    json_t *list = json_array();
    char text[SMALL];

    (void)self;
    (void)args;
    memset(text, 'x', sizeof(text));
    for (json_t *item; (item = json_stringn(text, sizeof(text)));)
        if (json_array_append_new(list, item) < 0)
            break;
    return theseus_reply_json(call, json_pack("{s:o}", "list", list));
}

/* Keys until one is refused. */
static int hog_state(struct theseus_call *call, void *self, const json_t *args) {
    struct theseus_ctx *ctx = ((struct hog *)self)->ctx;
    size_t bytes = (size_t)json_integer_value(json_object_get(args, "bytes"));
    char *text = malloc(bytes + 1), key[32];
    int count = 0;

    if (!text)
        return theseus_reply_error(call, "no memory");
    memset(text, 'x', bytes);
    for (; count < 1000000; count++) {
        (void)snprintf(key, sizeof(key), "key-%d", count);
        if (theseus_state_put(ctx, key, json_stringn(text, bytes)) < 0)
            break;
    }
    free(text);
    return theseus_reply_text(call, "%d: %s", count, theseus_last_error(ctx->host));
}

static int start(struct theseus_ctx *ctx, void **ret_self, struct theseus_error *err) {
    struct hog *hog = calloc(1, sizeof(*hog));

    if (!hog)
        return theseus_fail(err, "no memory");
    hog->ctx = ctx;
    *ret_self = hog;
    return 0;
}

static void stop(void *self) {
    give_back(self);
    free(self);
}

static const struct theseus_tool tools[] = {
    {.name = "hog_keep", .description = "Takes all and keeps it.", .call = hog_keep},
    {.name = "hog_reserve", .description = "Takes more than all.", .call = hog_reserve},
    {.name = "hog_free", .description = "Gives it back.", .flags = THESEUS_INLINE, .call = hog_free},
    {.name = "hog_polite", .description = "Takes all, and gives it back.", .call = hog_polite},
    {.name = "hog_careless", .description = "Takes all and more.", .call = hog_careless},
    {.name = "hog_json", .description = "Makes a result of all.", .call = hog_json},
    {.name = "hog_state",
     .description = "Fills the state.",
     .input_schema = "{\"type\":\"object\",\"properties\":{\"bytes\":{\"type\":\"integer\",\"minimum\":0}},"
                     "\"required\":[\"bytes\"]}",
     .call = hog_state},
    {0},
};

const struct theseus_plugin theseus_plugin = {
    .abi = THESEUS_ABI,
    .size = sizeof(struct theseus_plugin),
    .name = "hog",
    .version = "1",
    .start = start,
    .stop = stop,
    .tools = tools,
};
