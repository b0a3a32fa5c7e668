/* What is said of a crash, and how bans are forgiven. See quarantine.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/utf8.h"
#include "plugin/backtrace.h"
#include "plugin/ban.h"
#include "plugin/fate.h"
#include "server/crash_left.h"
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

void quarantine_settle(struct server *server) {
    CLEANUP(ban_fini) struct ban ban = {0};
    struct verdict *verdict = &server->verdict;

    if (verdict->next != QUARANTINE_REVERTED || !ban_find(server->ledger, verdict->hash, &ban) || !*ban.failed)
        return;
    verdict->next = QUARANTINE_UNLOADED;
    (void)snprintf(verdict->failed, sizeof(verdict->failed), "%s", ban.failed);
    utf8_mend(verdict->failed);
}

static const enum fate fates[] = {
    [QUARANTINE_STILL_THERE] = FATE_RESTARTED,
    [QUARANTINE_REVERTED] = FATE_REVERTED,
    [QUARANTINE_UNLOADED] = FATE_UNLOADED,
};

/* What is to be said of a crash: of the server's own process, or (`apart`) of an isolated plugin's. */
struct saying {
    struct server *server;
    const struct crash_note *note;
    const struct verdict *verdict;
    const struct plugin_crash *apart;
    bool again; /* it may have been said already */
};

static char *next_text(const struct saying *saying) {
    const struct verdict *verdict = saying->verdict;

    if (!*verdict->plugin)
        return xstrdup("no plugin is to blame");
    if (verdict->next == QUARANTINE_REVERTED)
        return xasprintf("it is reverted to version %s", verdict->good_version);
    if (verdict->next == QUARANTINE_UNLOADED && *verdict->failed)
        return xasprintf("it is unloaded, for version %s, which was good, cannot be loaded: %s", verdict->good_version,
                         verdict->failed);
    if (verdict->next == QUARANTINE_UNLOADED)
        return xstrdup("it is unloaded, for no version of it is known to be good");
    return xstrdup(saying->apart ? "it is started again" : "it is still there");
}

static char *who_did_what_new(const struct saying *saying) {
    const struct verdict *verdict = saying->verdict;
    CLEANUP(free) char *signal = crash_words_signal(saying->note);

    if (saying->apart)
        return xasprintf("the process of plugin '%s' %s %s", verdict->plugin, verdict->version, saying->apart->how);
    return *verdict->plugin ? xasprintf("plugin '%s' %s crashed with %s", verdict->plugin, verdict->version, signal)
                            : xasprintf("the server's own code crashed with %s", signal);
}

static char *message_new(const struct saying *saying, const char *next) {
    CLEANUP(free) char *where = crash_words_where(saying->note);
    CLEANUP(free) char *what = who_did_what_new(saying);

    return xasprintf("%s%s%s%s; %s", what, *where ? " in " : "", where, saying->apart ? saying->apart->remark : "",
                     next);
}

static const char *if_any(const char *text) {
    return *text ? text : NULL;
}

static json_t *details_new(const struct saying *saying, const char *message) {
    const struct crash_note *note = saying->note;
    const struct verdict *verdict = saying->verdict;
    CLEANUP(free) char *signal = crash_words_signal(note);

    return json_pack(
        "{s:s*, s:s*, s:s*, s:s*, s:s*, s:s, s:s*, s:s, s:s, s:i, s:o, s:s, s:s}", "plugin", if_any(verdict->plugin),
        "version", if_any(verdict->version), "hash", if_any(verdict->hash), "tool", if_any(note->tool), "slot",
        if_any(note->slot), "signal", signal, "isolation", saying->apart ? "process" : NULL, "thread", note->thread,
        "next", saying->apart ? fate_text(fates[verdict->next]) : quarantine_next_text(verdict->next), "crashes",
        verdict->crashes, "backtrace", saying->apart ? json_incref(saying->apart->backtrace) : backtrace_new(note),
        "backtrace_hint", BACKTRACE_HINT, "message", message);
}

static void write_audit(const struct saying *saying, const char *message) {
    const struct verdict *verdict = saying->verdict;
    const struct audit_line line = {.at_ms = clock_wall_ms(),
                                    .by = {.transport = "crash", .uid = -1},
                                    .action = verdict->next == QUARANTINE_REVERTED ? "revert" : "unload",
                                    .target = verdict->plugin,
                                    .result = "done",
                                    .detail = message};

    chronicle_audit(saying->server->upkeep.chronicle, &line);
}

static void say(const struct saying *saying, struct history_event *event) ON_LOOP {
    const struct verdict *verdict = saying->verdict;
    CLEANUP(free) char *next = next_text(saying);
    CLEANUP(free) char *message = message_new(saying, next);
    json_auto_t *details = details_new(saying, message);
    json_auto_t *errors = json_pack("[O]", details);

    if (saying->apart)
        log_error("%s", message);
    else if (verdict->next != QUARANTINE_STILL_THERE)
        log_error("plugin '%s' %s: %s", verdict->plugin, verdict->version, next);
    event->subject = if_any(verdict->plugin);
    event->errors = errors;
    (saying->again ? chronicle_add_once : chronicle_add)(saying->server->upkeep.chronicle, event);
    if (verdict->next == QUARANTINE_STILL_THERE)
        return;
    write_audit(saying, message);
    plugins_keep_bans(saying->server->plugins, verdict->plugin);
}

void quarantine_report(struct server *server, const struct history_event *measured) {
    struct history_event event = *measured;

    event.kind = HISTORY_CRASH;
    if (server->recovery.noted)
        say(&(struct saying){server, &server->recovery.note, &server->verdict, NULL, false}, &event);
    else
        chronicle_add(server->upkeep.chronicle, &event);
    crash_left_told(server->ledger);
}

bool quarantine_report_before(struct server *server, const struct history_event *measured) {
    struct history_event event = *measured;
    struct crash_untold untold;

    if (!crash_left_untold(server->ledger, &untold))
        return false;
    event.kind = HISTORY_CRASH;
    event.started_ms = untold.at_ms;
    event.boot_after = server->recovery.boot_before;
    crash_left_told(server->ledger); /* before it is: should that crash, it does so once */
    say(&(struct saying){server, &untold.note, &untold.verdict, NULL, true}, &event);
    return true;
}

/* ---- isolated plugins ---- */

/* What did not come back is started again as often as that takes. */
static void let_go_on(const struct plugin_crash *crash, struct verdict *ret_verdict) {
    const struct crash_note *note = crash->note;

    *ret_verdict = (struct verdict){.next = QUARANTINE_STILL_THERE};
    (void)snprintf(ret_verdict->plugin, sizeof(ret_verdict->plugin), "%s", note->plugin);
    (void)snprintf(ret_verdict->version, sizeof(ret_verdict->version), "%s", note->version);
    (void)snprintf(ret_verdict->hash, sizeof(ret_verdict->hash), "%s", note->hash);
}

void quarantine_on_crashed(void *arg, const struct plugin_crash *crash, struct plugin_fate *ret_fate) {
    struct server *server = arg;
    struct history_event event = history_event_of(HISTORY_CRASH, "isolated_plugin", clock_wall_ms());
    struct verdict verdict;

    loop_enter();
    if (crash->counts)
        quarantine_decide_apart(server->ledger, server->config, crash, &verdict);
    else
        let_go_on(crash, &verdict);
    event.mechanism = "process";
    event.success = verdict.next == QUARANTINE_STILL_THERE;
    event.boot_before = event.boot_after = server->boot_id;
    event.version_before = event.version_after = THESEUS_VERSION;
    say(&(struct saying){server, crash->note, &verdict, crash, false}, &event);
    *ret_fate = (struct plugin_fate){fates[verdict.next], verdict.crashes};
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
