/*
 * What the server keeps and writes down beside its work: the snapshot, the history, the sweep. Wiring only; each part
 * has a file of its own.
 */
#include "base/fs.h"
#include "base/log.h"
#include "plugin/backtrace.h"
#include "plugin/run.h"
#include "server/inner.h"
#include "server/standby.h"

enum { FINISH_MIN_MS = 100 }; /* for the last snapshot, however long the calls took to end */

static void on_state_is_back(void *arg) {
    struct server *server = arg;

    loop_enter();
    plugins_let_begin(server->plugins);
}

static void note_conn(void *arg, const void *record) {
    (void)record;
    *(bool *)arg = true;
}

static void on_locked(void *arg) {
    loop_enter();
    standby_update(arg);
}

/* Before the connection is made: a ledger that has one comes from another image of this process, or server object. */
void upkeep_init(struct server *server) {
    struct upkeep *upkeep = &server->upkeep;
    bool goes_on = false;

    ledger_each(server->ledger, &conn_kind, note_conn, &goes_on);
    upkeep->lane =
        lane_new(server->loop, "keeper", "no snapshot of the state can be written, and nothing old is swept");
    upkeep->chronicle = chronicle_new(server->store, server->ledger, goes_on, backtrace_resolve);
    upkeep->reloads = reloads_new(server->loop, upkeep->chronicle);
    upkeep->keeper = keeper_new(&(struct keeper_origin){
        .loop = server->loop,
        .lane = upkeep->lane,
        .ledger = server->ledger,
        .state = server->state,
        .chronicle = upkeep->chronicle,
        .state_dir = server->config->server.state_dir,
        .key_file = server->config->state.key_file,
        .boot_id = server->origin,
        .goes_on = goes_on,
        .locked = on_locked,
        .arg = server,
    });
    upkeep->sweep = sweep_new(&(struct sweep_origin){
        .loop = server->loop,
        .lane = upkeep->lane,
        .snapshot = keeper_snapshot(upkeep->keeper),
        .chronicle = upkeep->chronicle,
        .imagedir = server->imagedir,
        .state_dir = server->config->server.state_dir,
    });
    upkeep->late = late_new(upkeep->lane);
    upkeep->tidy = tidy_new(server->loop, upkeep->lane, server->ledger);
    describe_init(server);
    upkeep->state_is_back = (struct loop_task){.run = on_state_is_back, .arg = server};
}

void upkeep_fini(struct server *server) {
    struct upkeep *upkeep = &server->upkeep;

    upkeep->lane = lane_free(upkeep->lane);
    describe_fini(server);
    upkeep->tidy = tidy_free(upkeep->tidy);
    upkeep->late = late_free(upkeep->late);
    upkeep->sweep = sweep_free(upkeep->sweep);
    upkeep->keeper = keeper_free(upkeep->keeper);
    upkeep->reloads = reloads_free(upkeep->reloads);
    upkeep->chronicle = chronicle_free(upkeep->chronicle);
}

/* A rehearsal changes nothing outside of the process. */
void upkeep_wake(struct server *server) {
    if (server->plugin_host.rehearsal)
        return;
    plugins_hold_back(server->plugins);
    keeper_wake(server->upkeep.keeper, &server->upkeep.state_is_back);
}

void upkeep_loaded(struct server *server) {
    if (server->plugin_host.rehearsal)
        return;
    keeper_begin(server->upkeep.keeper);
    upkeep_reconfigured(server);
}

void upkeep_reconfigured(struct server *server) {
    standby_update(server);
    if (!plugins_are_loaded(server->plugins) || server->plugin_host.rehearsal)
        return;
    describe_begin(server);
    sweep_every(server->upkeep.sweep, server->config->buffer.cleanup_interval, server->config->history.keep,
                server->config->history.audit_lines);
    plugins_crash_rules(server->plugins);
}

/* Which settings are secrets only the plugin's schema could say: all of them are taken for one. */
static int add_secrets(struct server *server, const struct config_section *section, struct theseus_error *err) ON_LOOP {
    CLEANUP(free) char *dir = path_dir(section->file);
    json_t *written;
    const char *key;

    json_object_foreach (section->settings, key, written) {
        const char *text = json_string_value(written);
        CLEANUP(free) char *resolved = NULL;
        if (config_is_secret_ref(text) && config_resolve_secret(text, dir, &resolved, err) < 0)
            return -1;
        json_auto_t *value = json_string(resolved ? resolved : text);
        keeper_add_secret(server->upkeep.keeper, value);
    }
    return 0;
}

int upkeep_begin_without_plugins(struct server *server, struct theseus_error *err) {
    const struct config *config = server->config;

    for (size_t i = 0; i < config->plugin_count; i++)
        if (add_secrets(server, &config->plugin_sections[i], err) < 0)
            return -1;
    for (size_t i = 0; i < config->tool_count; i++)
        if (add_secrets(server, &config->tool_sections[i], err) < 0)
            return -1;
    keeper_begin(server->upkeep.keeper);
    return 0;
}

void upkeep_leave(struct server *server) {
    server->upkeep.leaving_since_ms = loop_now_ms(server->loop);
    keeper_hurry(server->upkeep.keeper);
}

void upkeep_finish(struct server *server) {
    struct upkeep *upkeep = &server->upkeep;
    int64_t left_ms = LEAVE_GRACE_MS + LEAVE_CANCELLED_MS;

    if (upkeep->leaving_since_ms > 0)
        left_ms -= loop_now_ms(server->loop) - upkeep->leaving_since_ms;
    keeper_finish(upkeep->keeper, left_ms > FINISH_MIN_MS ? (int)left_ms : FINISH_MIN_MS);
    (void)chronicle_flush(upkeep->chronicle,
                          FINISH_MIN_MS); /* what is not written then is tried once more at the end */
}

bool upkeep_is_stuck(const struct server *server) {
    return lane_stuck(server->upkeep.lane) > 0;
}

/* ---- what the plugin floor tells ---- */

void upkeep_on_secret(void *arg, const char *plugin, const char *key, const json_t *value) {
    struct server *server = arg;

    (void)plugin;
    (void)key;
    keeper_add_secret(server->upkeep.keeper, value);
}

void upkeep_on_settled(void *arg) {
    struct server *server = arg;

    loop_enter();
    if (server->awake && !server->plugin_host.rehearsal)
        reloads_settled(server->upkeep.reloads, server->plugins);
    extensions_plugins_changed(server);
    describe_changed(server);
    warnings_look(server);
    standby_update(server);
}

/* ---- reloads ---- */

struct asker upkeep_asker(const struct theseus_client_info *client) {
    return (struct asker){client->name, client->version, client->transport, client->uid};
}

void upkeep_asked_to_reload(struct server *server, const struct theseus_client_info *client, const char *plugin,
                            const char *refusal) {
    static const struct theseus_client_info by_signal = {.transport = "signal", .uid = -1};
    const struct asker by = upkeep_asker(client ? client : &by_signal);

    if (server->awake)
        reloads_ask(server->upkeep.reloads, &by, client ? client->session : NULL, plugin, refusal);
}

void upkeep_configured(struct server *server, const char *outcome) {
    describe_changed(server);
    if (server->awake && !server->plugin_host.rehearsal && !server->leaving)
        reloads_configured(server->upkeep.reloads, server->plugins, outcome);
    warnings_look(server);
}

/* ---- the exec ---- */

int upkeep_lock_fd(const struct server *server) {
    return keeper_lock_fd(server->upkeep.keeper);
}

int upkeep_adopt_lock(struct server *server, int fd, struct theseus_error *err) {
    if (server->heir.came)
        return keeper_take_up(server->upkeep.keeper, err);
    return keeper_adopt(server->upkeep.keeper, fd, err);
}
