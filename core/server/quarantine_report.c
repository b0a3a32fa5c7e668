/* What is said of a crash, and how bans are forgiven. See quarantine.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/utf8.h"
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

void quarantine_settle(struct server *server) {
    CLEANUP(ban_fini) struct ban ban = {0};
    struct verdict *verdict = &server->verdict;

    if (verdict->next != QUARANTINE_REVERTED || !ban_find(server->ledger, verdict->hash, &ban) || !*ban.failed)
        return;
    verdict->next = QUARANTINE_UNLOADED;
    (void)snprintf(verdict->failed, sizeof(verdict->failed), "%s", ban.failed);
    utf8_mend(verdict->failed);
}

static char *next_text(const struct verdict *verdict) {
    if (!*verdict->plugin)
        return xstrdup("no plugin is to blame");
    if (verdict->next == QUARANTINE_REVERTED)
        return xasprintf("it is reverted to version %s", verdict->good_version);
    if (verdict->next == QUARANTINE_UNLOADED && *verdict->failed)
        return xasprintf("it is unloaded, for version %s, which was good, cannot be loaded: %s", verdict->good_version,
                         verdict->failed);
    if (verdict->next == QUARANTINE_UNLOADED)
        return xstrdup("it is unloaded, for no version of it is known to be good");
    return xstrdup("it is still there");
}

static char *message_new(const struct crash_note *note, const struct verdict *verdict, const char *next) {
    CLEANUP(free) char *where = crash_words_where(note);
    CLEANUP(free) char *signal = crash_words_signal(note);

    CLEANUP(free)
    char *who = *verdict->plugin ? xasprintf("plugin '%s' %s", verdict->plugin, verdict->version)
                                 : xstrdup("the server's own code");

    return xasprintf("%s crashed with %s%s%s; %s", who, signal, *where ? " in " : "", where, next);
}

static json_t *details_new(const struct crash_note *note, const struct verdict *verdict, const char *message) {
    CLEANUP(free) char *signal = crash_words_signal(note);

    return json_pack("{s:s*, s:s*, s:s*, s:s*, s:s*, s:s, s:s, s:s, s:i, s:o, s:s}", "plugin",
                     *verdict->plugin ? verdict->plugin : NULL, "version", *verdict->version ? verdict->version : NULL,
                     "hash", *verdict->hash ? verdict->hash : NULL, "tool", *note->tool ? note->tool : NULL, "slot",
                     *note->slot ? note->slot : NULL, "signal", signal, "thread", note->thread, "next",
                     quarantine_next_text(verdict->next), "crashes", verdict->crashes, "backtrace", backtrace_new(note),
                     "message", message);
}

static void write_audit(struct server *server, const char *message) {
    const struct verdict *verdict = &server->verdict;
    const struct audit_line line = {.at_ms = clock_wall_ms(),
                                    .by = {.transport = "crash", .uid = -1},
                                    .action = verdict->next == QUARANTINE_REVERTED ? "revert" : "unload",
                                    .target = verdict->plugin,
                                    .result = "done",
                                    .detail = message};

    chronicle_audit(server->upkeep.chronicle, &line);
}

static void report_note(struct server *server, struct history_event *event) ON_LOOP {
    const struct crash_note *note = &server->recovery.note;
    const struct verdict *verdict = &server->verdict;
    CLEANUP(free) char *next = next_text(verdict);
    CLEANUP(free) char *message = message_new(note, verdict, next);
    json_auto_t *details = details_new(note, verdict, message);
    json_auto_t *errors = json_pack("[O]", details);

    if (verdict->next != QUARANTINE_STILL_THERE)
        log_error("plugin '%s' %s: %s", verdict->plugin, verdict->version, next);
    event->subject = *verdict->plugin ? verdict->plugin : NULL;
    event->errors = errors;
    chronicle_add(server->upkeep.chronicle, event);
    if (verdict->next == QUARANTINE_STILL_THERE)
        return;
    write_audit(server, message);
    plugins_keep_bans(server->plugins, verdict->plugin);
}

void quarantine_report(struct server *server, const struct history_event *measured) {
    struct history_event event = *measured;

    event.kind = HISTORY_CRASH;
    if (server->recovery.noted)
        report_note(server, &event);
    else
        chronicle_add(server->upkeep.chronicle, &event);
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
