/*
 * A tool of each kind of call. A run appends "begin TAG" to a file, takes its time, and appends "end TAG"; one that can
 * be resumed appends "step TAG N" for each step instead. So a test sees what was begun, and how often.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <theseus/plugin.h>

enum { STEP_MS = 5 };

struct job {
    struct theseus_call *call;
    const json_t *args;
};

static bool note(const json_t *args, const char *what, long number) {
    const char *file = json_string_value(json_object_get(args, "file"));
    const char *tag = json_string_value(json_object_get(args, "tag"));
    char line[256];
    int fd = open(file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0)
        return false;
    int len = number < 0 ? snprintf(line, sizeof(line), "%s %s\n", what, tag)
                         : snprintf(line, sizeof(line), "%s %s %ld\n", what, tag, number);
    bool written = write(fd, line, (size_t)len) == len;
    (void)close(fd);
    return written;
}

static void pause_ms(long ms) {
    struct timespec time = {ms / 1000, ms % 1000 * 1000000};

    (void)nanosleep(&time, NULL);
}

static long ms_of(const json_t *args) {
    return (long)json_integer_value(json_object_get(args, "ms"));
}

/* False: it is not wanted any more. */
static bool wait_for(struct theseus_call *call, long ms) {
    for (; ms > 0 && !theseus_cancelled(call); ms -= STEP_MS)
        pause_ms(STEP_MS);
    return !theseus_cancelled(call);
}

static int work(struct theseus_call *call, const json_t *args) {
    if (!note(args, "begin", -1))
        return theseus_reply_error(call, "the file cannot be written");
    if (!wait_for(call, ms_of(args)))
        return theseus_reply_error(call, "cancelled");
    if (!note(args, "end", -1))
        return theseus_reply_error(call, "the file cannot be written");
    return theseus_reply_text(call, "%s", json_string_value(json_object_get(args, "tag")));
}

static int run(struct theseus_call *call, void *self, const json_t *args) {
    (void)self;
    return work(call, args);
}

/* Loop thread: it takes no time. */
static int run_inline(struct theseus_call *call, void *self, const json_t *args) {
    (void)self;
    return note(args, "begin", -1) && note(args, "end", -1)
               ? theseus_reply_text(call, "%s", json_string_value(json_object_get(args, "tag")))
               : theseus_reply_error(call, "the file cannot be written");
}

static void run_job(void *arg) {
    struct job *job = arg;

    (void)work(job->call, job->args);
    free(job);
}

static int later(struct theseus_call *call, void *self, const json_t *args) {
    struct theseus_ctx *ctx = self;
    struct job *job = malloc(sizeof(*job));

    if (!job)
        return theseus_reply_error(call, "no memory");
    *job = (struct job){call, args};
    if (theseus_thread(ctx, run_job, job) >= 0)
        return THESEUS_LATER;
    free(job);
    return theseus_reply_error(call, "no thread: %s", theseus_last_error(ctx->host));
}

static int inner(struct theseus_call *call, void *self, const json_t *args) {
    json_t *result = NULL;

    (void)self;
    if (theseus_call_tool(call, "kind_once", json_deep_copy(args), &result) < 0)
        return theseus_reply_error(call, "%s", theseus_last_error(call->host));
    return theseus_reply(call, result);
}

static int resumable(struct theseus_call *call, void *self, const json_t *args) {
    long at = (long)json_integer_value(json_object_get(theseus_resume_state(call), "at"));

    (void)self;
    for (; at * STEP_MS < ms_of(args); at++) {
        if (theseus_cancelled(call))
            return theseus_reply_error(call, "cancelled");
        if (theseus_checkpoint(call, json_pack("{s:I}", "at", (json_int_t)at)) < 0)
            return theseus_reply_error(call, "no checkpoint: %s", theseus_last_error(call->host));
        if (theseus_suspending(call))
            return THESEUS_SUSPENDED;
        (void)note(args, "step", at);
        pause_ms(STEP_MS);
    }
    return theseus_reply_text(call, "%s", json_string_value(json_object_get(args, "tag")));
}

static int start(struct theseus_ctx *ctx, void **ret_self, struct theseus_error *err) {
    (void)err;
    *ret_self = ctx;
    return 0;
}

#define ARGUMENTS                                                                                       \
    "{\"type\":\"object\",\"properties\":{\"file\":{\"type\":\"string\"},\"tag\":{\"type\":\"string\"," \
    "\"maxLength\":64},\"ms\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":600000}},"                \
    "\"required\":[\"file\",\"tag\",\"ms\"],\"additionalProperties\":false}"

static const struct theseus_tool tools[] = {
    {.name = "kind_inline",
     .description = "On the loop, at once.",
     .input_schema = ARGUMENTS,
     .flags = THESEUS_INLINE,
     .call = run_inline},
    {.name = "kind_read",
     .description = "Changes nothing that counts.",
     .input_schema = ARGUMENTS,
     .flags = THESEUS_READ_ONLY,
     .call = run},
    {.name = "kind_idempotent",
     .description = "May run again.",
     .input_schema = ARGUMENTS,
     .flags = THESEUS_IDEMPOTENT,
     .call = run},
    {.name = "kind_once", .description = "May not run again.", .input_schema = ARGUMENTS, .call = run},
    {.name = "kind_serial",
     .description = "May neither run again nor beside itself.",
     .input_schema = ARGUMENTS,
     .flags = THESEUS_SERIAL,
     .call = run},
    {.name = "kind_later",
     .description = "May not run again, and is answered from a thread of its own.",
     .input_schema = ARGUMENTS,
     .call = later},
    {.name = "kind_inner",
     .description = "Calls one that may not run again.",
     .input_schema = ARGUMENTS,
     .call = inner},
    {.name = "kind_resumable",
     .description = "Goes on from its last checkpoint.",
     .input_schema = ARGUMENTS,
     .flags = THESEUS_RESUMABLE,
     .call = resumable},
    {.name = "kind_careless",
     .description = "Could be resumed, but makes no checkpoint.",
     .input_schema = ARGUMENTS,
     .flags = THESEUS_RESUMABLE,
     .call = run},
    {0},
};

const struct theseus_plugin theseus_plugin = {
    .abi = THESEUS_ABI,
    .size = sizeof(struct theseus_plugin),
    .name = "kinds",
    .version = "1",
    .start = start,
    .tools = tools,
    .flags = THESEUS_SHARED_STATE,
};
