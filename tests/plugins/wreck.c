/*
 * Wrecks the process that it is in, in every way that a tool can; beside that, calls of each kind that take as long as
 * they are told, and what there is to be seen of a plugin that was started again.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <theseus/plugin.h>

struct wreck {
    struct theseus_ctx *ctx;
    bool active;
    int calls;
};

static void pause_ms(json_int_t ms) {
    const struct timespec time = {ms / 1000, ms % 1000 * 1000000};

    (void)nanosleep(&time, NULL);
}

/* ---- ways to die ---- */

/* A sanitizer would say so and leave, and no signal would come. */
__attribute__((no_sanitize("undefined"))) static void by_null(void) {
    *(volatile int *)NULL = 1;
}

static int deeper(volatile char *above, int levels) {
    volatile char here[4096];

    here[0] = above ? above[0] : 0;
    return levels == 0 ? here[0] : deeper(here, levels - 1) + here[1];
}

static void by_stack(void) {
    (void)deeper(NULL, 1 << 30);
}

/* More than any test allows, and less than would hurt the machine. */
static void by_memory(void) {
    for (size_t i = 0; i < 64; i++)
        memset(malloc(16 << 20), 1, 16 << 20);
}

/* Keeps all that it can get, by and by in smaller pieces, and minds being refused. */
static void by_leaking(void) {
    for (size_t size = 4 << 20; size >= 64; size /= 2)
        for (size_t i = 0; i < 1 << 16; i++) {
            void **piece = malloc(size);
            if (!piece)
                break;
            *piece = piece; /* else the compiler would do without it */
            __asm__ volatile("" : : "r"(piece) : "memory");
        }
}

static void by_hanging(void) {
    for (;;)
        pause_ms(1000);
}

static void by_leaving(void) {
    _exit(3);
}

static void on_every_socket(void (*act)(int fd)) {
    for (int fd = 3; fd < 64; fd++)
        act(fd);
}

static void write_garbage(int fd) {
    static const char garbage[] = "\x07\0\0\0garbage";

    (void)!write(fd, garbage, sizeof(garbage) - 1);
}

static void write_length(int fd) {
    (void)!write(fd, "\xff\xff\xff\xff", 4);
}

static void write_nonsense(int fd) {
    static const char nonsense[] = "\x0b\0\0\0{\"tell\":17}";

    (void)!write(fd, nonsense, sizeof(nonsense) - 1);
}

static void close_it(int fd) {
    (void)close(fd);
}

static void by_garbage(void) {
    on_every_socket(write_garbage);
    by_hanging();
}

static void by_length(void) {
    on_every_socket(write_length);
    by_hanging();
}

static void by_nonsense(void) {
    on_every_socket(write_nonsense);
    by_hanging();
}

static void by_closing(void) {
    on_every_socket(close_it);
    by_hanging();
}

static const struct {
    const char *how;
    void (*act)(void);
} ways[] = {
    {"null", by_null},     {"abort", abort},          {"stack", by_stack},   {"memory", by_memory},
    {"leak", by_leaking},  {"hang", by_hanging},      {"exit", by_leaving},  {"garbage", by_garbage},
    {"length", by_length}, {"nonsense", by_nonsense}, {"close", by_closing},
};

static void act(const char *how) {
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
        if (strcmp(ways[i].how, how) == 0)
            ways[i].act();
}

static const char *how_of(const json_t *args) {
    return json_string_value(json_object_get(args, "how"));
}

static int wreck(struct theseus_call *call, void *self, const json_t *args) {
    (void)self;
    act(how_of(args));
    return theseus_reply_text(call, "still here");
}

/* It is answered before that. */
static int wreck_behind(struct theseus_call *call, void *self, const json_t *args) {
    char how[32];

    (void)self;
    (void)snprintf(how, sizeof(how), "%s", how_of(args));
    (void)theseus_reply_text(call, "done");
    act(how);
    return THESEUS_DONE;
}

static int never(struct theseus_call *call, void *self, const json_t *args) {
    (void)self, (void)args;
    theseus_progress(call, 1, 1, "never");
    return THESEUS_LATER;
}

/* ---- calls that others may cut off ---- */

static int sit(struct theseus_call *call, void *self, const json_t *args) {
    (void)self;
    theseus_progress(call, 1, 1, "sitting");
    pause_ms(json_integer_value(json_object_get(args, "ms")));
    return theseus_reply_text(call, "sat");
}

/* Three steps; each run says where it began. */
static int steps(struct theseus_call *call, void *self, const json_t *args) {
    json_int_t from = json_integer_value(theseus_resume_state(call));

    (void)self;
    for (json_int_t step = from + 1; step <= 3; step++) {
        if (theseus_checkpoint(call, json_integer(step)) < 0)
            return theseus_reply_error(call, "%s", theseus_last_error(call->host));
        theseus_progress(call, (double)step, 3, NULL);
        pause_ms(step == 2 && from == 0 ? json_integer_value(json_object_get(args, "ms")) : 0);
    }
    return theseus_reply_text(call, "from %d", (int)from);
}

/* ---- what there is to be seen ---- */

static json_t *one_more(const json_t *current, void *arg) {
    (void)arg;
    return json_integer(json_integer_value(current) + 1);
}

static int added(struct theseus_call *call, void *self, const json_t *args) {
    (void)self;
    (void)args;
    return theseus_reply_text(call, "%s from %d", (const char *)theseus_tool_data(call), (int)getpid());
}

static int start(struct theseus_ctx *ctx, void **ret_self, struct theseus_error *err) {
    const struct theseus_tool tool = {.name = "wreck_added",
                                      .description = "Was added when the plugin was started.",
                                      .flags = THESEUS_READ_ONLY,
                                      .call = added,
                                      .data = (void *)(uintptr_t) "added"};
    struct wreck *wreck = calloc(1, sizeof(*wreck));

    if (!wreck || theseus_state_update(ctx, "starts", one_more, NULL) < 0 || theseus_tool_add(ctx, &tool) < 0)
        return theseus_fail(err, "%s", theseus_last_error(ctx->host));
    wreck->ctx = ctx;
    *ret_self = wreck;
    const char *how = json_string_value(json_object_get(theseus_config(ctx), "start"));
    json_t *starts = theseus_state_get(ctx, "starts");
    if (how && json_integer_value(starts) > json_integer_value(json_object_get(theseus_config(ctx), "after")))
        act(how);
    json_decref(starts);
    return 0;
}

static int activate(void *self, struct theseus_error *err) {
    (void)err;
    ((struct wreck *)self)->active = true;
    return 0;
}

static void stop(void *self) {
    free(self);
}

static int seen(struct theseus_call *call, void *self, const json_t *args) {
    struct wreck *wreck = self;
    json_t *starts = theseus_state_get(wreck->ctx, "starts");

    (void)args;
    return theseus_reply_json(call, json_pack("{s:o?, s:b, s:i, s:i}", "starts", starts, "active", wreck->active,
                                              "calls", ++wreck->calls, "pid", (int)getpid()));
}

#define HOW "{\"type\": \"object\", \"properties\": {\"how\": {\"type\": \"string\"}}, \"required\": [\"how\"]}"
#define MS "{\"type\": \"object\", \"properties\": {\"ms\": {\"type\": \"integer\"}}}"

static const struct theseus_resource resources[] = {
    {.uri = "wreck://{how}", .name = "wreck", .description = "Wrecks its process when it is read.", .read = wreck},
    {0},
};

static const struct theseus_tool tools[] = {
    {.name = "wreck", .description = "Wrecks its process.", .input_schema = HOW, .call = wreck},
    {.name = "wreck_brief",
     .description = "The same, with little time.",
     .input_schema = HOW,
     .call = wreck,
     .timeout = 1},
    {.name = "wreck_inline",
     .description = "The same, and says that it never waits.",
     .input_schema = HOW,
     .flags = THESEUS_INLINE,
     .call = wreck},
    {.name = "wreck_read",
     .description = "The same, and says that it changes nothing.",
     .input_schema = HOW,
     .flags = THESEUS_READ_ONLY,
     .call = wreck},
    {.name = "wreck_schema",
     .description = "The same, with an output schema.",
     .input_schema = HOW,
     .output_schema = "{\"type\": \"object\"}",
     .call = wreck},
    {.name = "wreck_behind", .description = "Answers, then wrecks it.", .input_schema = HOW, .call = wreck_behind},
    {.name = "wreck_never", .description = "Never answers.", .call = never},
    {.name = "wreck_sit", .description = "Takes its time.", .input_schema = MS, .call = sit},
    {.name = "wreck_sit_again",
     .description = "The same, and may run again.",
     .input_schema = MS,
     .flags = THESEUS_IDEMPOTENT,
     .call = sit},
    {.name = "wreck_steps",
     .description = "Takes its time between checkpoints.",
     .input_schema = MS,
     .flags = THESEUS_RESUMABLE,
     .call = steps},
    {.name = "wreck_seen", .description = "Says what is to be seen.", .call = seen},
    {0},
};

const struct theseus_plugin theseus_plugin = {
    .abi = THESEUS_ABI,
    .size = sizeof(struct theseus_plugin),
    .name = "wreck",
    .version = "1.0.0",
    .tools = tools,
    .resources = resources,
    .start = start,
    .activate = activate,
    .stop = stop,
    .config_schema = "{\"type\": \"object\", \"properties\": {\"start\": {\"type\": \"string\"}, "
                     "\"after\": {\"type\": \"integer\", \"default\": 0}}}",
};
