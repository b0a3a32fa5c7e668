/* The answer: every step and what became of it, structured, and as text for those who do not read structured content.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "batch.h"

static const char *text_of(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

static void print_text(FILE *out, const json_t *text) {
    (void)fwrite(json_string_value(text), 1, json_string_length(text), out);
    (void)fputc('\n', out);
}

static void print_result(FILE *out, const json_t *result) {
    const json_t *text = json_object_get(result, "text"), *item;
    size_t i;

    (void)fprintf(out, "calls[%" JSON_INTEGER_FORMAT "] %s: %s\n", json_integer_value(json_object_get(result, "index")),
                  text_of(result, "tool"), text_of(result, "status"));
    if (text)
        print_text(out, text);
    json_array_foreach (json_object_get(result, "content"), i, item) {
        if (json_object_get(item, "text"))
            print_text(out, json_object_get(item, "text"));
        else
            (void)fprintf(out, "[%s]\n", text_of(item, "type"));
    }
}

/* New reference; NULL: no memory. */
static json_t *text_new(const json_t *results) {
    char *buffer = NULL;
    size_t size = 0, i;
    const json_t *result;
    FILE *out = open_memstream(&buffer, &size);

    if (!out)
        return NULL;
    json_array_foreach (results, i, result)
        print_result(out, result);
    json_t *text = fclose(out) == 0 ? json_stringn(buffer, size) : NULL;
    free(buffer);
    return text;
}

static json_int_t count_ok(const json_t *results) {
    json_int_t count = 0;
    const json_t *result;
    size_t i;

    json_array_foreach (results, i, result)
        count += strcmp(text_of(result, "status"), "ok") == 0;
    return count;
}

int batch_reply(struct batch *batch) {
    json_t *stopped_at = batch->stopped ? json_integer((json_int_t)batch->next - 1) : NULL;
    bool is_error = batch->stopped;

    while (batch->next < batch->total)
        batch_add(batch, step_result_new(batch, "not_run", NULL));
    json_t *value =
        json_pack("{s:O, s:I, s:I, s:o*, s:I}", "results", batch->results, "completed", count_ok(batch->results),
                  "total", (json_int_t)batch->total, "stopped_at", stopped_at, "resumed", batch->resumed);
    return theseus_reply(batch->call,
                         json_pack("{s:[{s:s, s:o}], s:o, s:b}", "content", "type", "text", "text",
                                   text_new(batch->results), "structuredContent", value, "isError", (int)is_error));
}
