/* A list of tool calls, and how far it has got. */
#pragma once

#include <theseus/plugin.h>

struct batch {
    struct theseus_call *call;
    const json_t *calls; /* borrowed from the arguments */
    size_t total, next;  /* steps; the one that is to be run */
    bool continues_on_error, continues_on_uncertain;
    json_t *results;     /* owned: one for each step that is over */
    json_int_t resumed;  /* how often it went on from a checkpoint */
    const char *stopped; /* status of the step that ended it early; NULL: none did */
};

/* ---- batch.c: the steps in their order ---- */

/* The name of the tool that step `index` calls; borrowed. */
const char *batch_tool(const struct batch *batch, size_t index);
/* The next step is over: keeps its result (stolen). */
void batch_add(struct batch *batch, json_t *result);

/* ---- state.c: what survives a restart ---- */

/* Records that the next step is about to be entered, or is not. 0, or -1 (theseus_last_error). */
int batch_note(const struct batch *batch, bool entered);
/*
 * Goes on where an earlier run of this call was; a step that it had entered is run again where that does no harm, else
 * its result is that nobody knows. 0, or -1: what was recorded is of no use.
 */
int batch_restore(struct batch *batch);

/* ---- step.c: one step ---- */

/* Runs the next step; its result (new reference). */
json_t *step_run(const struct batch *batch);
/* Of the next step, which was not run, or nobody knows. */
json_t *step_result_new(const struct batch *batch, const char *status, const char *text);

/* ---- report.c: the answer ---- */

/* Answers the call with all results; the steps that are left were not run. */
int batch_reply(struct batch *batch);
