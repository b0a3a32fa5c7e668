/*
 * One step: asked for leave, recorded, run; and what is kept of its answer.
 *
 * Results are part of every checkpoint that follows, so they have a size in common, of which each step has its share.
 * An answer that is longer is cut to its text.
 */
#include <stdio.h>
#include <stdlib.h>

#include "batch.h"

enum { RESULTS_BYTES = 1 << 20 }; /* as JSON text, of all steps together */

json_t *step_result_new(const struct batch *batch, const char *status, const char *text) {
    return json_pack("{s:I, s:s, s:s, s:s*}", "index", (json_int_t)batch->next, "tool", batch_tool(batch, batch->next),
                     "status", status, "text", text);
}

/* Bytes that the character takes in a JSON string. */
static size_t cost(unsigned char byte) {
    if (byte < 0x20)
        return 6;
    return byte == '"' || byte == '\\' ? 2 : 1;
}

/* How many bytes of the text fit into *room, which shrinks by what they take; whole characters only. */
static size_t fitting(const char *text, size_t len, size_t *room) {
    size_t fits = 0;

    while (fits < len && cost((unsigned char)text[fits]) <= *room)
        *room -= cost((unsigned char)text[fits++]);
    if (fits == len)
        return len;
    *room = 0;
    while (fits > 0 && ((unsigned char)text[fits] & 0xC0) == 0x80)
        fits--;
    return fits;
}

/* The beginning of the texts of `content`, as a JSON string that takes about `room` bytes; and a note. */
static json_t *cut_new(const json_t *content, size_t room, size_t whole) {
    char *buffer = NULL;
    size_t size = 0, i;
    const json_t *item;
    FILE *out = open_memstream(&buffer, &size);

    if (!out)
        return NULL;
    json_array_foreach (content, i, item) {
        const json_t *text = json_object_get(item, "text");
        if (json_is_string(text))
            (void)fwrite(json_string_value(text), 1, fitting(json_string_value(text), json_string_length(text), &room),
                         out);
    }
    (void)fprintf(out, "\n[cut: the whole answer has %zu bytes; call the tool by itself to see all of it]", whole);
    json_t *cut = fclose(out) == 0 ? json_stringn(buffer, size) : NULL;
    free(buffer);
    return cut;
}

/* From the tool's answer, a CallToolResult. */
static json_t *answered_new(const struct batch *batch, const json_t *answer) {
    json_t *content = json_object_get(answer, "content");
    size_t size = json_dumpb(content, NULL, 0, JSON_COMPACT), share = RESULTS_BYTES / batch->total;
    const char *status = json_is_true(json_object_get(answer, "isError")) ? "error" : "ok";
    json_t *result = step_result_new(batch, status, NULL);

    if (size <= share)
        (void)json_object_set(result, "content", content);
    else
        (void)json_object_set_new(result, "text", cut_new(content, share, size));
    return result;
}

static json_t *failed_new(const struct batch *batch) {
    return step_result_new(batch, "error", theseus_last_error(batch->call->host));
}

/* NULL: it may be called. Else the result of a step that may not. */
static json_t *refusal_new(const struct batch *batch) {
    json_t *question = json_pack("{s:s}", "name", batch_tool(batch, batch->next));
    json_t *answer = theseus_control(batch->call, "may_call", question), *refusal = NULL;
    const char *error = json_string_value(json_object_get(answer, "error"));

    if (error)
        refusal = step_result_new(batch, "error", error);
    else if (!answer)
        refusal = failed_new(batch);
    json_decref(answer);
    json_decref(question);
    return refusal;
}

json_t *step_run(const struct batch *batch) {
    const json_t *wanted = json_array_get(batch->calls, batch->next);
    json_t *answer = NULL, *result = refusal_new(batch);

    if (result)
        return result;
    if (batch_note(batch, true) < 0)
        return step_result_new(batch, "not_run", theseus_last_error(batch->call->host));
    if (theseus_call_tool(batch->call, batch_tool(batch, batch->next),
                          json_incref(json_object_get(wanted, "arguments")), &answer) < 0)
        return failed_new(batch);
    result = answered_new(batch, answer);
    json_decref(answer);
    return result;
}
