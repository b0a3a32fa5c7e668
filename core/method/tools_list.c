#include "method/method.h"
#include "plugin/registry.h"
#include "rpc/shape.h"

/* Everything is on one page, so no cursor was ever given out. */
void method_tools_list(struct method_env *env, struct conn *conn, struct call *call) {
    json_auto_t *full = registry_list_new(env->plugin_host->registry);
    json_t *tools = json_array();
    json_t *entry;
    size_t i;

    if (json_object_get(call->message.params, "cursor")) {
        json_decref(tools);
        method_refuse_params(call, "'cursor' is none that this server gave out");
        return;
    }
    json_array_foreach (full, i, entry) { /* appending NULL fails, and then so does packing the result */
        const char *name = json_string_value(json_object_get(entry, "name"));
        if (registry_hides_from(env->plugin_host->registry, name, (long)conn_uid(conn)))
            continue;
        if (json_array_append_new(tools, shape_tool(call->revision, json_incref(entry))) < 0)
            tools = (json_decref(tools), NULL);
    }
    call_answer_list(call, json_pack("{s:o}", "tools", tools));
}
