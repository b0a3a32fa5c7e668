#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "method/method.h"
#include "plugin/run.h"

static const char *text_of(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

/* Where the client works: as the host that started us says, else its first root, else where it was started itself. */
static const char *directory_of(const struct method_env *env, struct conn *conn) ON_LOOP {
    const char *project = conn_is_stdio(conn) ? getenv("CLAUDE_PROJECT_DIR") : NULL;
    const struct session *session = conn_session(conn);

    if (project && *project == '/')
        return project;
    return session->directory ? session->directory : session->home ? session->home : env->directory;
}

/* One that has not shaken hands says its name with each request: the first is kept, for whoever looks. */
static void note_name(struct conn *conn, json_t *client) ON_LOOP {
    struct session *session = conn_session(conn);

    if (session->client || !json_is_object(client))
        return;
    session->client = json_incref(client);
    conn_session_changed(conn);
}

void method_set_client(const struct method_env *env, struct conn *conn, struct call *call) {
    if (call->adopted)
        return; /* it is known who asked, in another process */
    const struct session *session = conn_session(conn);
    const json_t *meta = json_object_get(call->message.params, "_meta");
    json_t *client = call->revision->modern ? json_object_get(meta, META_CLIENT) : session->client;
    struct theseus_client_info info = {
        .name = text_of(client, "name"),
        .version = text_of(client, "version"),
        .transport = conn_transport(conn),
        .session = session->id,
        .directory = directory_of(env, conn),
        .uid = (long)conn_uid(conn),
    };

    call_set_client(call, &info);
    if (call->revision->modern)
        note_name(conn, client);
}

/* They say what the matter is. */
static bool is_wanted_in_need(const struct call *call, const char *tool) {
    return call->urgent || strcmp(tool, "orchestrator_health_check") == 0 || strcmp(tool, "theseus_plugins") == 0;
}

static bool refuse_for_want(const struct method_env *env, struct call *call, const char *tool) {
    CLEANUP(free) char *text = env->refuses ? env->refuses(env->arg) : NULL;
    struct theseus_error err = {0};

    if (!text || is_wanted_in_need(call, tool))
        return false;
    (void)fail(&err, ERR_MEMORY, "%s; this call was not begun, and can be sent again", text);
    call_fail(call, &err, NULL);
    return true;
}

void method_tools_call(struct method_env *env, struct conn *conn, struct call *call) {
    const json_t *name = json_object_get(call->message.params, "name");
    json_t *args = json_object_get(call->message.params, "arguments");

    if (!json_is_string(name)) {
        method_refuse_params(call, "'name' is missing or no string");
        return;
    }
    if (strlen(json_string_value(name)) != json_string_length(name)) {
        method_refuse_params(call, "unknown tool: no tool's name holds a NUL character");
        return;
    }
    if (strstr(json_string_value(name), "://")) {
        method_refuse_params(call, "unknown tool: this is the URI of a resource");
        return;
    }
    if (args && !json_is_object(args)) {
        method_refuse_params(call, "'arguments' must be an object");
        return;
    }
    method_set_client(env, conn, call);
    if (refuse_for_want(env, call, json_string_value(name)))
        return;
    method_tasks_offer(env, conn, call, json_string_value(name));
    run_start(env->plugin_host, call, json_string_value(name), args);
}
