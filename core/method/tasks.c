/* The methods of the extension io.modelcontextprotocol/tasks: only for requests that declare it. */
#include "method/method.h"
#include "plugin/registry.h"

static bool knows_tasks(const struct method_env *env, const struct call *call) {
    return env->tasks && call->revision->modern && revision_has_extension(call->message.params, META_TASKS);
}

void method_tasks_offer(struct method_env *env, struct conn *conn, struct call *call, const char *tool) {
    unsigned flags = 0;

    if (!knows_tasks(env, call) || atomic_load(&call->detached))
        return;
    (void)registry_tool_flags(env->plugin_host->registry, tool, &flags);
    env->tasks->offer(env->arg, conn, call, flags & THESEUS_LONG);
}

static void refuse_stranger(struct call *call) {
    struct theseus_error err = {0};

    (void)fail(&err, ERR_CAPABILITY, "tasks need the extension '%s' in the request's capabilities", META_TASKS);
    call_fail(call, &err, json_pack("{s:{s:{s:{}}}}", "requiredCapabilities", "extensions", META_TASKS));
}

bool method_tasks_are_known(struct method_env *env, struct call *call) {
    bool known = knows_tasks(env, call);

    if (!known)
        refuse_stranger(call);
    return known;
}

/* The task's id; NULL: the call has been answered. */
static const char *id_of(struct method_env *env, struct call *call) ON_LOOP {
    const json_t *id = json_object_get(call->message.params, "taskId");

    if (!method_tasks_are_known(env, call))
        return NULL;
    if (!json_is_string(id))
        method_refuse_params(call, "'taskId' is missing or no string");
    else
        return json_string_value(id);
    return NULL;
}

void method_tasks_get(struct method_env *env, struct conn *conn, struct call *call) {
    const char *id = id_of(env, call);

    (void)conn;
    if (id)
        env->tasks->get(env->arg, call, id);
}

void method_tasks_cancel(struct method_env *env, struct conn *conn, struct call *call) {
    const char *id = id_of(env, call);

    (void)conn;
    if (id)
        env->tasks->cancel(env->arg, call, id);
}

void method_tasks_update(struct method_env *env, struct conn *conn, struct call *call) {
    const char *id = id_of(env, call);

    (void)conn;
    if (!id)
        return;
    if (json_is_object(json_object_get(call->message.params, "inputResponses")))
        env->tasks->update(env->arg, call, id);
    else
        method_refuse_params(call, "'inputResponses' is missing or no object");
}
