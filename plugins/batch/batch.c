/*
 * Batch: a list of tool calls, run in order as one call, that goes on behind a restart.
 *
 * Before a step is entered, a checkpoint says so and carries the results of all steps before it. If the process is
 * replaced, the next run of this very call finds the checkpoint: steps that are over are not run again; a step that was
 * entered and has no result is run again if its tool is read-only or idempotent. If not, nobody knows whether it had
 * its effect, and its result says just that: "uncertain".
 *
 * Invariant: no step is entered before the checkpoint that says so has been recorded. A step whose checkpoint cannot be
 * recorded is not run, and neither is what follows it.
 *
 * A tool may be called here if it may be called by its name ([access] call_by_name): a host whose user has allowed this
 * tool for good has not thereby allowed every other.
 */
#include "batch.h"

#include <string.h>

const char *batch_tool(const struct batch *batch, size_t index) {
    return json_string_value(json_object_get(json_array_get(batch->calls, index), "tool"));
}

/* Does a step with this status end the batch? */
static bool ends(const struct batch *batch, const char *status) {
    if (strcmp(status, "ok") == 0)
        return false;
    if (strcmp(status, "error") == 0)
        return !batch->continues_on_error;
    return strcmp(status, "uncertain") != 0 || !batch->continues_on_uncertain;
}

void batch_add(struct batch *batch, json_t *result) {
    const char *status = json_string_value(json_object_get(result, "status"));

    if (!status)
        status = "not_run"; /* there was no memory for it */
    if (ends(batch, status))
        batch->stopped = status;
    (void)json_array_append_new(batch->results, result);
    batch->next++;
}

/* THESEUS_DONE when the batch is over or nobody wants it any more; THESEUS_SUSPENDED: it is to go on later. */
static int run_steps(struct batch *batch) {
    struct theseus_call *call = batch->call;

    while (batch->next < batch->total && !batch->stopped) {
        if (theseus_cancelled(call))
            return THESEUS_DONE;
        if (theseus_suspending(call) && batch_note(batch, false) == 0)
            return THESEUS_SUSPENDED;
        theseus_progress(call, (double)batch->next, (double)batch->total, batch_tool(batch, batch->next));
        batch_add(batch, step_run(batch));
    }
    if (theseus_cancelled(call))
        return THESEUS_DONE;
    theseus_progress(call, (double)batch->next, (double)batch->total, batch->stopped);
    return batch_reply(batch);
}

static int begin(struct batch *batch) {
    struct theseus_call *call = batch->call;

    if (!batch->results)
        return theseus_reply_error(call, "no memory for the results");
    for (size_t i = 0; i < batch->total; i++)
        if (strcmp(batch_tool(batch, i), theseus_tool_name(call)) == 0)
            return theseus_reply_error(call, "calls[%zu]: '%s' does not call itself; put those calls into this list", i,
                                       theseus_tool_name(call));
    if (theseus_resume_state(call) && batch_restore(batch) < 0)
        return theseus_reply_error(call, "what was recorded of this call before the restart cannot be read, and what "
                                         "of it was done is not known");
    /* From here on it may be interrupted at any place. */
    if (batch_note(batch, false) < 0)
        return theseus_reply_error(call, "cannot record how far it gets: %s", theseus_last_error(call->host));
    return run_steps(batch);
}

static bool continues(const json_t *args, const char *key) {
    const char *value = json_string_value(json_object_get(args, key));

    return value && strcmp(value, "continue") == 0;
}

static int batch_call(struct theseus_call *call, void *self, const json_t *args) {
    const json_t *calls = json_object_get(args, "calls");
    struct batch batch = {
        .call = call,
        .calls = calls,
        .total = json_array_size(calls),
        .continues_on_error = continues(args, "on_error"),
        .continues_on_uncertain = continues(args, "on_uncertain"),
        .results = json_array(),
    };

    (void)self;
    int outcome = begin(&batch);
    json_decref(batch.results);
    return outcome;
}

static const struct theseus_tool tools[] = {
    {
        .name = "batch",
        .title = "Run several tools in order",
        .description =
            "Use this to run a known list of tool calls in order with one call, especially when a restart may come "
            "in between: it goes on at the next one. Stops at the first error unless on_error is continue. A call "
            "that a restart cut off and that must not be repeated is reported as uncertain.",
        .input_schema =
            "{\"type\": \"object\", \"properties\": {\"calls\": {\"type\": \"array\", \"minItems\": 1, \"maxItems\": "
            "100, \"items\": {\"type\": \"object\", \"properties\": {\"tool\": {\"type\": \"string\", \"pattern\": "
            "\"^[A-Za-z0-9_-]{1,64}$\", \"description\": \"its name\"}, \"arguments\": {\"type\": \"object\", "
            "\"description\": \"as that tool's own input schema wants them\"}}, \"required\": [\"tool\"], "
            "\"additionalProperties\": false}}, "
            "\"on_error\": {\"type\": \"string\", \"enum\": [\"stop\", \"continue\"], \"default\": \"stop\"}, "
            "\"on_uncertain\": {\"type\": \"string\", \"enum\": [\"stop\", \"continue\"], \"default\": \"stop\"}}, "
            "\"required\": [\"calls\"], \"additionalProperties\": false}",
        .output_schema =
            "{\"type\": \"object\", \"properties\": {\"results\": {\"type\": \"array\", \"items\": {\"type\": "
            "\"object\", \"properties\": {\"index\": {\"type\": \"integer\"}, \"tool\": {\"type\": \"string\"}, "
            "\"status\": {\"type\": \"string\", \"enum\": [\"ok\", \"error\", \"uncertain\", \"not_run\"]}, "
            "\"content\": {\"type\": \"array\", \"description\": \"what the tool answered\"}, \"text\": {\"type\": "
            "\"string\", \"description\": \"why not, or an answer that was cut\"}}, \"required\": [\"index\", "
            "\"tool\", \"status\"]}}, "
            "\"completed\": {\"type\": \"integer\", \"description\": \"calls whose status is ok\"}, "
            "\"total\": {\"type\": \"integer\"}, "
            "\"stopped_at\": {\"type\": \"integer\", \"description\": \"index of the call that ended it early\"}, "
            "\"resumed\": {\"type\": \"integer\", \"description\": \"how often it went on from a checkpoint\"}}, "
            "\"required\": [\"results\", \"completed\", \"total\", \"resumed\"]}",
        .flags = THESEUS_RESUMABLE | THESEUS_DESTRUCTIVE, /* what it calls may be so */
        .call = batch_call,
    },
    {0},
};

const struct theseus_plugin theseus_plugin = {
    .abi = THESEUS_ABI,
    .size = sizeof(struct theseus_plugin),
    .name = "batch",
    .version = "1.0.0",
    .description = "Runs a list of tool calls in order, and goes on with it after a restart.",
    .tools = tools,
};
