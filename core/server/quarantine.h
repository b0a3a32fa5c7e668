/*
 * What becomes of a plugin whose code has crashed.
 *
 * Decided by the image that arrives after the crash, before it loads a plugin: crashes are counted by the hash of the
 * image that crashed, in the ledger. One that crashes too often (crash.limit, crash.window), or while it is new
 * (crash.probation, crash.probation_calls), is banned: the last image of that plugin that is known to be good serves
 * in its place, or nothing does, until the file holds something else.
 */
#pragma once

#include "base/crash_note.h"
#include "base/thread.h"
#include "store/history.h"

struct config;
struct ledger;
struct plugin_crash;
struct plugin_fate;
struct server;

enum quarantine_next { QUARANTINE_STILL_THERE, QUARANTINE_REVERTED, QUARANTINE_UNLOADED };

struct verdict {
    enum quarantine_next next;
    char plugin[CRASH_NAME_BYTES]; /* who is blamed: empty: nobody but the core */
    char version[CRASH_NAME_BYTES], hash[CRASH_HASH_BYTES];
    char good_version[CRASH_NAME_BYTES]; /* reverted: to this one; empty: not known */
    char failed[240];                    /* unloaded: why that one cannot be loaded; empty: there is none */
    int crashes;                         /* of that image within crash.window, this one included */
    bool probation;                      /* it was new */
};

/* Counts the crash and writes into the ledger what follows from it. Once for a note; before plugins_new(). */
void quarantine_decide(struct ledger *ledger, const struct config *config, const struct crash_note *note,
                       struct verdict *ret_verdict);
/* The same for a process of the plugin's own: `how` is what that did. */
void quarantine_decide_apart(struct ledger *ledger, const struct config *config, const struct plugin_crash *crash,
                             struct verdict *ret_verdict);

/* The same for the process of an isolated plugin, while the server goes on; struct plugin_host. It is said, too. */
void quarantine_on_crashed(void *arg, const struct plugin_crash *crash, struct plugin_fate *ret_fate);

/* "still there", "reverted", "unloaded": what a client is told. */
const char *quarantine_next_text(enum quarantine_next next);

/* What a process in trouble has left of one need not be what was meant: afterwards every text ends. */
void quarantine_mend(struct verdict *verdict);

/* The same for the server that arrives: it keeps the verdict, whose text is asked for afterwards. */
void quarantine_count(struct server *server, const struct crash_note *note) ON_LOOP;
/* The plugins that there are have been loaded. Does nothing serve of one that was to be reverted? Then it is unloaded.
 */
void quarantine_settle(struct server *server) ON_LOOP;
const char *quarantine_next(const struct server *server, const struct crash_note *note) ON_LOOP;

/*
 * Says what the crash was that this server follows: in the log with one line for each frame, in the history, and in the
 * audit. It reads symbol tables, so after clients are served again. `measured` has the figures of the restart.
 */
void quarantine_report(struct server *server, const struct history_event *measured) ON_LOOP;
/* The same of the crash before that, at once, if it has left a note and the image behind it has not come to say
 * anything. False: there is none. */
bool quarantine_report_before(struct server *server, const struct history_event *measured) ON_LOOP;

/* Somebody insists: what crashed is tried again when its file is looked at next, and nothing is held against it. */
void quarantine_forgive(struct server *server) ON_LOOP;
