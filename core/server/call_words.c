#include "server/call_words.h"

#include <stdio.h>

#include "rpc/message.h"
#include "rpc/revision.h"

int call_words_write(const char *tool, json_t *arguments, struct buf *out, struct theseus_error *err) {
    json_auto_t *params = json_pack("{s:s, s:O, s:{s:s, s:{}, s:{s:s, s:s}}}", "name", tool, "arguments", arguments,
                                    "_meta", META_VERSION, revision_modern()->name, META_CAPABILITIES, META_CLIENT,
                                    "name", "theseus call", "version", THESEUS_VERSION);

    if (!params)
        return fail(err, ERR_INVALID, "the tool's name is no UTF-8");
    return message_write_request("call", "tools/call", params, out, err);
}

static void print_text(const json_t *item) {
    const json_t *text = json_object_get(item, "text");

    if (json_is_string(text)) {
        (void)fwrite(json_string_value(text), 1, json_string_length(text), stdout);
        (void)fputc('\n', stdout);
    } else {
        (void)json_dumpf(item, stdout, JSON_COMPACT);
        (void)fputc('\n', stdout);
    }
}

/* The texts of the result, as they are; anything else as JSON. */
int call_words_print(const json_t *answer) {
    const json_t *error = json_object_get(answer, "error"), *result = json_object_get(answer, "result");
    const char *message = json_string_value(json_object_get(error, "message"));
    json_t *item;
    size_t i;

    if (error) {
        (void)fprintf(stderr, "theseus: %s\n", message ? message : "an error without a message");
        return EXIT_PROTOCOL_ERROR;
    }
    json_array_foreach (json_object_get(result, "content"), i, item)
        print_text(item);
    return json_is_true(json_object_get(result, "isError")) ? EXIT_TOOL_ERROR : 0;
}
