/* Wiring for what clients are told beside tools: MCP tasks, and resources that changed. */
#include "plugin/subscribed.h"
#include "server/inner.h"
#include "server/mcp_tasks.h"

enum { FINISH_MS = 200 }; /* for the database, when the server leaves */

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

static void note_conn(void *arg, struct conn *conn) {
    struct conn **first = arg;

    if (!*first)
        *first = conn;
}

static struct conn *first_conn(void *arg) {
    struct server *server = arg;
    struct conn *first = NULL;

    loop_enter();
    if (server->clients)
        clients_each(server->clients, note_conn, &first);
    return first;
}

static void wake(void *arg) {
    struct server *server = arg;

    loop_enter();
    server->methods.wake(server);
}

static bool may_be_stored(void *arg, struct span text) {
    return !keeper_has_secret(((struct server *)arg)->upkeep.keeper, text);
}

static void note_topic(void *arg, const char *name) {
    (void)json_object_set_new(arg, name, json_true());
}

static void note_topics(void *arg, struct conn *conn) {
    loop_enter();
    conn_each_topic(conn, TOPIC_RESOURCES, note_topic, arg);
}

static void on_topics_settled(void *arg) {
    struct server *server = arg;
    json_t *uris = json_object();

    loop_enter();
    if (server->clients)
        clients_each(server->clients, note_topics, uris);
    subscribed_settle(server->subscribed, uris);
}

static void on_topics(void *arg, struct conn *conn, const json_t *added) {
    struct method_env *env = arg;
    struct server *server = env->arg;

    loop_enter();
    (void)conn;
    subscribed_add(server->subscribed, added);
    loop_defer(server->loop, &server->topics);
    describe_clients_changed(server); /* so has what is known of the client, perhaps */
}

void extensions_init(struct server *server) {
    server->subscribed = subscribed_new(server->registry);
    server->topics = (struct loop_task){.run = on_topics_settled, .arg = server};
    server->conn_ops.topics = on_topics;
    server->mcp_tasks = mcp_tasks_new(&(struct mcp_tasks_origin){
        .loop = server->loop,
        .ledger = server->ledger,
        .store = server->store,
        .registry = server->registry,
        .config = server->plugin_host.config,
        .adopts = server->argv != NULL,
        .conn = first_conn,
        .wake = wake,
        .may_be_stored = may_be_stored,
        .changed = on_changed,
        .arg = server,
    });
    server->methods.tasks = &operations;
    server->plugin_host.resource_changed = on_resource_changed;
    server->conn_ops.outcome = on_outcome;
}

void extensions_connected(struct server *server) {
    mcp_tasks_restore(server->mcp_tasks, server->clients);
    loop_defer(server->loop, &server->topics);
}

void extensions_plugins_changed(struct server *server) {
    subscribed_settle(server->subscribed, NULL);
    if (plugins_are_loaded(server->plugins) && server->awake && !server->plugin_host.rehearsal)
        mcp_tasks_loaded(server->mcp_tasks);
}

void extensions_let_go(struct server *server) {
    mcp_tasks_let_go(server->mcp_tasks);
    clients_let_go_detached(server->clients);
}

void extensions_finish(struct server *server) {
    mcp_tasks_finish(server->mcp_tasks, FINISH_MS);
}

void extensions_fini(struct server *server) {
    server->mcp_tasks = mcp_tasks_free(server->mcp_tasks);
    if (server->loop)
        loop_forget(server->loop, &server->topics);
    server->subscribed = subscribed_free(server->subscribed);
}

bool extensions_are_stuck(const struct server *server) {
    return mcp_tasks_is_stuck(server->mcp_tasks);
}
