/* Logs what it is told, at the level it is told. */
#include <string.h>

#include <theseus/plugin.h>

static const char *const levels[] = {"debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"};

static int say(struct theseus_call *call, void *self, const json_t *args) {
    const char *level = json_string_value(json_object_get(args, "level"));
    int number = THESEUS_DEBUG;

    (void)self;
    while (number < THESEUS_EMERGENCY && strcmp(levels[number], level) != 0)
        number++;
    theseus_log(call, number, "%s", json_string_value(json_object_get(args, "text")));
    return theseus_reply_text(call, "said at level %s", levels[number]);
}

static const struct theseus_tool tools[] = {
    {.name = "say",
     .description = "Writes a line into the log.",
     .input_schema = "{\"type\":\"object\",\"properties\":{\"level\":{\"enum\":[\"debug\",\"info\",\"notice\","
                     "\"warning\",\"error\",\"critical\",\"alert\",\"emergency\"]},\"text\":{\"type\":\"string\"}},"
                     "\"required\":[\"level\",\"text\"],\"additionalProperties\":false}",
     .flags = THESEUS_READ_ONLY,
     .call = say},
    {0},
};

const struct theseus_plugin theseus_plugin = {
    .abi = THESEUS_ABI,
    .size = sizeof(struct theseus_plugin),
    .name = "logger",
    .version = "1",
    .tools = tools,
};
