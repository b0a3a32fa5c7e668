/* theseus_call: any tool by its name, for clients that do not look at the list of tools again. */
#include "admin.h"

#include <string.h>

/* Asks [access] call_by_name. Whether the call is still to be answered. */
static bool is_allowed(struct theseus_call *call, const char *name) {
    json_t *question = json_pack("{s:s}", "name", name);
    json_t *answer = admin_ask(call, "may_call", question);

    json_decref(question);
    json_decref(answer);
    return answer != NULL;
}

int admin_call(struct theseus_call *call, void *self, const json_t *args) {
    const json_t *name_value = json_object_get(args, "name");
    const char *name = json_string_value(name_value);
    json_t *arguments = json_object_get(args, "arguments"), *result = NULL;

    (void)self;
    if (strcmp(name, theseus_tool_name(call)) == 0)
        return theseus_reply_error(call, "'%s' does not call itself; name the tool that you want", name);
    if (strlen(name) != json_string_length(name_value))
        return theseus_reply_error(call, "no tool's name holds a NUL character");
    if (!is_allowed(call, name))
        return THESEUS_DONE;
    if (theseus_call_tool(call, name, json_incref(arguments), &result) < 0)
        return theseus_reply_error(call, "cannot call '%s': %s", name, theseus_last_error(call->host));
    return theseus_reply(call, result);
}
