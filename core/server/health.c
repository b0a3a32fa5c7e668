/* Service `health`: is the server well? What is wrong is said in `issues`, whatever sections are wanted. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "ledger/snapshot.h"
#include "server/facts.h"
#include "server/inner.h"
#include "server/restart.h"
#include "server/services.h"
#include "server/sessions.h"
#include "store/audit.h"
#include "store/damage.h"
#include "store/probe.h"
#include "store/schema.h"

/* ---- the database; on the asking thread ---- */

/* Of the backups that a person asked for; null: there is none, or nobody can tell. */
static json_t *last_backup_new(struct server *server) {
    struct theseus_error err = {0};
    json_t *line = NULL;

    if (audit_last(server->store, "backup", &line, &err) < 0 || !line)
        return json_null();
    json_t *backup =
        json_pack("{s:O, s:O}", "file", json_object_get(line, "target"), "at", json_object_get(line, "timestamp"));
    json_decref(line);
    return backup;
}

json_t *health_gather(struct server *server, struct run *run, const json_t *args) {
    struct store_probe probe;
    struct theseus_error err = {0};

    (void)run, (void)args;
    store_probe(server->store, &probe);
    bool outdated = probe.exists && probe.writable && schema_for_reading(server->store, &err) < 0;
    const char *status =
        !probe.writable ? (probe.connected ? "degraded" : "unavailable") : (outdated ? "degraded" : "operational");
    return json_pack("{s:b, s:b, s:s, s:o, s:o, s:s?}", "connected", probe.connected, "exists", probe.exists, "status",
                     status, "last_backup", last_backup_new(server), "last_snapshot",
                     facts_time_new(snapshot_last_ms(keeper_snapshot(server->upkeep.keeper))), "problem",
                     !probe.writable ? probe.why.message
                     : outdated      ? err.message
                                     : NULL);
}

/* ---- the rest; on the loop ---- */

/* Whoever met it, and whenever: a write that is tried need not. */
static void add_damage(json_t *database, json_t *issues) {
    char text[DAMAGE_TEXT_BYTES];

    if (!damage_met(text))
        return;
    facts_add_text(issues,
                   "database: it is damaged; SQLite says: %s. End the server, run theseus check --deep, then theseus "
                   "restore with a backup",
                   text);
    if (strcmp(json_string_value(json_object_get(database, "status")), "operational") == 0)
        (void)json_object_set_new(database, "status", json_string("degraded"));
}

static json_t *database_new(const json_t *facts, json_t *issues) {
    const json_t *problem = json_object_get(facts, "problem");
    json_t *database = json_copy((json_t *)facts);

    if (json_is_string(problem))
        facts_add_text(issues, "database: %s", json_string_value(problem));
    (void)json_object_del(database, "problem");
    add_damage(database, issues);
    return database;
}

/* What of the memory that goes from image to image was lost when this one began. It is whole again since. */
static json_t *ledger_new_check(const struct server *server, json_t *issues) {
    const struct ledger *ledger = server->ledger;
    size_t damaged = ledger_damaged(ledger), lost = ledger_lost(ledger);

    if (damaged > 0)
        facts_add_text(issues,
                       "ledger: %zu records, or more, were lost when this image began, for something had written into "
                       "the server's memory: a call may have gone without its answer, or a plugin without its state. "
                       "The log says more; a restart begins with a ledger that is whole",
                       lost);
    return json_pack("{s:I, s:I, s:I}", "damaged_batches", (json_int_t)damaged, "lost_records", (json_int_t)lost,
                     "mended_batches", (json_int_t)ledger_mended(ledger));
}

static json_t *connections_new(struct server *server) ON_LOOP {
    json_auto_t *sessions = sessions_new(server->ledger);
    size_t i, count = json_array_size(sessions), reachable = 0;
    json_t *session;

    json_array_foreach (sessions, i, session)
        reachable += json_is_true(json_object_get(session, "reachable"));
    bool whole = reachable == count && (count > 0 || server->listener);
    return json_pack("{s:I, s:s, s:o*}", "active_connections", (json_int_t)count, "status",
                     whole           ? "operational"
                     : reachable > 0 ? "degraded"
                                     : "unavailable",
                     "listener", listening_report_new(server));
}

static bool has_state(const json_t *plugin, const char *state) {
    const char *text = json_string_value(json_object_get(plugin, "state"));

    return text && strcmp(text, state) == 0;
}

static json_t *quarantined_new(const json_t *plugin) {
    return json_pack("{s:O, s:O, s:O, s:O*}", "name", json_object_get(plugin, "name"), "file",
                     json_object_get(plugin, "file"), "generation", json_object_get(plugin, "generation"), "reason",
                     json_object_get(plugin, "reason"));
}

static json_t *plugins_new_check(struct server *server, json_t *issues) ON_LOOP {
    json_auto_t *report = plugins_report_new(server->plugins);
    json_t *refused = json_object_get(report, "refused"), *quarantined = json_array(), *plugin;
    json_int_t active = 0;
    size_t i;

    json_array_foreach (json_object_get(report, "plugins"), i, plugin) {
        active += has_state(plugin, "active") || has_state(plugin, "reverted");
        const char *trouble = json_string_value(json_object_get(json_object_get(plugin, "process"), "trouble"));
        if (trouble && has_state(plugin, "active"))
            facts_add_text(issues, "plugin '%s': %s", json_string_value(json_object_get(plugin, "name")), trouble);
        if (has_state(plugin, "quarantined"))
            (void)json_array_append_new(quarantined, quarantined_new(plugin));
    }
    json_array_foreach (refused, i, plugin)
        facts_add_text(issues, "plugin refused: %s: %s", json_string_value(json_object_get(plugin, "file")),
                       json_string_value(json_object_get(plugin, "reason")));
    return json_pack("{s:I, s:O, s:o}", "active", active, "refused", refused, "quarantined", quarantined);
}

static json_t *configuration_new(struct server *server, json_t *issues) ON_LOOP {
    json_t *configuration = reconfigure_report_new(server);
    const json_t *refused = json_object_get(configuration, "refused");
    const char *file = json_string_value(json_object_get(refused, "file"));

    if (file)
        facts_add_text(issues, "configuration refused: %s:%d: %s", file,
                       (int)json_integer_value(json_object_get(refused, "line")),
                       json_string_value(json_object_get(refused, "text")));
    else if (json_is_object(refused))
        facts_add_text(issues, "configuration refused: %s", json_string_value(json_object_get(refused, "text")));
    return configuration;
}

static json_t *readiness_new(struct server *server) ON_LOOP {
    json_t *obstacles = json_array();

    facts_add_obstacles(server, obstacles);
    return json_pack("{s:b, s:o}", "ready", json_array_size(obstacles) == 0, "issues", obstacles);
}

static void put(json_t *checks, const char *name, bool wanted, json_t *section) {
    if (wanted)
        (void)json_object_set_new(checks, name, section);
    else
        json_decref(section);
}

json_t *health_answer(struct server *server, struct run *run, const json_t *args, const json_t *facts) {
    json_t *checks = json_object(), *issues = json_array();

    loop_enter();
    (void)run;
    put(checks, "reboot_readiness", facts_wants(args, "include_reboot_readiness", true), readiness_new(server));
    put(checks, "database", facts_wants(args, "include_database_status", true), database_new(facts, issues));
    put(checks, "connections", facts_wants(args, "include_connection_status", true), connections_new(server));
    put(checks, "plugins", true, plugins_new_check(server, issues));
    put(checks, "threads", true, rescue_report_new(server, issues));
    put(checks, "ledger", true, ledger_new_check(server, issues));
    put(checks, "memory", true, memory_report_new(server, issues));
    put(checks, "configuration", true, configuration_new(server, issues));
    const double uptime = (double)(clock_wall_ms() - server->started_ms) / 1e3;
    return json_pack("{s:b, s:o, s:o, s:o, s:s, s:i, s:s, s:f, s:o}", "healthy", json_array_size(issues) == 0, "issues",
                     issues, "warnings", warnings_new(server), "timestamp", facts_now_new(), "server_version",
                     THESEUS_VERSION, "pid", (int)getpid(), "boot_id", server->boot_id, "uptime_s", uptime, "checks",
                     checks);
}
