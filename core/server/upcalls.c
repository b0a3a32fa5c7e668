/*
 * What the lower floors tell the server, and what they ask it: plugins, clients, signals. They know only the functions
 * that they are given here.
 */
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/log.h"
#include "server/confirm.h"
#include "server/crash.h"
#include "server/inner.h"
#include "server/migrations.h"
#include "server/quarantine.h"
#include "server/restart_inner.h"
#include "server/standby.h"
#include "server/supervisor.h"

/* Is it of another list than the one that clients know? */
static bool takes_digest(char known[static HASH_TEXT_BYTES], const char digest[static HASH_TEXT_BYTES]) {
    bool first = known[0] == '\0', differs = strcmp(digest, known) != 0;

    memcpy(known, digest, HASH_TEXT_BYTES);
    return differs && !first;
}

/* The lists may have changed: clients are told only of those that really have. */
static void on_tools_touched(void *arg) {
    struct server *server = arg;
    char tools[HASH_TEXT_BYTES], resources[HASH_TEXT_BYTES];
    unsigned lists = 0;

    loop_enter();
    if (!plugins_are_loaded(server->plugins))
        return;
    plugins_tools_changed(server->plugins);
    registry_tools_digest(server->registry, tools);
    registry_resources_digest(server->registry, resources);
    if (takes_digest(server->tools_digest, tools))
        lists |= LISTEN_TOOLS;
    if (takes_digest(server->resources_digest, resources))
        lists |= LISTEN_RESOURCES;
    standby_update(server);
    if (lists && server->clients)
        clients_list_changed(server->clients, lists);
    extensions_plugins_changed(server);
}

static void on_refused(void *arg, const struct call *call, const char *name, const char *why) {
    const struct server *server = arg;
    const struct asker by = upkeep_asker(&call->client);

    chronicle_asked(server->upkeep.chronicle, &by, call->client.session, "call", name, why);
}

static void on_generation_idle(void *arg, struct generation *generation) {
    (void)arg;
    loop_enter();
    plugins_on_idle(generation);
}

static void open_log(struct server *server) {
    CLEANUP(free) char *dir = path_join(server->config->server.state_dir, "log");
    CLEANUP(free) char *path = path_join(dir, "theseus.log");
    struct theseus_error err = {0};

    if (log_is_open())
        return;
    if (fs_make_private_dir(server->config->server.state_dir, &err) < 0 || fs_make_private_dir(dir, &err) < 0 ||
        log_open(path, &err) < 0)
        log_warning("there is no log file: %s", err.message);
}

static void on_plugins_loaded(void *arg) {
    struct server *server = arg;

    loop_enter();
    upkeep_loaded(server);
    standby_update(server);
    on_tools_touched(server);
}

/* A probe lives for milliseconds and leaves no trace: files, threads and plugins come with the first real work. */
static bool wake(struct server *server) ON_LOOP {
    if (server->awake)
        return false;
    server->awake = true;
    ledger_be_lean(server->ledger, false);
    if (!server->plugin_host.rehearsal)
        open_log(server);
    log_info("theseus %s, pid %d, serves '%s'", THESEUS_VERSION, (int)getpid(), server->directory);
    if (!crash_is_handled())
        log_info("this build has a sanitizer, which has the signals of crashes: a crash ends the server");
    triggers_apply(server);
    upkeep_wake(server);
    standby_update(server);
    return true;
}

/* Behind an exec the plugins that served come back by themselves; loading their files first would lose their state. */
void upcalls_wake(void *arg) {
    struct server *server = arg;

    loop_enter();
    if (wake(server) && !(server->follows && server->was_awake))
        plugins_when_loaded(server->plugins, &server->loaded);
}

static void on_conn_ended(void *arg, struct conn *conn) {
    struct method_env *env = arg;
    struct server *server = env->arg;

    loop_enter();
    (void)conn;
    describe_clients_changed(server);
    if (!server->listens)
        leave_begin(server, "the client has closed its end", LEAVE_GRACE_MS);
}

static void on_conn_closed(void *arg, struct conn *conn) {
    struct method_env *env = arg;
    struct server *server = env->arg;

    loop_enter();
    clients_closed(server->clients, conn);
}

void upcalls_on_conn_over(void *arg, struct conn *conn) {
    struct server *server = arg;

    loop_enter();
    resume_note_over(server, conn);
    describe_clients_changed(server);
    if (server->listens)
        tidy_later(server->upkeep.tidy);
    else
        leave_closed(server);
}

static void on_acknowledged(void *arg) {
    struct server *server = arg;

    loop_enter();
    tidy_later(server->upkeep.tidy);
}

static bool on_conn_starved(void *arg, struct conn *conn) {
    const struct method_env *env = arg;

    loop_enter();
    return memory_on_starved(env->arg, conn);
}

static void on_reloaded(void *arg, const char *outcome) {
    const struct server *server = arg;

    describe_reconfigured(arg, outcome);
    if (server->listener)
        supervisor_ready();
}

static void on_look_again(void *arg) {
    struct server *server = arg;

    loop_enter();
    if (reconfigure_is_held(server)) {
        server->look_wanted = true;
        return;
    }
    log_info("SIGHUP: the configuration and the plugins are looked at again");
    if (server->listener)
        supervisor_reloading();
    upkeep_asked_to_reload(server, NULL, NULL, NULL);
    reconfigure(server, on_reloaded, server);
    if (server->awake)
        plugins_rescan(server->plugins);
}

/* However many of them have come. */
void upcalls_on_hangup(void *arg, int signum) {
    struct server *server = arg;

    loop_enter();
    (void)signum;
    loop_defer(server->loop, &server->look_again);
}

void upcalls_init(struct server *server) {
    const struct config *const *config = (const struct config *const *)&server->config;

    server->plugin_host = (struct plugin_host){
        .loop = server->loop,
        .loop_thread = pthread_self(),
        .ledger = server->ledger,
        .workers = server->workers,
        .lane = server->lane,
        .store = server->store,
        .registry = server->registry,
        .config = config,
        .tools_touched = on_tools_touched,
        .idle = on_generation_idle,
        .control = control_run,
        .misses = missing_on_call,
        .refused = on_refused,
        .secret = upkeep_on_secret,
        .settled = upkeep_on_settled,
        .outdated = server->argv ? migrations_on_outdated : NULL,
        .stuck = rescue_on_stuck,
        .stalled = rescue_on_stalled,
        .explains = recovery_explains,
        .crashed = quarantine_on_crashed,
        .arg = server,
    };
    method_env_init(&server->methods);
    resume_init(server);
    server->methods.loop = server->loop;
    server->methods.config = config;
    server->methods.plugin_host = &server->plugin_host;
    server->methods.boot_id = server->boot_id;
    server->methods.directory = server->directory;
    server->methods.wake = upcalls_wake;
    server->methods.claims = arrival_claims;
    server->methods.refuses = memory_refuses;
    server->methods.resume = resume_asked;
    server->methods.acknowledged = on_acknowledged;
    server->methods.answered = confirm_take_answer;
    server->methods.arg = server;
    server->conn_ops = (struct conn_ops){
        .is_urgent = method_is_urgent,
        .request = method_on_request,
        .listening = method_on_listening,
        .notification = method_on_notification,
        .response = method_on_response,
        .ended = on_conn_ended,
        .closed = on_conn_closed,
        .starved = on_conn_starved,
    };
    server->conn_host = (struct conn_host){
        .loop = server->loop,
        .ledger = server->ledger,
        .config = config,
        .boot_id = server->origin,
        .ops = &server->conn_ops,
        .arg = &server->methods,
    };
    server->loaded = (struct loop_task){.run = on_plugins_loaded, .arg = server};
    server->look_again = (struct loop_task){.run = on_look_again, .arg = server};
}
