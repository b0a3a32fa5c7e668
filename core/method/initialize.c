#include "method/method.h"

json_t *method_capabilities_new(const struct method_env *env, bool modern) {
    bool tasks = modern && env->tasks;

    return json_pack("{s:{s:b}, s:{s:b, s:b}, s:{}, s:o*}", "tools", "listChanged", true, "resources", "subscribe",
                     true, "listChanged", true, "logging", "extensions",
                     tasks ? json_pack("{s:{}}", META_TASKS) : NULL);
}

/* May come at any time, and again: it begins the legacy session anew and touches nothing else. */
void method_initialize(struct method_env *env, struct conn *conn, struct call *call) {
    const json_t *params = call->message.params;
    const char *asked = json_string_value(json_object_get(params, "protocolVersion"));
    json_t *client = json_object_get(params, "clientInfo");
    json_t *capabilities = json_object_get(params, "capabilities");

    if (!asked) {
        method_refuse_params(call, "'protocolVersion' is missing or no string");
        return;
    }
    const struct revision *revision = revision_negotiate(asked);
    session_begin(conn_session(conn), revision, client, capabilities);
    conn_session_changed(conn);
    call->revision = revision;
    call_answer(call, json_pack("{s:s, s:o, s:O, s:s}", "protocolVersion", revision->name, "capabilities",
                                method_capabilities_new(env, false), "serverInfo", env->server_info, "instructions",
                                (*env->config)->server.instructions));
}
