/* Tools that take long: one that says so and goes on at its checkpoint, one that says so and fails, one that says
 * nothing. */
#include <stdio.h>
#include <time.h>

#include <theseus/plugin.h>

static void pause_ms(long ms) {
    struct timespec time = {ms / 1000, ms % 1000 * 1000000};

    (void)nanosleep(&time, NULL);
}

static long number(const json_t *args, const char *key) {
    return (long)json_integer_value(json_object_get(args, key));
}

static int long_steps(struct theseus_call *call, void *self, const json_t *args) {
    const long steps = number(args, "steps"), ms = number(args, "ms");
    long first = (long)json_integer_value(json_object_get(theseus_resume_state(call), "at"));

    (void)self;
    for (long at = first; at < steps; at++) {
        if (theseus_cancelled(call))
            return THESEUS_DONE;
        if (theseus_checkpoint(call, json_pack("{s:I}", "at", (json_int_t)at)) < 0)
            return theseus_reply_error(call, "no checkpoint: %s", theseus_last_error(call->host));
        if (theseus_suspending(call))
            return THESEUS_SUSPENDED;
        pause_ms(ms);
        theseus_progress(call, (double)at + 1, (double)steps, "stepping");
    }
    return theseus_reply_json(call,
                              json_pack("{s:I, s:I}", "steps", (json_int_t)steps, "resumed_at", (json_int_t)first));
}

static int long_fails(struct theseus_call *call, void *self, const json_t *args) {
    (void)self;
    pause_ms(number(args, "ms"));
    return theseus_reply_error(call, "it did not work out");
}

static int plain_wait(struct theseus_call *call, void *self, const json_t *args) {
    const long ms = number(args, "ms");

    (void)self;
    for (long waited = 0; waited < ms && !theseus_cancelled(call); waited += 10) {
        pause_ms(10);
        theseus_progress(call, (double)waited, (double)ms, "waiting");
    }
    return theseus_reply_text(call, "waited");
}

/* Who asks, and under which key: as text, which its progress tells as well. */
static int long_who(struct theseus_call *call, void *self, const json_t *args) {
    const struct theseus_client_info *client = theseus_client(call);
    const long ms = number(args, "ms");
    char who[512];

    (void)self;
    (void)snprintf(who, sizeof(who), "%s %s %s %s", theseus_call_key(call), client->name, client->session,
                   client->directory);
    for (long waited = 0; waited < ms && !theseus_cancelled(call); waited += 10) {
        theseus_progress(call, (double)waited, (double)ms, who);
        pause_ms(10);
    }
    return theseus_reply_text(call, "%s", who);
}

#define ARGUMENTS                           \
    "{\"type\":\"object\",\"properties\":{" \
    "\"steps\":{\"type\":\"integer\"},"     \
    "\"ms\":{\"type\":\"integer\"}},\"required\":[\"ms\"]}"

static const struct theseus_tool tools[] = {
    {.name = "long_steps",
     .description = "Takes steps.",
     .input_schema = ARGUMENTS,
     .flags = THESEUS_LONG | THESEUS_RESUMABLE,
     .call = long_steps},
    {.name = "long_fails",
     .description = "Fails after a while.",
     .input_schema = ARGUMENTS,
     .flags = THESEUS_LONG | THESEUS_IDEMPOTENT,
     .call = long_fails},
    {.name = "long_who",
     .description = "Says who asks.",
     .input_schema = ARGUMENTS,
     .flags = THESEUS_LONG | THESEUS_READ_ONLY,
     .call = long_who},
    {.name = "plain_wait", .description = "Waits.", .input_schema = ARGUMENTS, .call = plain_wait},
    {0},
};

const struct theseus_plugin theseus_plugin = {
    .abi = THESEUS_ABI,
    .size = sizeof(struct theseus_plugin),
    .name = "longwork",
    .version = "1",
    .tools = tools,
};
