/*
 * Admin: the server seen and moved from inside the conversation. All three tools are thin: what they show and do is the
 * core's, reached through theseus_control() and theseus_call_tool(), which check the section [access].
 */
#include "admin.h"

#include <stdlib.h>

json_t *admin_ask(struct theseus_call *call, const char *verb, const json_t *args) {
    json_t *answer = theseus_control(call, verb, args);
    const json_t *error = json_object_get(answer, "error");

    if (answer && !error)
        return answer;
    (void)theseus_reply_error(call, "%s", error ? json_string_value(error) : theseus_last_error(call->host));
    json_decref(answer);
    return NULL;
}

int admin_reply(struct theseus_call *call, json_t *value, char *text) {
    json_t *result;

    if (!text)
        return theseus_reply_json(call, value);
    result = json_pack("{s:[{s:s, s:s}], s:o}", "content", "type", "text", "text", text, "structuredContent", value);
    free(text);
    return theseus_reply(call, result);
}

static const struct theseus_tool tools[] = {
    {
        .name = "theseus_plugins",
        .title = "Plugins of this server",
        .description =
            "Use this when a tool is missing, fails or seems outdated: lists every plugin of this server with "
            "version, hash, generation, state (active, draining, quarantined) and the reason, its tools, and how "
            "many calls it served, how many failed and how long they took; files that were refused and why; and "
            "files that plugins.disable switches off.",
        .output_schema = admin_plugins_output,
        .flags = THESEUS_READ_ONLY,
        .call = admin_plugins,
    },
    {
        .name = "theseus_reload",
        .title = "Reload plugins and configuration",
        .description = "Use this after you built a plugin or edited the configuration and want it in force now: loads "
                       "what changed without dropping a call, and returns the difference: tools added, removed and "
                       "changed, and plugins refused and why. What is broken stays as it was.",
        .input_schema =
            "{\"type\": \"object\", \"properties\": {\"plugin\": {\"type\": \"string\", \"minLength\": 1, "
            "\"description\": \"load only this plugin's file again, changed or not; left out: everything that "
            "changed\"}}, "
            "\"additionalProperties\": false}",
        .output_schema = admin_reload_output,
        .flags = THESEUS_IDEMPOTENT,
        .call = admin_reload,
    },
    {
        .name = "theseus_call",
        .title = "Call a tool by its name",
        .description =
            "Use this to call a tool of this server that is not in your list of tools, for example one that "
            "theseus_reload just added. Give its exact name and its arguments; the answer is that tool's own. "
            "Prefer the tool itself wherever you can see it.",
        .input_schema = "{\"type\": \"object\", \"properties\": {\"name\": {\"type\": \"string\", \"minLength\": 1, "
                        "\"description\": \"the tool's name\"}, \"arguments\": {\"type\": \"object\", \"description\": "
                        "\"as the tool's own input schema wants them\"}}, \"required\": [\"name\"], "
                        "\"additionalProperties\": false}",
        .call = admin_call,
    },
    {0},
};

const struct theseus_plugin theseus_plugin = {
    .abi = THESEUS_ABI,
    .size = sizeof(struct theseus_plugin),
    .name = "admin",
    .version = "1.0.0",
    .description = "Shows the plugins, reloads them, and calls tools by name.",
    .tools = tools,
};
