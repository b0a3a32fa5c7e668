/*
 * Behind the exec: this image goes on where the one before has left off, and answers the call that asked for it. What
 * fails here leads back to the image before, which arrives in the same way, with another answer.
 */
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "call/keep.h"
#include "loop/watch_binary.h"
#include "plugin/run.h"
#include "rpc/shape.h"
#include "server/carried.h"
#include "server/migrations.h"
#include "server/restart_inner.h"
#include "server/retrial.h"
#include "server/standby.h"
#include "server/wayback.h"

static bool is_new_image(const struct server *server) {
    return !server->is_back && server->restart.under_way;
}

static bool preserves(const struct server *server) {
    return server->restart.facts.flags & RESTART_PRESERVE;
}

void arrival_prepare(struct server *server) {
    struct restart *restart = &server->restart;

    recovery_prepare(server);
    carried_drop_gone(server->ledger);
    if (!facts_read(&restart->facts, server->ledger))
        return;
    restart->under_way = restart->facts.phase != PHASE_COMPLETE && restart->facts.phase != PHASE_FAILED;
    if (server->recovery.came)
        return;
    if (server->is_back)
        carried_take_back(server->ledger);
    else if (is_new_image(server) && !preserves(server))
        carried_put_aside(server->ledger);
}

/* Was it examined with what is proposed? Behind a crash, if that came when an image had it already. */
static bool is_examined(const struct server *server) ON_LOOP {
    return is_new_image(server) && !restart_takes_own(server) &&
           (!server->recovery.came || server->restart.facts.phase > PHASE_STARTING);
}

/* Should one of them hang, the alarm leads back. */
void arrival_load_early(struct server *server) {
    if (is_examined(server))
        plugins_take_proposals(server->plugins);
    if (is_new_image(server) && !server->recovery.came && server->was_awake && wayback_is_open())
        plugins_restore_early(server->plugins);
}

/* ---- calls ---- */

static bool same_key(const struct call_key *a, const struct call_key *b) {
    return a->conn == b->conn && a->offset == b->offset && a->index == b->index;
}

/* That the restart answers. */
static bool is_asker(const struct server *server, const struct call *call) {
    return server->restart.under_way && facts_is_call(&server->restart.facts, call);
}

/* A call whose child processes are still there waits for their end, wherever it would go on. */
bool arrival_claims(void *arg, struct call *call) {
    struct server *server = arg;

    loop_enter();
    return is_asker(server, call) ||
           (server->children && children_of(server->children, &call->key) == CHILDREN_ALIVE) ||
           recovery_claims(server, call);
}

struct ended {
    struct server *server;
    const struct call_key *key;
};

/* It goes on only if it has come that far; else it is still held. */
static void go_on(void *arg, struct call *call) ON_LOOP {
    const struct ended *ended = arg;

    if (same_key(&call->key, ended->key) && call->held == 0)
        method_on_request(&ended->server->methods, conn_of(call), call);
}

static void on_children_ended(void *arg, const struct call_key *key) ON_LOOP {
    struct ended ended = {arg, key};

    clients_each_call(ended.server->clients, go_on, &ended);
}

void arrival_meet_children(struct server *server) {
    server->children =
        children_new(server->ledger, server->loop, server->recovery.note.core_pid, on_children_ended, server);
}

static void find_asker(void *arg, struct call *call) {
    struct server *server = arg;

    if (is_asker(server, call) && !server->restart.call) {
        loop_enter();
        method_adopt(&server->methods, conn_of(call), call);
        server->restart.call = call_ref(call);
    }
}

/* Will a call that ran go on, or run again? */
static bool goes_on(struct server *server, struct call *call) {
    const char *name = json_string_value(json_object_get(call->message.params, "name"));
    struct offer *offer = name ? registry_find(server->registry, name) : NULL;

    if (!offer)
        return false;
    unsigned flags = offer->tool->flags;
    registry_release(server->registry, offer);
    return (flags & (THESEUS_READ_ONLY | THESEUS_IDEMPOTENT)) ||
           ((flags & THESEUS_RESUMABLE) && atomic_load(&call->has_checkpoint));
}

static void count_held(struct restart *restart, int64_t since) {
    if (clock_now_ns() - since > restart->held_ns)
        restart->held_ns = clock_now_ns() - since;
}

static void count_call(void *arg, struct call *call) {
    struct restart *restart = &((struct server *)arg)->restart;
    int64_t since = call->accepted_ns > restart->facts.held_ns ? call->accepted_ns : restart->facts.held_ns;

    if (strcmp(call->method, "tools/call") != 0 || is_asker(arg, call))
        return;
    if (is_new_image(arg) && !preserves(arg))
        return; /* it is dismissed */
    if (call->attempts > 0 && goes_on(arg, call))
        restart->resumed++;
    else if (call->attempts > 0)
        restart->facts.calls_interrupted++; /* it is told so when its turn comes */
    else
        count_held(restart, since);
}

/* What the ledger has of calls, against what has come of it. */
struct audit {
    int requests, runs;
};

static void count_request(void *arg, const void *record) {
    (void)record;
    ((struct audit *)arg)->requests++;
}

static void count_run(void *arg, const void *record) {
    (void)record;
    ((struct audit *)arg)->runs++;
}

static void uncount(void *arg, struct call *call) {
    struct audit *audit = arg;

    audit->requests--;
    audit->runs -= call->attempts > 0 && audit->runs > 0; /* where records are lost, more are taken for begun */
}

static void audit_calls(struct server *server) ON_LOOP {
    struct audit audit = {0};

    ledger_each(server->ledger, &request_kind, count_request, &audit);
    ledger_each(server->ledger, &run_kind, count_run, &audit);
    clients_each_call(server->clients, uncount, &audit);
    server->restart.unanswered = audit.requests;
    server->restart.lost = audit.runs;
    if (audit.requests != 0 || audit.runs != 0)
        log_error("%d requests and %d running calls did not come along", audit.requests, audit.runs);
}

/* Nothing is carried on: each call is told what has become of it, once it is certain that this image stays. */
static void note_dismissed(void *arg, struct call *call) {
    struct server *server = arg;
    struct restart *restart = &server->restart;

    if (strcmp(call->method, "tools/call") != 0 || call->urgent || is_asker(server, call))
        return;
    restart->dismissed = xreallocarray(restart->dismissed, restart->dismissed_count + 1, sizeof(struct call *));
    restart->dismissed[restart->dismissed_count++] = call_ref(call);
}

static void dismiss(struct server *server, struct call *call) ON_LOOP {
    const char *text = call->attempts > 0
                           ? "the server was restarted without its state while this call ran: it may have "
                             "executed, in full or in part; look what it has done before it is called "
                             "again"
                           : "the server was restarted without its state before this call was begun; it "
                             "can be sent again";

    method_adopt(&server->methods, conn_of(call), call);
    if (call->attempts > 0)
        server->restart.facts.calls_interrupted++;
    call_answer(call, shape_tool_result(call->revision, run_text_result_new(text, true)));
}

static void dismiss_all(struct server *server) ON_LOOP {
    struct restart *restart = &server->restart;

    for (size_t i = 0; i < restart->dismissed_count; i++) {
        dismiss(server, restart->dismissed[i]);
        (void)call_unref(restart->dismissed[i]);
    }
    restart->dismissed_count = 0;
}

/* ---- complete, or back ---- */

static void drop_note(struct server *server) {
    struct wayback_note note;

    (void)wayback_read_note(server->ledger, &note);
}

static void completed(struct server *server) ON_LOOP {
    const struct restart *restart = &server->restart;

    server->last_duration_ms = (clock_now_ns() - restart->facts.started_ns) / 1000000;
    drop_note(server);
    report_end(server, PHASE_COMPLETE, report_complete_new(server));
}

static void look_at_program(const struct server *server) ON_LOOP {
    if (server->watch_binary && server->restart.facts.phase == PHASE_COMPLETE && !restart_takes_own(server))
        watch_binary_look(server->watch_binary); /* it may have changed again meanwhile */
}

static void on_retried(struct server *server) ON_LOOP {
    completed(server);
    look_at_program(server);
}

/* Behind a crash only where somebody waits for what is tried: another image has begun it. */
static bool tries_again(const struct server *server) ON_LOOP {
    return server->awake && strcmp(server->restart.facts.reason, "error_recovery") == 0 &&
           (!recovery_is_restart(server) || server->restart.call);
}

static void complete(struct server *server) ON_LOOP {
    standby_begin(server); /* first: calls are at work already, and may crash at any moment */
    wayback_close();
    dismiss_all(server);
    carried_drop_aside(server->ledger);
    plugins_drop_saved(server->plugins);
    if (!tries_again(server)) {
        completed(server);
        return;
    }
    report_to_history(server); /* before: what is tried may crash */
    retrial_begin(server, !recovery_is_restart(server), on_retried);
}

/* Why the image after this one is not there: what it said itself, else what its handler left. */
static void explain(struct server *server) ON_LOOP {
    struct restart *restart = &server->restart;
    CLEANUP(free) char *text = NULL;
    struct wayback_note note;
    bool noted = wayback_read_note(server->ledger, &note);

    if (restart->facts.error)
        text = xasprintf("the new server gave up: %s", restart->facts.error);
    else if (server->recovery.noted)
        text = xasprintf("%s before the new server had taken over", server->recovery.what);
    else if (noted && note.signum == SIGALRM)
        text = xasprintf("the new server did not come up within restart.process_startup (%d s)",
                         server->config->restart.process_startup);
    else if (noted && note.signum > 0)
        text = xasprintf("the new server was ended by SIG%s", sigabbrev_np(note.signum));
    else
        text = xstrdup("the new server left by itself before it served");
    log_warning("the restart failed in phase %s, and the server before goes on: %s", phase_name(restart->facts.phase),
                text);
    restart_add_error(server, json_pack("{s:s, s:s}", "phase", phase_name(restart->facts.phase), "message", text));
}

static void come_back(struct server *server) ON_LOOP {
    struct restart *restart = &server->restart;

    explain(server);
    plugins_drop_saved(server->plugins);
    restart->reached = restart->facts.phase;
    report_end(server, PHASE_FAILED, report_failed_new(server));
    recovery_report_back(server);
}

static void note_failure(struct ledger *ledger, const struct theseus_error *err) {
    struct restart_facts facts = {0};
    struct theseus_error unrecorded = {0};

    if (!facts_read(&facts, ledger))
        return;
    free(facts.error);
    facts.error = xstrdup(err->message);
    if (facts_record(&facts, ledger, &unrecorded) < 0)
        log_error("%s", unrecorded.message);
    facts_fini(&facts);
}

void arrival_give_up(struct ledger *ledger, const struct theseus_error *err) {
    if (!wayback_is_open())
        return;
    if (ledger)
        note_failure(ledger, err);
    else
        log_error("%s", err->message); /* there is no other way to tell the one before */
    wayback_take();
    log_error("there is no way back, and no way on: %s", err->message);
    log_close();
    _exit(EXIT_FAILURE);
}

/* ---- the steps ---- */

/* What nobody waits for begins when the clients have had the first answers. */
enum { REST_AFTER_MS = 5 };

/* One tool in a turn, lest a client waits for all of them. */
static void on_next_tool(void *arg) {
    struct server *server = arg;

    loop_enter();
    if (registry_list_ahead(server->registry))
        loop_defer(server->loop, &server->restart.next_tool);
    else
        plugins_when_loaded(server->plugins, &server->loaded);
}

/* Whoever wanted what came along has it. */
static void on_watched(void *arg) {
    struct server *server = arg;

    loop_enter();
    late_close(server->upkeep.late, server->ledger);
}

static void on_rest(void *arg) {
    struct server *server = arg;
    struct restart *restart = &server->restart;

    loop_enter();
    if (wayback_is_open()) { /* the image before would miss what is closed now: its records name it */
        timer_start(restart->rest, REST_AFTER_MS, 0);
        return;
    }
    restart->rest = timer_free(restart->rest);
    restart->next_tool = (struct loop_task){.run = on_next_tool, .arg = server};
    restart->watched = (struct loop_task){.run = on_watched, .arg = server};
    if (server->awake) {
        loop_defer(server->loop, &restart->next_tool);
        plugins_when_idle(server->plugins, &restart->watched); /* their directories are watched then */
    } else {
        on_watched(server);
    }
}

static void conclude(struct server *server) ON_LOOP {
    if (server->restart.under_way && server->is_back)
        come_back(server);
    else if (server->restart.under_way)
        complete(server);
    else
        plugins_withdraw(server->plugins, NULL);
    standby_begin(server);
    wayback_close();      /* the record of the restart may be lost: nothing else is going to close it */
    listening_go(server); /* now: the image before would not know of who comes */
    look_at_program(server);
}

/* Behind what clients have sent meanwhile: that is found in the turn behind the one in which they are heard again. */
static void on_served(void *arg) {
    struct server *server = arg;

    loop_enter();
    if (++server->restart.turns < 2)
        loop_defer(server->loop, &server->restart.served);
    else
        conclude(server);
}

static void note_blackout(struct restart *restart) {
    if (!restart->heard)
        restart->blackout_ns = clock_now_ns() - restart->facts.stopped_ns;
    restart->heard = true;
}

/* While the plugins are mapped and started beside the loop. Where calls are dismissed, none may come meanwhile that
 * would be taken for one of them. */
static void hear(struct server *server) ON_LOOP {
    if (!is_new_image(server) || server->recovery.came || !preserves(server))
        return;
    clients_hear(server->clients);
    note_blackout(&server->restart);
}

static void serve(struct server *server) ON_LOOP {
    struct restart *restart = &server->restart;

    recovery_settle(server);
    if (restart->under_way)
        restart_set_phase(server, server->is_back ? restart->facts.phase : PHASE_ENABLING);
    clients_each_call(server->clients, count_call, server);
    if (is_new_image(server) && !preserves(server))
        clients_each_call(server->clients, note_dismissed, server);
    clients_start(server->clients);
    note_blackout(restart);
    restart->turns = 0;
    restart->served = (struct loop_task){.run = on_served, .arg = server};
    bool refuses = server->is_back && plugins_are_proposed(server->plugins); /* files, before they are looked at */
    if (restart->under_way && preserves(server) && !refuses)
        loop_defer(server->loop, &restart->served);
    else
        conclude(server); /* calls are dismissed: at once, before any of them is begun */
    restart->rest = timer_new(server->loop, on_rest, server);
    timer_start(restart->rest, REST_AFTER_MS, 0);
    reconfigure_hold(server, false);
    if (server->recovery.note.leaving)
        leave_begin(server, "it was about to, and crashed", LEAVE_GRACE_MS);
    if (server->look_wanted)
        loop_defer(server->loop, &server->look_again);
    server->look_wanted = false;
}

/* Is a plugin lost with which the image before serves? Who wants another image whatever it costs gets it. */
static bool is_worse(struct server *server, struct theseus_error *err) ON_LOOP {
    const struct restart_facts *facts = &server->restart.facts;

    return is_new_image(server) && wayback_is_open() && (facts->flags & RESTART_GRACEFUL) &&
           !restart_takes_own(server) && strcmp(facts->reason, "error_recovery") != 0 &&
           plugins_serve_as_before(server->plugins, err) < 0;
}

static void on_restored(void *arg) {
    struct server *server = arg;
    struct theseus_error err = {0};

    loop_enter();
    if (is_worse(server, &err))
        arrival_give_up(server->ledger, &err);
    serve(server);
}

static void resume(struct server *server) ON_LOOP {
    if (is_new_image(server))
        restart_set_phase(server, PHASE_RESUMING);
    if (server->awake) {
        plugins_restore(server->plugins, &server->restart.restored);
        hear(server);
    } else {
        serve(server);
    }
}

static void on_migrated(struct server *server) ON_LOOP {
    const struct migrations *migrations = &server->migrations;

    restart_set_phase(server, PHASE_RESUMING);
    if (!wayback_is_open())
        standby_begin(server); /* a crash has no way back any more */
    if (server->awake)
        plugins_start(server->plugins, migrations->parts, migrations->count, migrations->backup);
    else
        serve(server);
}

void arrival_begin(struct server *server) {
    struct restart *restart = &server->restart;

    reconfigure_hold(server, true);
    chronicle_go_on(server->upkeep.chronicle);
    audit_calls(server);
    if (restart->under_way)
        clients_each_call(server->clients, find_asker, server);
    if (restart->call)
        restart_answer_early(server);
    if (!recovery_gives_up(server)) /* should it crash in there, it would do so again and again */
        report_answer_ended(server);
    if (server->recovery.came)
        recovery_begin(server);
    else if (server->is_back)
        recovery_begin_back(server);
    if (recovery_gives_up(server)) {
        recovery_leave(server);
        return;
    }
    if (is_new_image(server))
        restart_set_phase(server, PHASE_LOADING);
    if (is_new_image(server))
        restart_set_phase(server, PHASE_RESTORING);
    restart->restored = (struct loop_task){.run = on_restored, .arg = server};
    if (is_new_image(server) && restart->facts.flags & RESTART_MIGRATES)
        migrations_run(server, on_migrated);
    else
        resume(server);
}
