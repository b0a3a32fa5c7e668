/* The checkpoint: {"next": index, "entered": bool, "results": [one for each step before it], "resumed": count}. */
#include "batch.h"

int batch_note(const struct batch *batch, bool entered) {
    /* The results are written out before this returns: sharing them is enough. */
    json_t *state = json_pack("{s:I, s:b, s:O, s:I}", "next", (json_int_t)batch->next, "entered", (int)entered,
                              "results", batch->results, "resumed", batch->resumed);

    return state ? theseus_checkpoint(batch->call, state) : -1;
}

/* May the step's tool be run although it may have had its effect already? */
static bool is_repeatable(const struct batch *batch) {
    json_t *question = json_pack("{s:s}", "name", batch_tool(batch, batch->next));
    json_t *answer = question ? theseus_control(batch->call, "tool", question) : NULL;
    bool repeatable =
        json_is_true(json_object_get(answer, "read_only")) || json_is_true(json_object_get(answer, "idempotent"));

    json_decref(answer);
    json_decref(question);
    return repeatable;
}

int batch_restore(struct batch *batch) {
    const json_t *state = theseus_resume_state(batch->call);
    json_t *results = json_object_get(state, "results");
    json_int_t next = json_integer_value(json_object_get(state, "next"));
    bool entered = json_is_true(json_object_get(state, "entered"));

    if (!json_is_array(results) || next < 0 || (size_t)next > batch->total || json_array_size(results) != (size_t)next)
        return -1;
    if (entered && (size_t)next == batch->total)
        return -1;
    batch->resumed = json_integer_value(json_object_get(state, "resumed")) + 1;
    /* One by one: whether one of them was to end the batch is decided as it was then. */
    for (size_t i = 0; i < (size_t)next; i++)
        batch_add(batch, json_deep_copy(json_array_get(results, i)));
    if (entered && !is_repeatable(batch))
        batch_add(batch, step_result_new(batch, "uncertain",
                                         "the server was restarted while this call ran: it may have executed, and is "
                                         "not run again"));
    return 0;
}
