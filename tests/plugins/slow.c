/* Takes as long as it is told, on the thread of the call or on one of its own. */
#include <stdlib.h>
#include <time.h>

#include <theseus/plugin.h>

struct job {
    struct theseus_call *call;
    long ms, steps;
};

static void sleep_ms(long ms) {
    struct timespec time = {ms / 1000, ms % 1000 * 1000000};

    (void)nanosleep(&time, NULL);
}

/* False: the client has cancelled. */
static bool wait_ms(struct theseus_call *call, long ms) {
    while (ms > 0 && !theseus_cancelled(call)) {
        long part = ms < 5 ? ms : 5;
        sleep_ms(part);
        ms -= part;
    }
    return !theseus_cancelled(call);
}

static int work(const struct job *job) {
    long done = 0;

    for (long step = 1; step <= job->steps; step++) {
        long until = job->ms * step / job->steps;
        if (!wait_ms(job->call, until - done))
            return theseus_reply_error(job->call, "cancelled at step %ld", step);
        done = until;
        theseus_progress(job->call, (double)step, (double)job->steps, "working");
    }
    return theseus_reply_text(job->call, "slept %ld ms in %ld steps", job->ms, job->steps);
}

static struct job job_of(struct theseus_call *call, const json_t *args) {
    const json_t *steps = json_object_get(args, "steps");

    return (struct job){call, (long)json_integer_value(json_object_get(args, "ms")),
                        steps ? (long)json_integer_value(steps) : 1};
}

static int slow(struct theseus_call *call, void *self, const json_t *args) {
    const struct job job = job_of(call, args);

    (void)self;
    return work(&job);
}

static void run_later(void *arg) {
    struct job *job = arg;

    (void)work(job);
    free(job);
}

static int slow_later(struct theseus_call *call, void *self, const json_t *args) {
    struct theseus_ctx *ctx = self;
    struct job *job = malloc(sizeof(*job));

    if (!job)
        return theseus_reply_error(call, "no memory");
    *job = job_of(call, args);
    if (theseus_thread(ctx, run_later, job) < 0) {
        free(job);
        return theseus_reply_error(call, "no thread: %s", theseus_last_error(ctx->host));
    }
    return THESEUS_LATER;
}

static int start(struct theseus_ctx *ctx, void **ret_self, struct theseus_error *err) {
    (void)err;
    *ret_self = ctx;
    return 0;
}

#define ARGUMENTS                                                         \
    "{\"type\":\"object\",\"properties\":{"                               \
    "\"ms\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":600000},"     \
    "\"steps\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":100000}}," \
    "\"required\":[\"ms\"],\"additionalProperties\":false}"

static const struct theseus_tool tools[] = {
    {.name = "slow",
     .description = "Sleeps on the worker that runs it.",
     .input_schema = ARGUMENTS,
     .flags = THESEUS_READ_ONLY,
     .call = slow,
     .timeout = 700},
    {.name = "slow_later",
     .description = "Sleeps on a thread of its own and answers from there.",
     .input_schema = ARGUMENTS,
     .flags = THESEUS_READ_ONLY,
     .call = slow_later,
     .timeout = 700},
    {0},
};

const struct theseus_plugin theseus_plugin = {
    .abi = THESEUS_ABI,
    .size = sizeof(struct theseus_plugin),
    .name = "slow",
    .version = "1",
    .start = start,
    .tools = tools,
};
