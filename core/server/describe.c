/* What the server says of itself to whoever looks from outside: the description that presence.c writes. */
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "call/proc.h"
#include "server/facts.h"
#include "server/inner.h"
#include "server/prometheus.h"
#include "server/restart.h"
#include "server/services.h"

static json_t *host_new(const json_t *sessions) {
    const json_t *session;
    size_t i;

    json_array_foreach (sessions, i, session) {
        json_t *client = json_object_get(session, "client");
        if (json_is_object(client))
            return json_incref(client);
    }
    return json_null();
}

static void add_session(void *arg, struct conn *conn) {
    loop_enter();
    const struct session *session = conn_session(conn);
    (void)json_array_append_new(arg, json_pack("{s:s, s:O*, s:s, s:I, s:s, s:i, s:i}", "session_id", session->id,
                                               "client", session->client, "transport", conn_transport(conn), "uid",
                                               (json_int_t)conn_uid(conn), "state", conn_state(conn), "in_flight",
                                               conn_in_flight(conn), "held", conn_held(conn)));
}

static json_t *sessions_new_list(struct server *server) ON_LOOP {
    json_t *sessions = json_array();

    clients_each(server->clients, add_session, sessions);
    return sessions;
}

static json_t *plugins_new_list(struct server *server) ON_LOOP {
    static const char *const keys[] = {"name", "version", "state", "calls", "crashes", "reason"};
    json_auto_t *report = plugins_report_new(server->plugins);
    json_t *list = json_array(), *plugin;
    size_t i;

    json_array_foreach (json_object_get(report, "plugins"), i, plugin) {
        json_t *entry = json_object();
        for (size_t k = 0; k < ARRAY_SIZE(keys); k++)
            if (json_object_get(plugin, keys[k]))
                (void)json_object_set(entry, keys[k], json_object_get(plugin, keys[k]));
        (void)json_array_append_new(list, entry);
    }
    return list;
}

/* Without the database, which is not opened for that; whoever looks can do so himself. */
static json_t *health_new(struct server *server) ON_LOOP {
    json_auto_t *args = json_pack("{s:b, s:b, s:b}", "include_database_status", 0, "include_reboot_readiness", 0,
                                  "include_connection_status", 0);

    return health_answer(server, NULL, args, NULL);
}

struct requests {
    int in_flight, held;
    size_t bytes_in, bytes_out;
};

static void count(void *arg, struct conn *conn) {
    struct requests *requests = arg;
    size_t in = 0, out = 0;

    loop_enter();
    conn_buffered(conn, &in, &out);
    requests->bytes_in += in;
    requests->bytes_out += out;
    requests->in_flight += conn_in_flight(conn);
    requests->held += conn_held(conn);
}

static json_t *requests_new(struct server *server) ON_LOOP {
    struct requests requests = {0};

    clients_each(server->clients, count, &requests);
    return json_pack("{s:i, s:i, s:I, s:I}", "in_flight", requests.in_flight, "held", requests.held, "held_bytes",
                     (json_int_t)requests.bytes_in, "unread_bytes", (json_int_t)requests.bytes_out);
}

static json_t *restart_new(struct server *server) ON_LOOP {
    json_t *restart = restart_status_new(server);
    int64_t blackout_ns = server->restart.blackout_ns;

    if (server->restart.facts.phase == PHASE_COMPLETE && blackout_ns >= 0)
        (void)json_object_set_new(restart, "blackout_ms", json_real((double)blackout_ns / 1e6));
    return restart;
}

static json_t *describe(void *arg) {
    struct server *server = arg;
    uint64_t start_time = 0;
    struct theseus_error err = {0};

    loop_enter();
    if (proc_start_time((long)getpid(), &start_time, &err) < 0)
        log_debug("%s", err.message);
    json_auto_t *sessions = sessions_new_list(server);
    return json_pack("{s:i, s:I, s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:O, s:o, s:o, s:o, s:o, s:o, s:o*, s:I, "
                     "s:o, s:o*}",
                     "pid", (int)getpid(), "start_time", (json_int_t)start_time, "version", THESEUS_VERSION, "boot_id",
                     server->boot_id, "program", server->started_by, "directory", server->directory, "config",
                     server->config->file, "state_dir", server->config->server.state_dir, "started_at",
                     facts_time_new(server->started_ms), "written_at", facts_now_new(), "host", host_new(sessions),
                     "clients", sessions, "health", health_new(server), "plugins", plugins_new_list(server), "requests",
                     requests_new(server), "durations", plugins_durations_new(server->plugins), "resumptions",
                     resume_report_new(server), "listener", listening_report_new(server), "restarts",
                     (json_int_t)server->images - 1, "restart", restart_new(server), "look",
                     server->looks.count ? json_pack("{s:I, s:s}", "count", (json_int_t)server->looks.count, "outcome",
                                                     server->looks.outcome)
                                         : NULL);
}

static void on_idle(void *arg) {
    struct server *server = arg;

    loop_enter();
    server->looks.waits = false;
    server->looks.count++;
    if (server->presence)
        presence_touch(server->presence);
}

void describe_init(struct server *server) {
    server->looks.idle = (struct loop_task){.run = on_idle, .arg = server};
    server->presence =
        presence_new(server->loop, server->upkeep.lane, server->config->server.runtime_dir, describe, server);
}

void describe_begin(struct server *server) {
    presence_also(server->presence, server->config->metrics.file, prometheus_render);
    presence_begin(server->presence, !server->follows && !server->listener);
}

void describe_changed(struct server *server) {
    if (server->presence)
        presence_touch(server->presence);
}

void describe_clients_changed(struct server *server) {
    if (server->presence)
        presence_touch_lazily(server->presence);
}

void describe_reconfigured(void *arg, const char *outcome) {
    struct server *server = arg;

    loop_enter();
    free(server->looks.outcome);
    server->looks.outcome = xstrdup(outcome);
    if (server->looks.waits)
        return;
    server->looks.waits = true;
    plugins_when_idle(server->plugins, &server->looks.idle);
}

void describe_fini(struct server *server) {
    loop_forget(server->loop, &server->looks.idle);
    server->presence = presence_free(server->presence);
    free(server->looks.outcome);
}
