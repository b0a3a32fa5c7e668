/* Wiring for what clients are told beside tools: MCP tasks, and resources that changed. */
#include "server/inner.h"
#include "server/mcp_tasks.h"

static void offer(void *arg, struct conn *conn, struct call *call, bool now) {
    loop_enter();
    mcp_tasks_offer(((struct server *)arg)->mcp_tasks, conn, call, now);
}

static bool runs(void *arg, const char *id) {
    loop_enter();
    return mcp_tasks_runs(((struct server *)arg)->mcp_tasks, id);
}

static void on_changed(void *arg, const char *id, json_t *task) {
    struct server *server = arg;

    loop_enter();
    if (server->clients)
        clients_tell(server->clients, TOPIC_TASKS, id, "notifications/tasks", task);
}

static void get(void *arg, struct call *call, const char *id) {
    loop_enter();
    mcp_tasks_get(((struct server *)arg)->mcp_tasks, call, id);
}

static void cancel(void *arg, struct call *call, const char *id) {
    loop_enter();
    mcp_tasks_cancel(((struct server *)arg)->mcp_tasks, call, id);
}

static void update(void *arg, struct call *call, const char *id) {
    loop_enter();
    mcp_tasks_update(((struct server *)arg)->mcp_tasks, call, id);
}

static const struct method_tasks operations = {
    .offer = offer, .runs = runs, .get = get, .cancel = cancel, .update = update};

static void on_outcome(void *arg, struct conn *conn, struct call *call) {
    struct method_env *env = arg;
    struct server *server = env->arg;

    loop_enter();
    (void)conn;
    mcp_tasks_outcome(server->mcp_tasks, call);
}

static void on_resource_changed(void *arg, const char *uri) {
    struct server *server = arg;
    json_auto_t *params = json_pack("{s:s}", "uri", uri);

    loop_enter();
    if (server->clients)
        clients_tell(server->clients, TOPIC_RESOURCES, uri, "notifications/resources/updated", params);
}

void extensions_init(struct server *server) {
    server->mcp_tasks = mcp_tasks_new(&(struct mcp_tasks_origin){
        .loop = server->loop,
        .ledger = server->ledger,
        .store = server->store,
        .config = server->plugin_host.config,
        .changed = on_changed,
        .arg = server,
    });
    server->methods.tasks = &operations;
    server->plugin_host.resource_changed = on_resource_changed;
    server->conn_ops.outcome = on_outcome;
}

void extensions_connected(struct server *server) {
    mcp_tasks_restore(server->mcp_tasks, server->clients);
}

void extensions_fini(struct server *server) {
    server->mcp_tasks = mcp_tasks_free(server->mcp_tasks);
}

bool extensions_are_stuck(const struct server *server) {
    return mcp_tasks_is_stuck(server->mcp_tasks);
}
