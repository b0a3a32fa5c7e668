/* What is said of a crash, and how bans are forgiven. See quarantine.h. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "plugin/ban.h"
#include "server/backtrace.h"
#include "server/crash_words.h"
#include "server/inner.h"
#include "server/quarantine.h"

const char *quarantine_next_text(enum quarantine_next next) {
    static const char *const texts[] = {
        [QUARANTINE_STILL_THERE] = "still there",
        [QUARANTINE_REVERTED] = "reverted",
        [QUARANTINE_UNLOADED] = "unloaded",
    };

    return texts[next];
}

void quarantine_count(struct server *server, const struct crash_note *note) {
    quarantine_decide(server->ledger, server->config, note, &server->verdict);
}

const char *quarantine_next(const struct server *server, const struct crash_note *note) {
    (void)note;
    return quarantine_next_text(server->verdict.next);
}

static char *culprit_text(const struct crash_note *note, const struct verdict *verdict) {
    CLEANUP(free) char *where = crash_words_where(note);

    if (!*verdict->plugin)
        return xstrdup("the server's own code");
    return xasprintf("plugin '%s' %s%s%s", verdict->plugin, verdict->version, *where ? ", " : "", where);
}

static char *next_text(const struct verdict *verdict) {
    if (verdict->next == QUARANTINE_REVERTED)
        return xasprintf("it is reverted to version %s", verdict->good_version);
    if (verdict->next == QUARANTINE_UNLOADED)
        return xstrdup("it is unloaded, for there is no version of it that is known to be good");
    return xstrdup("it is still there");
}

static json_t *details_new(const struct crash_note *note, const struct verdict *verdict, const char *message) {
    CLEANUP(free) char *signal = crash_words_signal(note);
    json_t *backtrace = backtrace_new(note);

    return json_pack("{s:s*, s:s*, s:s*, s:s*, s:s*, s:s, s:s, s:s, s:i, s:o, s:s}", "plugin",
                     *verdict->plugin ? verdict->plugin : NULL, "version", *verdict->version ? verdict->version : NULL,
                     "hash", *verdict->hash ? verdict->hash : NULL, "tool", *note->tool ? note->tool : NULL, "slot",
                     *note->slot ? note->slot : NULL, "signal", signal, "thread", note->thread, "next",
                     quarantine_next_text(verdict->next), "crashes", verdict->crashes, "backtrace", backtrace,
                     "message", message);
}

static void log_frames(const json_t *details) {
    json_t *frame;
    size_t i;

    json_array_foreach (json_object_get(details, "backtrace"), i, frame)
        log_error("  %s", json_string_value(frame));
}

static void write_history(struct server *server, const struct verdict *verdict, json_t *details,
                          const struct history_event *measured) ON_LOOP {
    json_auto_t *errors = json_pack("[O]", details);
    struct history_event event =
        measured ? *measured : history_event_of(HISTORY_CRASH, "error_recovery", clock_wall_ms());

    event.kind = HISTORY_CRASH;
    event.reason = "error_recovery";
    event.mechanism = "reexec";
    event.phase = "complete";
    event.success = true;
    event.preserve_state = true;
    event.subject = *verdict->plugin ? verdict->plugin : NULL;
    event.by = (struct asker){.transport = "crash", .uid = -1};
    event.boot_after = server->boot_id;
    event.version_after = THESEUS_VERSION;
    event.errors = errors;
    chronicle_add(server->upkeep.chronicle, &event);
}

static void write_audit(struct server *server, const struct verdict *verdict, const char *message) {
    const struct audit_line line = {.at_ms = clock_wall_ms(),
                                    .by = {.transport = "crash", .uid = -1},
                                    .action = verdict->next == QUARANTINE_REVERTED ? "revert" : "unload",
                                    .target = verdict->plugin,
                                    .result = "done",
                                    .detail = message};

    chronicle_audit(server->upkeep.chronicle, &line);
}

void quarantine_report(struct server *server, const struct crash_note *note, const struct verdict *verdict,
                       const struct history_event *measured) {
    CLEANUP(free) char *culprit = culprit_text(note, verdict);
    CLEANUP(free) char *next = next_text(verdict);
    CLEANUP(free) char *signal = crash_words_signal(note);
    CLEANUP(free)
    char *message = *verdict->plugin ? xasprintf("%s crashed in %s; %s", signal, culprit, next)
                                     : xasprintf("%s in %s", signal, culprit);
    json_auto_t *details = details_new(note, verdict, message);

    log_error("%s", message);
    log_frames(details);
    write_history(server, verdict, details, measured);
    if (verdict->next == QUARANTINE_STILL_THERE)
        return;
    write_audit(server, verdict, message);
    plugins_keep_bans(server->plugins, verdict->plugin);
}

/* ---- another try ---- */

struct forgiving {
    struct batch batch;
    json_t *plugins; /* owned: names, as keys */
};

static void forgive_ban(void *arg, const struct ban *ban) {
    struct forgiving *forgiving = arg;

    ban_drop(&forgiving->batch, ban);
    (void)json_object_set_new(forgiving->plugins, ban->plugin, json_true());
}

static void forget_crash(void *arg, const void *record) {
    batch_drop(&((struct forgiving *)arg)->batch, &crash_kind, record);
}

void quarantine_forgive(struct server *server) {
    json_auto_t *plugins = json_object();
    struct forgiving forgiving = {.plugins = plugins};
    struct theseus_error err = {0};
    const char *name;
    json_t *value;

    ban_each(server->ledger, forgive_ban, &forgiving);
    ledger_each(server->ledger, &crash_kind, forget_crash, &forgiving);
    if (ledger_commit(server->ledger, &forgiving.batch, &err) < 0)
        log_error("plugins that crashed are not tried again: %s", err.message);
    batch_fini(&forgiving.batch);
    json_object_foreach (plugins, name, value)
        plugins_keep_bans(server->plugins, name);
}
