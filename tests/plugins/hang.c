/* Tools and slots that do not come back; a tool does when the file appears that it is told. */
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <theseus/plugin.h>

static void wait_a_moment(void) {
    struct timespec time = {0, 2000000};

    (void)nanosleep(&time, NULL);
}

/* It does not ask whether anybody still wants it. */
static int hang(struct theseus_call *call, void *self, const json_t *args) {
    const char *path = json_string_value(json_object_get(args, "until"));

    (void)self;
    theseus_progress(call, 1, 1, "hanging");
    while (!path || access(path, F_OK) < 0)
        wait_a_moment();
    return theseus_reply_text(call, "came back");
}

static int hang_inside(struct theseus_call *call, void *self, const json_t *args) {
    json_t *result = NULL;

    (void)self;
    if (theseus_call_tool(call, "hang", json_incref((json_t *)(size_t)args), &result) < 0)
        return theseus_reply_error(call, "the inner call failed");
    return theseus_reply(call, result);
}

/* Burns time where the whole server waits for it. */
static int hang_loop(struct theseus_call *call, void *self, const json_t *args) {
    const char *path = json_string_value(json_object_get(args, "until"));
    volatile unsigned long rounds = 0;

    (void)self;
    while (!path || access(path, F_OK) < 0)
        for (int i = 0; i < 1000; i++)
            rounds++;
    return theseus_reply_text(call, "came back");
}

static void hang_if(const json_t *config, const char *slot) {
    const char *where = json_string_value(json_object_get(config, "hang"));

    while (where && strcmp(where, slot) == 0)
        (void)pause();
}

static int start(struct theseus_ctx *ctx, void **ret_self, struct theseus_error *err) {
    (void)err;
    *ret_self = ctx;
    return 0;
}

static int check(void *self, const json_t *config, struct theseus_error *err) {
    (void)self, (void)err;
    hang_if(config, "check");
    return 0;
}

static int configure(void *self, const json_t *config, struct theseus_error *err) {
    (void)self, (void)err;
    hang_if(config, "configure");
    return 0;
}

#define ARGUMENTS                                                            \
    "{\"type\":\"object\",\"properties\":{\"until\":{\"type\":\"string\"}}," \
    "\"additionalProperties\":false}"

static const struct theseus_tool tools[] = {
    {.name = "hang", .description = "Waits for a file.", .input_schema = ARGUMENTS, .call = hang},
    {.name = "hang_inside", .description = "Calls hang.", .input_schema = ARGUMENTS, .call = hang_inside},
    {.name = "hang_loop",
     .description = "Waits for a file on the loop's thread.",
     .input_schema = ARGUMENTS,
     .flags = THESEUS_INLINE,
     .call = hang_loop},
    {0},
};

const struct theseus_plugin theseus_plugin = {
    .abi = THESEUS_ABI,
    .size = sizeof(struct theseus_plugin),
    .name = "hang",
    .version = "1",
    .config_schema = "{\"type\":\"object\",\"properties\":{\"hang\":{\"enum\":[\"never\",\"check\",\"configure\"],"
                     "\"type\":\"string\",\"default\":\"never\"}},\"additionalProperties\":false}",
    .start = start,
    .check = check,
    .configure = configure,
    .tools = tools,
};
