#include "server/recovery.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "call/keep.h"
#include "plugin/run.h"
#include "rpc/shape.h"
#include "server/carried.h"
#include "server/crash_left.h"
#include "server/quarantine.h"
#include "server/restart_inner.h"

#define COUNT_NAME "crash.execs"
#define SINCE_NAME "crash.execs_since"

enum { LEAVING_EXECS = 5 }; /* crashes, none of them with a request served since the one before */

/* ---- texts ---- */

static const char *signal_name(int signum) {
    const char *name = sigabbrev_np(signum);

    return name ? name : "?";
}

/* "crashed with SIGSEGV", "called exit(3)". Owned. */
static char *how_new(const struct crash_note *note) {
    char call[CRASH_CALL_BYTES];

    crash_note_call(note, call);
    return *call ? xasprintf("called %s", call) : xasprintf("crashed with SIG%s", signal_name(note->signum));
}

/* Who it was, and with which signal: the beginning of a sentence. */
static char *what_new(const struct recovery *recovery, bool is_killed) {
    const struct crash_note *note = &recovery->note;

    if (!recovery->noted)
        return xstrdup(is_killed ? "the server was killed" : "the server crashed");
    if (!note->plugin[0]) {
        CLEANUP(free) char *how = how_new(note);
        return xasprintf("the server %s", how);
    }
    if (crash_note_is_hang(note))
        return xasprintf("plugin '%s'%s%s did not come back, and kept everybody waiting", note->plugin,
                         note->version[0] ? " " : "", note->version);
    CLEANUP(free) char *how = how_new(note);
    return xasprintf("plugin '%s'%s%s %s", note->plugin, note->version[0] ? " " : "", note->version, how);
}

static const char *children_text(const struct server *server, const struct call *call) ON_LOOP {
    return children_of(server->children, &call->key) == CHILDREN_NONE
               ? ""
               : " The child process that it had started was ended.";
}

/* ---- what the image before has left ---- */

static void read_counter(void *arg, const void *record) {
    *(uint64_t *)arg = ((const struct counter_record *)record)->value;
}

static uint64_t counter(struct ledger *ledger, const char *name) {
    struct counter_record record = {.name = span_of(name)};
    uint64_t value = 0;

    (void)ledger_find(ledger, &counter_kind, &record, read_counter, &value);
    return value;
}

static void put_counter(struct batch *batch, const char *name, uint64_t value) {
    struct counter_record record = {.name = span_of(name), .value = value};

    batch_put(batch, &counter_kind, &record);
}

/* Since when, and how often, without a request that was served in between. */
static void count_execs(struct server *server) {
    struct recovery *recovery = &server->recovery;
    CLEANUP(batch_fini) struct batch batch = {0};
    uint64_t count = counter(server->ledger, COUNT_NAME), since = counter(server->ledger, SINCE_NAME);
    int64_t window_ns = (int64_t)server->config->crash.execs_window * 1000000000, now = clock_now_ns();
    struct theseus_error err = {0};

    if ((recovery->noted && recovery->note.served > 0) || (window_ns > 0 && now - (int64_t)since > window_ns))
        count = 0;
    if (count == 0)
        since = (uint64_t)now;
    recovery->execs = (int)++count;
    put_counter(&batch, COUNT_NAME, count);
    put_counter(&batch, SINCE_NAME, since);
    if (ledger_commit(server->ledger, &batch, &err) < 0)
        log_error("a crash could not be counted: %s", err.message);
}

static bool crashes_too_often(const struct server *server) ON_LOOP {
    const int limit = server->config->crash.max_execs;

    return limit > 0 && server->config->crash.execs_window > 0 && server->recovery.execs >= limit;
}

/* Whatever the options allow: where nobody is served any more there is nothing to go on for. */
static bool cannot_even_leave(const struct recovery *recovery) {
    return recovery->note.leaving && recovery->execs >= LEAVING_EXECS;
}

bool recovery_gives_up(const struct server *server) {
    const struct recovery *recovery = &server->recovery;

    return recovery->came && (crashes_too_often(server) || cannot_even_leave(recovery));
}

struct counting {
    struct recovery *recovery;
    struct batch batch;
};

static bool is_later_of_blamed(const struct recovery *recovery, const struct run_record *run) {
    const struct crash_note *note = &recovery->note;

    return run->later && recovery->noted && !note->tool[0] && note->plugin[0] &&
           run->plugin.len == strlen(note->plugin) && memcmp(run->plugin.data, note->plugin, run->plugin.len) == 0;
}

static void note_later(struct recovery *recovery, const struct run_record *run) {
    recovery->laters = xreallocarray(recovery->laters, recovery->later_count + 1, sizeof(struct recovery_later));
    recovery->laters[recovery->later_count++] = (struct recovery_later){
        .key = {run->conn, run->offset, run->index}, .structured = run->later == RUN_LATER_STRUCTURED};
}

/* Whose handler was entered since the last crash was at work at this one. */
static void count_run(void *arg, const void *recorded) {
    struct run_record run = *(const struct run_record *)recorded;
    struct counting *counting = arg;

    if (keep_is_inner(run.index) || run.attempts <= run.counted)
        return;
    if (is_later_of_blamed(counting->recovery, &run))
        note_later(counting->recovery, &run);
    run.crashes++;
    run.counted = run.attempts;
    run.later = 0;
    run.plugin = (struct span){0};
    batch_put(&counting->batch, &run_kind, &run);
}

static void count_runs(struct server *server) {
    struct counting counting = {.recovery = &server->recovery};
    struct theseus_error err = {0};

    ledger_each(server->ledger, &run_kind, count_run, &counting);
    if (ledger_commit(server->ledger, &counting.batch, &err) < 0)
        log_error("what was at work at the crash could not be recorded: %s", err.message);
    batch_fini(&counting.batch);
}

static void read_boot(void *arg, const void *recorded) {
    const struct boot_record *record = recorded;
    char **id = arg;

    *id = xstrndup(record->boot.data, record->boot.len);
}

void recovery_prepare(struct server *server) {
    struct recovery *recovery = &server->recovery;
    struct boot_record boot = {.number = 1};

    recovery->noted = crash_left_read(server->ledger, &recovery->note);
    if (!recovery->came && !server->is_back) {
        recovery->noted = false; /* a crash that an exec has forestalled */
        recovery->note = (struct crash_note){0};
        return;
    }
    if (recovery->came && !recovery->noted)
        recovery->note = (struct crash_note){.at_ns = clock_now_ns()};
    recovery->at_ms = clock_wall_ms() - (clock_now_ns() - recovery->note.at_ns) / 1000000;
    recovery->what = what_new(recovery, server->heir.came);
    if (!recovery->came)
        return;
    (void)ledger_find(server->ledger, &boot_kind, &boot, read_boot, &recovery->boot_before);
    late_adopt(server->ledger);
    if (!server->heir.came)
        count_execs(server); /* who starts processes knows how often that is right */
    count_runs(server);
    carried_take_back(server->ledger);
    carried_drop_saved(server->ledger); /* of no use to a plugin that has gone on since */
}

void recovery_fini(struct server *server) {
    free(server->recovery.laters);
    free(server->recovery.what);
    free(server->recovery.boot_before);
}

/* ---- the call that has crashed ---- */

static bool same_key(const struct call_key *a, const struct call_key *b) {
    return a->conn == b->conn && a->offset == b->offset && a->index == b->index;
}

/* Has it crashed, or waited for a plugin that has? */
static bool is_concerned(const struct recovery *recovery, const struct call *call, bool *ret_structured) {
    const struct crash_note *note = &recovery->note;
    const struct call_key crashed = {note->conn, note->offset, note->index};

    *ret_structured = note->structured;
    if (recovery->noted && note->conn > 0 && same_key(&crashed, &call->key))
        return true;
    for (size_t i = 0; i < recovery->later_count; i++) {
        *ret_structured = recovery->laters[i].structured;
        if (same_key(&recovery->laters[i].key, &call->key))
            return true;
    }
    return false;
}

/* {plugin, version, signal, hang?, called?, may_have_executed, next}; new reference. */
static json_t *data_new(const struct recovery *recovery) {
    const struct crash_note *note = &recovery->note;
    CLEANUP(free) char *name = xasprintf("SIG%s", signal_name(note->signum));
    char called[CRASH_CALL_BYTES];

    crash_note_call(note, called);
    return json_pack("{s:s, s:s, s:s, s:o*, s:s*, s:b, s:s}", "plugin", note->plugin, "version", note->version,
                     "signal", name, "hang", crash_note_is_hang(note) ? json_true() : NULL, "called",
                     *called ? called : NULL, "may_have_executed", 1, "next",
                     recovery->next ? recovery->next : "still there");
}

static const char *next_text(const struct recovery *recovery) {
    if (recovery->next && strcmp(recovery->next, "reverted") == 0)
        return "the version before is loaded in its place";
    if (recovery->next && strcmp(recovery->next, "unloaded") == 0)
        return "its tools are gone until a new file of it is there";
    return "it is still there";
}

/* What is read is no result of a tool, and cannot say of itself that it is an error. */
static bool cannot_tell(const struct call *call, bool structured) {
    return structured || strcmp(call->method, "resources/read") == 0;
}

static void answer(struct server *server, struct call *call, bool structured) ON_LOOP {
    const struct recovery *recovery = &server->recovery;
    CLEANUP(free)
    char *text =
        xasprintf("%s %s. It may have executed, in full or in part: look what it has done before it is called "
                  "again.%s The server goes on, and the plugin: %s.",
                  recovery->what, recovery->note.tool[0] ? "in this call" : "while this call waited for its answer",
                  children_text(server, call), next_text(recovery));
    json_t *data = data_new(recovery);
    struct theseus_error err = {0};

    method_adopt(&server->methods, conn_of(call), call);
    if (cannot_tell(call, structured)) {
        (void)fail(&err, ERR_INTERNAL, "%s", text);
        call_fail(call, &err, data);
        return;
    }
    json_t *result = run_text_result_new(text, true);
    (void)json_object_set_new(result, "_meta", json_pack("{s:o}", "theseus/crash", data));
    call_answer(call, shape_tool_result(call->revision, result));
}

bool recovery_claims(struct server *server, struct call *call) {
    const struct recovery *recovery = &server->recovery;
    bool structured;

    if (!(recovery->told || recovery->begun) || !is_concerned(recovery, call, &structured))
        return false;
    if (recovery->told)
        answer(server, call, structured); /* else by recovery_settle() */
    return true;
}

static void answer_one(void *arg, struct call *call) {
    struct server *server = arg;

    loop_enter();
    if (children_of(server->children, &call->key) != CHILDREN_ALIVE && recovery_claims(server, call))
        server->restart.facts.calls_interrupted++;
}

bool recovery_explains(void *arg, const struct call *call, const char *tool, struct theseus_error *err) {
    struct server *server = arg;
    const struct recovery *recovery = &server->recovery;

    loop_enter();
    if (!recovery->came || call->attempts == 0 || call->crashes == 0)
        return false;
    (void)fail(err, ERR_INTERNAL,
               "%s while tool '%s' ran: it may have executed, and is not run again; check what it did before calling "
               "it again.%s",
               recovery->what, tool, children_text(server, call));
    return true;
}

/* ---- the restart ---- */

/* The image that has crashed served already, and was trying plugins again; or followed one that had. Who asked for that
 * is answered when this one has tried the rest. */
static bool is_awaited(const struct server *server) ON_LOOP {
    const struct restart *restart = &server->restart;
    const unsigned flags = restart->facts.flags;

    return restart->under_way && !server->heir.came &&
           (flags & RESTART_RETRIES || (flags & RESTART_CRASH && restart->call));
}

/* A restart that was on its way is over, and its asker hears of that. */
static void end_restart(struct server *server, bool awaited) ON_LOOP {
    struct restart *restart = &server->restart;
    enum phase reached = restart->facts.phase;

    if (!restart->under_way)
        return;
    restart_add_error(server, json_pack("{s:s, s:s}", "phase", phase_name(reached), "message", server->recovery.what));
    if (awaited && restart->facts.flags & RESTART_RETRIES) {
        restart_end(server, PHASE_COMPLETE);
        return;
    }
    restart->reached = reached;
    if (restart->facts.flags & RESTART_CRASH)
        log_warning("the server had not gone on from the crash before that yet: it was in phase %s",
                    phase_name(reached));
    else
        log_warning("the restart failed in phase %s: %s", phase_name(reached), server->recovery.what);
    if (awaited)
        restart_end(server, PHASE_FAILED);
    else
        report_end(server, PHASE_FAILED, report_failed_new(server));
}

/* Of the crash before this one, where the image behind it had not come to do so. `reached`: how far that one had come.
 */
static void report_before(struct server *server, enum phase reached) ON_LOOP {
    struct history_event event = history_event_of(HISTORY_CRASH, "error_recovery", 0);

    event.mechanism = "reexec";
    event.phase = phase_name(reached);
    event.success = reached == PHASE_COMPLETE;
    event.preserve_state = true;
    event.by = (struct asker){.transport = "crash", .uid = -1};
    event.version_after = THESEUS_VERSION;
    quarantine_report_before(server, &event);
}

/* And another one has taken place. */
static void begin_restart(struct server *server, bool awaited) ON_LOOP {
    const struct asker by = {.transport = server->heir.came ? "start" : "crash", .uid = -1};
    struct restart *restart = &server->restart;
    const struct call_key key = restart->facts.key;
    int64_t at_ns = server->recovery.note.at_ns;

    facts_fini(&restart->facts);
    json_decref(restart->errors);
    restart->errors = json_array();
    restart->facts = (struct restart_facts){
        .flags = RESTART_PRESERVE | RESTART_CRASH,
        .key = awaited ? key : (struct call_key){0},
        .reason = xstrdup("error_recovery"),
        .asker = facts_pack_asker(&by, NULL),
        .boot_before = xstrdup(server->recovery.boot_before ? server->recovery.boot_before : ""),
        .version_before = xstrdup(THESEUS_VERSION),
        .started_ns = at_ns,
        .started_ms = server->recovery.at_ms,
        .stopped_ns = at_ns,
        .held_ns = at_ns,
        .attempt = 1,
        .timeout_ms = (int64_t)server->config->restart.total_restart * 1000,
        .bytes_carried = ledger_stats(server->ledger).live_bytes,
    };
    restart->under_way = true;
    restart->in_place = false;
    if (restart->call)
        restart_answer_early(server);
    restart_add_error(server,
                      json_pack("{s:s, s:s}", "phase", phase_name(PHASE_STARTING), "message", server->recovery.what));
}

bool recovery_is_restart(const struct server *server) {
    return (server->recovery.told || server->recovery.begun) &&
           server->restart.facts.started_ns == server->recovery.note.at_ns;
}

static void tell(struct server *server) ON_LOOP {
    server->recovery.told = true;
    clients_each_call(server->clients, answer_one, server);
    clients_flush(server->clients);
}

/* Until the history has heard of it. */
static void keep(const struct server *server) ON_LOOP {
    const struct recovery *recovery = &server->recovery;
    const struct crash_untold untold = {.at_ms = recovery->at_ms, .note = recovery->note, .verdict = server->verdict};

    if (recovery->noted)
        crash_left_keep(server->ledger, &untold);
}

/* The crash is counted; who is concerned hears of it at once, unless it depends on what can be loaded. */
static void judge(struct server *server) ON_LOOP {
    struct recovery *recovery = &server->recovery;

    if (recovery->noted) {
        quarantine_count(server, &recovery->note);
        recovery->next = recovery->note.plugin[0] ? quarantine_next(server, &recovery->note) : NULL;
    }
    keep(server);
    recovery->begun = true;
    if (server->verdict.next != QUARANTINE_REVERTED || !server->awake)
        tell(server);
}

void recovery_begin(struct server *server) {
    const struct recovery *recovery = &server->recovery;
    const struct restart *restart = &server->restart;
    const enum phase reached = restart->under_way ? restart->facts.phase : PHASE_COMPLETE;
    const bool awaited = is_awaited(server);

    log_error("%s%s%s%s; the server goes on in a new %s", recovery->what, recovery->note.tool[0] ? " in tool " : "",
              recovery->note.tool[0]   ? recovery->note.tool
              : recovery->note.slot[0] ? " in "
                                       : "",
              recovery->note.tool[0] ? "" : recovery->note.slot, server->heir.came ? "process" : "image");
    end_restart(server, awaited);
    report_before(server, reached);
    begin_restart(server, awaited);
    judge(server);
}

void recovery_settle(struct server *server) {
    struct recovery *recovery = &server->recovery;

    if (!recovery->begun || recovery->told)
        return;
    quarantine_settle(server);
    recovery->next = quarantine_next(server, &recovery->note);
    keep(server);
    tell(server);
}

void recovery_begin_back(struct server *server) {
    const struct recovery *recovery = &server->recovery;

    if (!recovery->noted)
        return;
    log_error("%s in tool %s, before the restart was complete", recovery->what, recovery->note.tool);
    judge(server);
}

void recovery_report_back(struct server *server) {
    const struct recovery *recovery = &server->recovery;
    const int64_t ago_ns = clock_now_ns() - recovery->note.at_ns;
    struct history_event event = history_event_of(HISTORY_CRASH, "error_recovery", recovery->at_ms);

    if (!recovery->noted)
        return;
    event.mechanism = "reexec";
    event.phase = phase_name(PHASE_COMPLETE);
    event.success = event.preserve_state = true;
    event.by = (struct asker){.transport = "crash", .uid = -1};
    event.boot_after = server->boot_id;
    event.version_after = THESEUS_VERSION;
    event.duration_ms = (double)ago_ns / 1e6;
    event.calls_interrupted = (int64_t)server->restart.facts.calls_interrupted;
    quarantine_report(server, &event);
}

/* ---- too many ---- */

static void dismiss(void *arg, struct call *call) {
    struct server *server = arg;
    CLEANUP(free)
    char *text = xasprintf("%s, again and again, and leaves; this call %s", server->recovery.what,
                           call->attempts > 0 ? "may have executed, in full or in part" : "was not begun");

    loop_enter();
    method_adopt(&server->methods, conn_of(call), call);
    call_answer(call, shape_tool_result(call->revision, run_text_result_new(text, true)));
}

static void dismiss_tool_call(void *arg, struct call *call) {
    if (strcmp(call->method, "tools/call") == 0)
        dismiss(arg, call);
}

void recovery_leave(struct server *server) {
    struct theseus_error err = {0};

    if (!server->recovery.told)
        tell(server);
    if (crashes_too_often(server))
        log_error("%s; that was crash %d within crash.execs_window (%d s), with no request served in between, and "
                  "crash.max_execs is %d: the server leaves",
                  server->recovery.what, server->recovery.execs, server->config->crash.execs_window,
                  server->config->crash.max_execs);
    else
        log_error("%s; that was crash %d with no request served in between, and the server is leaving: it does now",
                  server->recovery.what, server->recovery.execs);
    server->status = EXIT_FAILURE;
    if (upkeep_begin_without_plugins(server, &err) < 0)
        log_warning("the last snapshot is older than the crash: %s", err.message);
    clients_each_call(server->clients, dismiss_tool_call, server);
    clients_flush(server->clients);
    leave_begin(server, "it crashed too often", 0);
}
