#include <stdlib.h>

#include "base/log.h"
#include "method/method.h"
#include "plugin/plugins.h"

enum { LEGACY = 1, MODERN = 2, URGENT = 4, NEEDS_PLUGINS = 8, OF_SOCKET = 16 /* of no revision */ };

/* Sorted by name. */
static const struct row {
    const char *name;
    int flags;
    method_fn *run;
} rows[] = {
    {"initialize", LEGACY, method_initialize},
    {"logging/setLevel", LEGACY, method_set_level},
    {"ping", LEGACY | URGENT, method_ping},
    {"resources/list", LEGACY | MODERN | NEEDS_PLUGINS, method_resources_list},
    {"resources/read", LEGACY | MODERN | NEEDS_PLUGINS, method_resources_read},
    {"resources/subscribe", LEGACY | NEEDS_PLUGINS, method_resources_subscribe},
    {"resources/templates/list", LEGACY | MODERN | NEEDS_PLUGINS, method_resources_templates},
    {"resources/unsubscribe", LEGACY | NEEDS_PLUGINS, method_resources_unsubscribe},
    {"server/discover", MODERN, method_discover},
    {"subscriptions/listen", MODERN | NEEDS_PLUGINS, method_listen},
    {"tasks/cancel", MODERN, method_tasks_cancel},
    {"tasks/get", MODERN, method_tasks_get},
    {"tasks/update", MODERN, method_tasks_update},
    {"theseus/hello", OF_SOCKET, method_hello},
    {"theseus/resume", OF_SOCKET, method_resume},
    {"tools/call", LEGACY | MODERN | NEEDS_PLUGINS, method_tools_call},
    {"tools/list", LEGACY | MODERN | NEEDS_PLUGINS, method_tools_list},
};

/* A request that waits for the plugins to be there. */
struct waiting {
    struct list link;
    struct loop_task task;
    struct method_env *env;
    struct conn *conn;
    struct call *call; /* a reference */
    const struct row *row;
};

void method_env_init(struct method_env *env) {
    list_init(&env->waiting);
}

static void waiting_free(struct waiting *waiting) ON_LOOP {
    list_remove(&waiting->link);
    loop_forget(waiting->env->loop, &waiting->task);
    (void)call_unref(waiting->call);
    free(waiting);
}

void method_env_fini(struct method_env *env) {
    list_for_each (link, &env->waiting)
        waiting_free(list_entry(link, struct waiting, link));
}

static int by_name(const void *name, const void *row) {
    return strcmp(name, ((const struct row *)row)->name);
}

static const struct row *find_row(const char *method) {
    return bsearch(method, rows, ARRAY_SIZE(rows), sizeof(rows[0]), by_name);
}

/*
 * Tools that say how the server is, and that restart it, wait for no other call: neither for a worker, of which the
 * calls that are the matter may hold every one, nor for the end of a restart.
 */
static bool is_of_server(const struct message *message) {
    static const char *const tools[] = {"orchestrator_health_check", "orchestrator_restart_server",
                                        "orchestrator_restart_status", "orchestrator_shutdown_prepare",
                                        "theseus_plugins"};
    const char *name = json_string_value(json_object_get(message->params, "name"));

    if (!name || strcmp(message->method, "tools/call") != 0)
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(tools); i++)
        if (strcmp(name, tools[i]) == 0)
            return true;
    return false;
}

bool method_is_urgent(void *arg, const struct message *message) {
    const struct row *row = find_row(message->method);

    (void)arg;
    return row && ((row->flags & URGENT) || is_of_server(message));
}

void method_refuse_params(struct call *call, const char *text) {
    struct theseus_error err = {0};

    (void)fail(&err, ERR_PARAMS, "%s", text);
    call_fail(call, &err, NULL);
}

static void on_loaded(void *arg) {
    struct waiting *waiting = arg;

    loop_enter();
    if (!call_is_over(waiting->call))
        waiting->row->run(waiting->env, waiting->conn, waiting->call);
    waiting_free(waiting);
}

static void wait_for_plugins(struct method_env *env, struct conn *conn, struct call *call,
                             const struct row *row) ON_LOOP {
    struct waiting *waiting = xcalloc(1, sizeof(*waiting));

    *waiting = (struct waiting){.env = env, .conn = conn, .call = call_ref(call), .row = row};
    waiting->task = (struct loop_task){.run = on_loaded, .arg = waiting};
    list_append(&env->waiting, &waiting->link);
    plugins_when_loaded(env->plugins, &waiting->task);
}

static void prepare(const struct method_env *env, struct call *call) {
    json_decref(call->server_info); /* it may have been adopted before */
    call->server_info = json_incref(env->server_info);
    call->max_result = (*env->config)->limits.max_result;
}

/* A token of another type could not be sent back. */
static bool has_bad_token(const struct call *call) {
    const json_t *token = json_object_get(json_object_get(call->message.params, "_meta"), "progressToken");

    return token && !json_is_string(token) && !json_is_integer(token);
}

static void run(struct method_env *env, struct conn *conn, struct call *call, const struct row *row) ON_LOOP {
    prepare(env, call);
    if (has_bad_token(call)) {
        method_refuse_params(call, "_meta member 'progressToken' is neither a string nor an integer");
        return;
    }
    call_read_meta(call);
    if (env->claims && env->claims(env->arg, call))
        return;
    if (row->flags & NEEDS_PLUGINS)
        env->wake(env->arg);
    if ((row->flags & NEEDS_PLUGINS) && !plugins_are_loaded(env->plugins))
        wait_for_plugins(env, conn, call, row);
    else
        row->run(env, conn, call);
}

static void refuse_method(struct call *call) {
    struct theseus_error err = {0};

    (void)fail(&err, ERR_NO_METHOD, "method '%.100s' is not there in revision %s", call->method, call->revision->name);
    call_fail(call, &err, NULL);
}

static void on_modern(struct method_env *env, struct conn *conn, struct call *call, const struct row *row) ON_LOOP {
    struct theseus_error err = {0};

    call->revision = revision_modern();
    if (revision_check_claim(call->message.params, &err) < 0)
        call_fail(call, &err, err.code == ERR_VERSION ? revision_unsupported_data_new(call->message.params) : NULL);
    else if (row && (row->flags & MODERN))
        run(env, conn, call, row);
    else
        refuse_method(call);
}

/* Neither era: a modern request without its members, or a legacy one before the handshake. */
static void refuse_stranger(struct call *call) {
    struct theseus_error err = {0};

    (void)fail(&err, ERR_PARAMS, "missing _meta '%s' and '%s'; or send initialize first", META_VERSION,
               META_CAPABILITIES);
    call_fail(call, &err, json_pack("{s:[s]}", "supported", revision_modern()->name));
}

static void on_legacy(struct method_env *env, struct conn *conn, struct call *call, const struct row *row) ON_LOOP {
    const struct session *session = conn_session(conn);
    bool is_ping = strcmp(call->method, "ping") == 0, is_initialize = strcmp(call->method, "initialize") == 0;
    bool is_discover = strcmp(call->method, "server/discover") == 0; /* a modern client's first word */

    call->revision = session->revision ? session->revision : revision_newest_legacy();
    call->log_level = session->log_level;
    if (is_discover || (!session->revision && !is_ping && !is_initialize))
        refuse_stranger(call);
    else if (row && (row->flags & LEGACY))
        run(env, conn, call, row);
    else
        refuse_method(call);
}

/* Between us and `theseus connect`. */
static void on_own(struct method_env *env, struct conn *conn, struct call *call, const struct row *row) ON_LOOP {
    call->revision = revision_newest_legacy();
    prepare(env, call);
    row->run(env, conn, call);
}

void method_adopt(struct method_env *env, struct conn *conn, struct call *call) {
    const struct session *session = conn_session(conn);
    bool is_modern = revision_is_claimed(call->message.params);

    call->revision = is_modern ? revision_modern() : session->revision ? session->revision : revision_newest_legacy();
    call->log_level = session->log_level;
    prepare(env, call);
    call_read_meta(call);
}

void method_on_request(void *arg, struct conn *conn, struct call *call) {
    const struct row *row = find_row(call->method);

    loop_enter();
    if (row && (row->flags & OF_SOCKET) && !conn_is_stdio(conn))
        on_own(arg, conn, call, row);
    else if (revision_is_claimed(call->message.params))
        on_modern(arg, conn, call, row);
    else
        on_legacy(arg, conn, call, row);
}

void method_on_listening(void *arg, struct conn *conn, struct call *call) {
    const struct method_env *env = arg;

    loop_enter();
    (void)conn;
    call->revision = revision_modern();
    prepare(env, call);
    env->wake(env->arg); /* somebody waits for what becomes of the tools */
}

void method_on_notification(void *arg, struct conn *conn, const struct message *message) ON_LOOP {
    struct session *session = conn_session(conn);
    struct method_env *env = arg;

    loop_enter();
    if (method_of_socket(env, conn, message))
        return;
    if (strcmp(message->method, "notifications/initialized") == 0 && session->revision) {
        session->initialized = true;
        conn_session_changed(conn);
        env->wake(env->arg);
        method_ask_roots(env, conn);
    } else if (strcmp(message->method, "notifications/roots/list_changed") == 0) {
        method_ask_roots(env, conn);
    }
}

void method_on_response(void *arg, struct conn *conn, const struct message *message) {
    const struct method_env *env = arg;

    loop_enter();
    if (!env->answered || !env->answered(env->arg, conn, message))
        method_take_roots(conn, message);
}
