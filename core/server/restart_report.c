/* What a client is told of a restart. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "plugin/run.h"
#include "rpc/jsontext.h"
#include "rpc/shape.h"
#include "server/restart_inner.h"

static json_t *text_new(const char *text) {
    return text ? json_string(text) : json_null();
}

static json_t *time_new(int64_t wall_ms) {
    char text[CLOCK_TEXT_BYTES];

    return json_string(clock_rfc3339(wall_ms, text));
}

/* Milliseconds with a microsecond's digits; null where nothing was measured. */
static json_t *ms_new(int64_t ns) {
    return ns < 0 ? json_null() : json_real((double)(ns / 1000) / 1000);
}

static bool is_set(const struct server *server, unsigned flag) {
    return server->restart.facts.flags & flag;
}

static json_t *common_new(const struct server *server, bool success, enum phase phase) {
    const struct restart_facts *facts = &server->restart.facts;

    return json_pack("{s:b, s:b, s:b, s:I, s:s, s:f, s:s, s:s}", "success", success, "graceful",
                     is_set(server, RESTART_GRACEFUL), "preserve_state", is_set(server, RESTART_PRESERVE), "timeout",
                     (json_int_t)(facts->timeout_ms / 1000), "phase", phase_name(phase), "progress",
                     phase_progress(phase), "restart_reason", facts->reason ? facts->reason : "", "mechanism",
                     server->restart.in_place ? "reload" : "reexec");
}

static void set(json_t *object, const char *key, json_t *value) {
    (void)json_object_set_new(object, key, value);
}

static json_t *pair_new(json_t *before, json_t *after) {
    return json_pack("{s:o, s:o}", "before", before, "after", after);
}

static void add_identity(json_t *report, const struct server *server) {
    const struct restart_facts *facts = &server->restart.facts;

    set(report, "pid", pair_new(json_integer(getpid()), json_integer(getpid())));
    set(report, "boot_id", pair_new(text_new(facts->boot_before), json_string(server->boot_id)));
    set(report, "server_version", pair_new(text_new(facts->version_before), json_string(THESEUS_VERSION)));
}

static void add_measured(json_t *report, const struct server *server) {
    const struct restart *restart = &server->restart;
    const struct restart_facts *facts = &restart->facts;

    set(report, "duration_ms", ms_new(clock_now_ns() - facts->started_ns));
    set(report, "blackout_ms", ms_new(restart->in_place ? 0 : restart->blackout_ns));
    set(report, "held_ms", ms_new(restart->in_place ? 0 : restart->held_ns));
    set(report, "suspend_ms", ms_new(facts->suspend_ns));
    set(report, "requests_held", json_integer((json_int_t)facts->requests_held));
    set(report, "calls_resumed", json_integer(restart->resumed));
    set(report, "calls_interrupted", json_integer((json_int_t)facts->calls_interrupted));
    set(report, "bytes_carried", json_integer((json_int_t)facts->bytes_carried));
}

static const char *complete_message(const struct server *server) {
    const struct restart *restart = &server->restart;
    bool migrated = json_array_size(server->migrations.done) > 0;

    if (restart->in_place && restart->unchanged)
        return "nothing has changed: what the configuration files say is in force already";
    if (restart->in_place)
        return "the configuration was taken in place; no restart was needed";
    if (migrated)
        return "the server was restarted, and the database's schema was migrated";
    if (is_set(server, RESTART_MIGRATES))
        return "the server was restarted; another process had migrated the database's schema meanwhile";
    return restart_is_for_schema(server) ? "the server was restarted; no migration was pending"
                                         : "the server was restarted";
}

static void add_migrations(json_t *report, const struct server *server) {
    const struct migrations *migrations = &server->migrations;

    if (!is_set(server, RESTART_MIGRATES))
        return;
    set(report, "migrations", json_incref(migrations->done));
    set(report, "backup", text_new(migrations->backup));
}

/* Which version of which plugin serves now. */
static json_t *plugins_new_brief(struct server *server) ON_LOOP {
    json_auto_t *report = plugins_report_new(server->plugins);
    json_t *list = json_array(), *plugin;
    size_t i;

    json_array_foreach (json_object_get(report, "plugins"), i, plugin) {
        json_t *version = json_object_get(plugin, "version");
        (void)json_array_append_new(list, json_pack("{s:O, s:O?, s:O?}", "name", json_object_get(plugin, "name"),
                                                    "version", version, "state", json_object_get(plugin, "state")));
    }
    return list;
}

static const char *first_message(const json_t *errors) {
    const char *message = json_string_value(json_object_get(json_array_get(errors, 0), "message"));
    const char *text = json_string_value(json_object_get(json_array_get(errors, 0), "text"));

    return message ? message : text ? text : "it is not known why";
}

/* What was refused or taken away before, and does not serve either after another try. */
static void add_retried(json_t *report, struct server *server) ON_LOOP {
    const struct restart *restart = &server->restart;
    json_t *rest = plugins_not_serving_new(server->plugins);
    size_t count = json_array_size(rest);

    if (!is_set(server, RESTART_RETRIES)) {
        json_decref(rest);
        return;
    }
    CLEANUP(free)
    char *crashed =
        recovery_is_restart(server)
            ? xasprintf(", and went on behind a crash while it tried plugins again: %s", first_message(restart->errors))
            : xstrdup("");
    CLEANUP(free)
    char *remain =
        count > 0 ? xasprintf("; %zu of the plugin files that were tried again do not serve: see not_serving", count)
                  : xstrdup("; every plugin file serves");
    CLEANUP(free) char *message = xasprintf("the server was restarted%s%s", crashed, remain);
    set(report, "message", json_string(message));
    set(report, "not_serving", rest);
}

json_t *report_complete_new(struct server *server) {
    json_t *report = common_new(server, true, PHASE_COMPLETE);

    set(report, "message", json_string(complete_message(server)));
    add_retried(report, server);
    set(report, "completed_at", time_new(clock_wall_ms()));
    add_identity(report, server);
    add_measured(report, server);
    set(report, "plugins", plugins_new_brief(server));
    add_migrations(report, server);
    if (server->restart.facts.lost)
        set(report, "left_behind", json_string(server->restart.facts.lost));
    return report;
}

/* Whose it is to mend: the program that was to be next, or a plugin that it would not serve. Owned; "": nobody's. */
static char *mending_new(const struct server *server, const char *why) {
    if (!server->restart.refused || !server->started_by)
        return xstrdup("");
    return xasprintf(". To mend it, %sput another build of the server at '%s', and ask again",
                     strstr(why, "plugin '") ? "replace the plugin's file or " : "", server->started_by);
}

json_t *report_failed_new(const struct server *server) {
    const struct restart *restart = &server->restart;
    json_t *report = common_new(server, false, PHASE_FAILED);
    int interrupted = (int)restart->facts.calls_interrupted;
    CLEANUP(free) char *but = interrupted ? xasprintf(", but %d calls were interrupted", interrupted) : xstrdup("");
    const char *why = first_message(restart->errors);
    CLEANUP(free) char *mending = mending_new(server, why);
    CLEANUP(free)
    char *message = xasprintf("%sthe server goes on as before%s: %s%s", interrupted ? "" : "nothing has changed, and ",
                              but, why, mending);

    set(report, "progress", json_real(phase_progress(restart->reached)));
    set(report, "message", json_string(message));
    set(report, "completed_at", time_new(clock_wall_ms()));
    set(report, "phase_reached", json_string(phase_name(restart->reached)));
    set(report, "errors", json_incref(restart->errors));
    add_identity(report, server);
    add_measured(report, server);
    return report;
}

json_t *report_left_new(const struct server *server) {
    static const char why[] = "the server was told to end, and leaves before the restart is complete";
    enum phase reached = server->restart.facts.phase;
    json_t *report = common_new(server, false, PHASE_FAILED);

    set(report, "progress", json_real(phase_progress(reached)));
    set(report, "message", json_string(why));
    set(report, "completed_at", time_new(clock_wall_ms()));
    set(report, "phase_reached", json_string(phase_name(reached)));
    set(report, "errors", json_pack("[{s:s, s:s}]", "phase", phase_name(reached), "message", why));
    add_identity(report, server);
    add_measured(report, server);
    return report;
}

json_t *report_pending_new(const struct server *server) {
    json_t *report = common_new(server, false, server->restart.facts.phase);

    set(report, "pending", json_true());
    set(report, "message", json_string("the restart goes on; ask orchestrator_restart_status what has become of it"));
    return report;
}

/* The result of a call whose handler was another image's. */
static json_t *result_new(json_t *report) {
    CLEANUP(buf_fini) struct buf text = {0};

    if (jsontext_write(report, &text, NULL) < 0)
        return NULL;
    return json_pack("{s:[{s:s, s:s%}], s:O}", "content", "type", "text", "text", text.data + text.start, text.len,
                     "structuredContent", report);
}

void report_answer(struct server *server, json_t *report) {
    CLEANUP(call_unref) struct call *call = TAKE_PTR(server->restart.call);
    struct run *run = TAKE_PTR(server->restart.run);
    json_auto_t *owned = report;

    if (run) {
        (void)theseus_reply_json(&run->call, json_incref(owned));
        (void)run_unref(run);
    } else if (call) {
        json_t *result = result_new(owned);
        call_answer(call, result ? shape_tool_result(call->revision, result) : NULL);
    }
}

/* For the image behind a crash that comes before the answer. */
static void keep_report(struct restart *restart, const json_t *report) {
    if (restart->run || restart->call)
        restart->facts.report = json_dumps(report, JSON_COMPACT);
}

void report_end(struct server *server, enum phase phase, json_t *report) {
    keep_report(&server->restart, report);
    restart_end(server, phase);
    report_answer(server, report);
}

static void answer_ended(void *arg, struct call *call) {
    struct server *server = arg;
    const struct restart_facts *facts = &server->restart.facts;

    if (!facts_is_call(facts, call))
        return;
    loop_enter();
    json_auto_t *report = json_loads(facts->report, 0, NULL);
    json_t *result = report ? result_new(report) : NULL;
    method_adopt(&server->methods, conn_of(call), call);
    call_answer(call, result ? shape_tool_result(call->revision, result) : NULL);
}

void report_answer_ended(struct server *server) {
    if (!server->restart.under_way && server->restart.facts.report)
        clients_each_call(server->clients, answer_ended, server);
}

/* ---- history ---- */

static double ms_or_unknown(int64_t ns) {
    return ns < 0 ? HISTORY_UNKNOWN : (double)ns / 1e6;
}

/* What went wrong, and, where the server has asked for it itself, why. New reference. */
static json_t *errors_new(const struct restart *restart) {
    json_t *errors = json_copy(restart->errors);

    if (restart->facts.cause)
        (void)json_array_append_new(
            errors, json_pack("{s:s, s:s}", "phase", phase_name(PHASE_PREPARING), "message", restart->facts.cause));
    return errors;
}

/* The image before has gone on for one that had crashed, until it has crashed itself. */
static void report_unfinished(struct server *server, struct history_event *event) ON_LOOP {
    if (quarantine_report_before(server, event))
        return;
    event->kind = HISTORY_CRASH;
    event->boot_after = server->recovery.boot_before;
    chronicle_add_once(server->upkeep.chronicle, event);
}

void report_to_history(struct server *server) {
    const struct restart *restart = &server->restart;
    const struct restart_facts *facts = &restart->facts;
    struct history_event event = history_event_of(HISTORY_RESTART, facts->reason, facts->started_ms);
    bool success = facts->phase != PHASE_FAILED, arrived = success && !restart->in_place;

    json_auto_t *asker = facts_unpack_asker(facts, &event.by);
    json_auto_t *errors = errors_new(restart);
    (void)asker; /* keeps the texts of event.by */
    event.mechanism = restart->in_place ? "reload" : "reexec";
    event.phase = phase_name(success ? PHASE_COMPLETE : restart->reached);
    event.success = success;
    event.graceful = is_set(server, RESTART_GRACEFUL);
    event.preserve_state = is_set(server, RESTART_PRESERVE);
    event.boot_before = facts->boot_before;
    event.version_before = facts->version_before;
    event.boot_after = server->boot_id;
    event.version_after = THESEUS_VERSION;
    event.duration_ms = ms_or_unknown(clock_now_ns() - facts->started_ns);
    event.suspend_ms = ms_or_unknown(facts->suspend_ns);
    event.calls_interrupted = (int64_t)facts->calls_interrupted;
    event.errors = errors;
    if (arrived) {
        event.blackout_ms = ms_or_unknown(restart->blackout_ns);
        event.held_ms = ms_or_unknown(restart->held_ns);
        event.requests_held = (int64_t)facts->requests_held;
        event.calls_resumed = restart->resumed;
        event.bytes_carried = (int64_t)facts->bytes_carried;
        event.records_differing = (int64_t)ledger_damaged(server->ledger);
        event.requests_unanswered = restart->unanswered;
        event.calls_lost = restart->lost;
    }
    if (server->heir.came && recovery_is_restart(server))
        heir_add_to_event(server, &event);
    if (recovery_is_restart(server))
        quarantine_report(server, &event);
    else if (is_set(server, RESTART_CRASH))
        report_unfinished(server, &event);
    else
        chronicle_add(server->upkeep.chronicle, &event);
}

/* ---- restart_status ---- */

static const char *status_message(const struct server *server) {
    const struct restart *restart = &server->restart;

    if (restart->under_way)
        return "a restart is under way";
    if (restart->facts.phase == PHASE_FAILED)
        return "the last restart failed; the server went on as before";
    return restart->facts.phase == PHASE_COMPLETE ? "the last restart is complete" : "there was no restart yet";
}

/* As long as the last one took; without one nobody knows. One that takes longer ends with its time at the latest. */
static json_t *estimate_new(const struct server *server) {
    const struct restart *restart = &server->restart;
    int64_t estimate_ms = restart->facts.started_ms + server->last_duration_ms;

    if (!restart->under_way || server->last_duration_ms <= 0)
        return json_null();
    return time_new(estimate_ms > clock_wall_ms() ? estimate_ms
                                                  : restart->facts.started_ms + restart->facts.timeout_ms);
}

json_t *restart_status_new(const struct server *server) {
    const struct restart *restart = &server->restart;
    enum phase phase = restart->facts.phase;

    return json_pack("{s:s, s:f, s:s, s:o, s:o, s:b, s:O}", "phase", phase_name(phase), "progress",
                     phase_progress(phase == PHASE_FAILED ? restart->reached : phase), "message",
                     status_message(server), "started_at",
                     phase == PHASE_IDLE ? json_null() : time_new(restart->facts.started_ms), "estimated_completion",
                     estimate_new(server), "maintenance_mode", restart->paused, "errors", restart->errors);
}
