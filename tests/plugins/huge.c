/* Answers with as much text as it is asked for. */
#include <stdlib.h>
#include <string.h>

#include <theseus/plugin.h>

static int huge(struct theseus_call *call, void *self, const json_t *args) {
    size_t len = (size_t)json_integer_value(json_object_get(args, "bytes"));
    char *text = malloc(len + 1);

    (void)self;
    if (!text)
        return theseus_reply_error(call, "no memory for %zu bytes", len);
    memset(text, 'x', len);
    text[len] = '\0';
    json_t *result = json_pack("{s:[{s:s, s:s%}]}", "content", "type", "text", "text", text, len);
    free(text);
    return theseus_reply(call, result);
}

static const struct theseus_tool tools[] = {
    {.name = "huge",
     .description = "Returns a text of so many bytes.",
     .input_schema = "{\"type\":\"object\",\"properties\":{\"bytes\":{\"type\":\"integer\",\"minimum\":0,"
                     "\"maximum\":1073741824}},\"required\":[\"bytes\"],\"additionalProperties\":false}",
     .flags = THESEUS_READ_ONLY,
     .call = huge},
    {0},
};

const struct theseus_plugin theseus_plugin = {
    .abi = THESEUS_ABI,
    .size = sizeof(struct theseus_plugin),
    .name = "huge",
    .version = "1",
    .tools = tools,
};
