/*
 * Up to the exec. Each step either leads to the next or to restart_fail(), which undoes what was done. The steps that
 * take time (the examination of the candidate, running calls, `save`) go on beside the loop; clients are served, and
 * tool calls held, meanwhile.
 */
#include "server/restart.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "plugin/run.h"
#include "server/handover.h"
#include "server/late.h"
#include "server/migrations.h"
#include "server/restart_inner.h"
#include "server/services.h"
#include "server/supervisor.h"

enum {
    TICK_MS = 2,
    INTERRUPTED_MS = 300, /* for the handlers of interrupted calls to come back, so that their plugin can save */
    CHRONICLE_MS = 500,   /* for the database to take what the exec would forget */
};

int64_t restart_elapsed_ms(const struct restart *restart) {
    return (clock_now_ns() - restart->facts.started_ns) / 1000000;
}

bool restart_is_for_schema(const struct server *server) {
    return server->restart.facts.reason && strcmp(server->restart.facts.reason, "schema_migration") == 0;
}

int64_t restart_left_ms(const struct restart *restart) {
    return restart->facts.timeout_ms - restart_elapsed_ms(restart);
}

/* ---- what others are told ---- */

bool restart_is_under_way(const struct server *server) {
    return server->restart.under_way;
}

enum phase restart_phase(const struct server *server) {
    return server->restart.facts.phase;
}

static int record(struct restart_facts *facts, struct ledger *ledger, struct theseus_error *err) {
    if (facts_record(facts, ledger, err) == 0)
        return 0;
    if (!facts->report)
        return -1;
    free(TAKE_PTR(facts->report)); /* that it is over matters more than what is said of it */
    return facts_record(facts, ledger, err);
}

void restart_set_phase(struct server *server, enum phase phase) {
    struct restart *restart = &server->restart;
    struct theseus_error err = {0};
    struct call *call = restart->run ? restart->run->request : restart->call;

    restart->facts.phase = phase;
    log_info("restart: %s", phase_name(phase));
    if (record(&restart->facts, server->ledger, &err) < 0)
        log_error("the restart cannot be recorded: %s", err.message);
    if (call && phase != PHASE_FAILED)
        call_progress_step(call, phase_progress(phase), 100, phase_name(phase));
}

void restart_add_error(struct server *server, json_t *error) {
    (void)json_array_append_new(server->restart.errors, error);
}

/* ---- the end of one ---- */

void restart_end(struct server *server, enum phase phase) {
    struct restart *restart = &server->restart;

    restart_set_phase(server, phase);
    restart_tell_end(server, phase);
    restart->under_way = false;
    restart->limit = timer_free(restart->limit);
    restart->early = timer_free(restart->early);
    restart->tick = timer_free(restart->tick);
    restart->preflight = preflight_free(restart->preflight);
    binary_close(&restart->candidate);
    if (!(restart->facts.flags & RESTART_RETRIES)) /* else it was done before */
        report_to_history(server);
    describe_changed(server);
    migrations_on_restarted(server);
}

/* Everything goes on as before. */
static void undo(struct server *server) ON_LOOP {
    struct restart *restart = &server->restart;

    if (restart->masked)
        (void)pthread_sigmask(SIG_SETMASK, &restart->mask, NULL);
    restart->masked = false;
    if (server->listener)
        supervisor_ready();
    late_drop(server->ledger);
    loop_forget(server->loop, &restart->launch);
    suspend_take_back(server);
    plugins_drop_saved(server->plugins);
    if (restart->paused)
        plugins_resume(server->plugins);
    restart->paused = false;
}

void restart_fail(struct server *server, const struct theseus_error *err) {
    struct restart *restart = &server->restart;
    enum phase reached = restart->facts.phase;

    log_warning("the restart failed in phase %s: %s", phase_name(reached), err->message);
    restart_add_error(server, json_pack("{s:s, s:s}", "phase", phase_name(reached), "message", err->message));
    undo(server);
    restart->reached = reached;
    report_end(server, PHASE_FAILED, report_failed_new(server));
}

void restart_leave(struct server *server) {
    if (server->restart.under_way)
        report_answer(server, report_left_new(server));
}

bool restart_goes_on(struct server *server) {
    struct theseus_error err = {0};

    if (!server->restart.under_way)
        return false;
    if (!server->leaving)
        return true;
    (void)fail(&err, ERR_BUSY, "the server is ending");
    restart_fail(server, &err);
    return false;
}

/* ---- serializing_state ---- */

static void submit(struct server *server, struct lane_job job) ON_LOOP {
    server->restart.job = job;
    server->restart.job_runs = true;
    lane_submit(server->lane, &server->restart.job);
}

static void compact_run(void *job) {
    struct restart *restart = container_of((struct lane_job *)job, struct restart, job);

    restart->r = ledger_compact(restart->ledger, &restart->err);
}

static void on_compacted(struct lane_job *job, bool timed_out) {
    struct restart *restart = container_of(job, struct restart, job);
    struct server *server = container_of(restart, struct server, restart);

    loop_enter();
    (void)timed_out; /* it has no limit */
    restart->job_runs = false;
    if (restart->r < 0)
        log_warning("the ledger was not compacted: %s", restart->err.message);
    restart_launch(server);
}

static void compact(struct server *server) ON_LOOP {
    struct restart *restart = &server->restart;

    restart->ledger = server->ledger;
    restart->err = (struct theseus_error){0};
    submit(server, (struct lane_job){.run = compact_run, .done = on_compacted});
}

/* May it go on although a handler does not come back, and the state of its plugin stays behind? */
static bool sheds(const struct restart *restart) {
    return !(restart->facts.flags & RESTART_GRACEFUL) || !(restart->facts.flags & RESTART_PRESERVE) ||
           strcmp(restart->facts.reason, "error_recovery") == 0;
}

static void on_saved(void *arg, const struct theseus_error *err) ON_LOOP {
    struct server *server = arg;

    if (!restart_goes_on(server))
        return;
    bool may_lose = err && (err->code == ERR_BUSY || err->code == ERR_TIMEOUT) && sheds(&server->restart);
    if (may_lose) {
        log_warning("the restart goes on without waiting: %s", err->message);
        free(server->restart.facts.lost);
        server->restart.facts.lost = xstrdup(err->message);
    }
    if (err && !may_lose)
        restart_fail(server, err);
    else
        compact(server);
}

static void serialize(struct server *server) ON_LOOP {
    if (!restart_goes_on(server))
        return;
    restart_set_phase(server, PHASE_SERIALIZING);
    if (server->restart.facts.flags & (RESTART_PRESERVE | RESTART_GRACEFUL)) /* the way back needs it in any case */
        plugins_save(server->plugins, on_saved, server);
    else
        compact(server);
}

/* ---- suspending_tasks ---- */

static void suspended(struct server *server) ON_LOOP {
    struct restart *restart = &server->restart;

    restart->tick = timer_free(restart->tick);
    restart->facts.suspend_ns = clock_now_ns() - restart->suspend_began_ns;
    serialize(server);
}

/* Interrupted handlers are given a moment to come back. */
static void on_interrupted_tick(void *arg) {
    struct server *server = arg;
    struct restart *restart = &server->restart;

    loop_enter();
    if (!restart_goes_on(server))
        return;
    if (plugins_can_save(server->plugins) || clock_now_ns() - restart->interrupted_ns > INTERRUPTED_MS * 1000000LL)
        suspended(server);
}

static void interrupt(struct server *server) ON_LOOP {
    struct restart *restart = &server->restart;
    int count = restart->facts.flags & RESTART_GRACEFUL ? suspend_interrupt(server) : 0;

    restart->facts.calls_interrupted += (uint64_t)count;
    restart->interrupted_ns = clock_now_ns();
    restart->tick = timer_free(restart->tick);
    if (count == 0) {
        suspended(server);
        return;
    }
    restart->tick = timer_new(server->loop, on_interrupted_tick, server);
    timer_start(restart->tick, TICK_MS, TICK_MS);
}

/* How long running calls may take: so long that a start-up fits behind it; where both do not, each has one half. */
static int64_t suspension_limit_ms(const struct server *server) {
    int64_t limit = (int64_t)server->config->restart.shutdown_timeout * 1000, left = restart_left_ms(&server->restart);
    int64_t rest = left - (int64_t)server->config->restart.process_startup * 1000;

    if (rest < left / 2)
        rest = left / 2;
    return limit < rest ? limit : rest;
}

static void on_tick(void *arg) {
    struct server *server = arg;
    struct restart *restart = &server->restart;
    int64_t waited = (clock_now_ns() - restart->suspend_began_ns) / 1000000;

    loop_enter();
    if (!restart_goes_on(server))
        return;
    struct tally tally = suspend_count(server);
    if (suspend_is_done(restart, &tally, waited, restart->suspend_limit_ms,
                        (int64_t)server->config->restart.task_suspension * 1000))
        interrupt(server);
}

static void suspend(struct server *server) ON_LOOP {
    struct restart *restart = &server->restart;

    restart_set_phase(server, PHASE_SUSPENDING);
    restart->suspend_began_ns = clock_now_ns();
    restart->suspend_limit_ms = suspension_limit_ms(server);
    if (restart->facts.flags & RESTART_GRACEFUL)
        suspend_ask(server);
    restart->tick = timer_new(server->loop, on_tick, server);
    timer_start(restart->tick, TICK_MS, TICK_MS);
    on_tick(server);
}

/* ---- preparing ---- */

static void maintain(struct server *server) ON_LOOP {
    struct restart *restart = &server->restart;

    if (!restart_goes_on(server))
        return;
    restart->facts.held_ns = clock_now_ns();
    restart->paused = true;
    plugins_pause(server->plugins);
    restart_set_phase(server, PHASE_MAINTENANCE);
    suspend(server);
}

static void write_run(void *job) {
    struct restart *restart = container_of((struct lane_job *)job, struct restart, job);

    restart->r = chronicle_flush(restart->chronicle, CHRONICLE_MS) ? 0 : -1;
}

static void on_history_written(struct lane_job *job, bool timed_out) {
    struct restart *restart = container_of(job, struct restart, job);
    struct server *server = container_of(restart, struct server, restart);

    loop_enter();
    (void)timed_out; /* it has no limit of the lane's */
    restart->job_runs = false;
    if (restart->r < 0)
        log_warning("the database is slow: entries of the history may be lost by the restart");
    maintain(server);
}

/* What the history has not taken yet is heap, which the exec forgets; a write on its way would make the exec wait. */
static void write_history(struct server *server) ON_LOOP {
    server->restart.chronicle = server->upkeep.chronicle;
    submit(server, (struct lane_job){.run = write_run, .done = on_history_written});
}

static void on_examined(void *arg, const struct preflight_result *result, const struct theseus_error *err) ON_LOOP {
    struct server *server = arg;
    struct restart *restart = &server->restart;
    json_t *problem;
    size_t i;

    if (!restart_goes_on(server))
        return;
    if (!err) {
        if (json_array_size(result->migrations) > 0)
            restart->facts.flags |= RESTART_MIGRATES;
        restart->preflight = preflight_free(restart->preflight); /* no image after this one would remove its room */
        write_history(server);
        return;
    }
    json_array_foreach (result->problems, i, problem)
        restart_add_error(server, json_incref(problem));
    restart->refused = true;
    restart_fail(server, err);
}

bool restart_takes_own(const struct server *server) {
    const struct restart_facts *facts = &server->restart.facts;

    return (facts->flags & RESTART_OWN) || strcmp(facts->reason, "emergency_shutdown") == 0;
}

static int examine(struct server *server, struct theseus_error *err) ON_LOOP {
    struct restart *restart = &server->restart;
    int64_t limit = (int64_t)server->config->restart.process_startup * 1000;

    restart->refused = binary_open(&restart->candidate, server->started_by, err) < 0;
    if (restart->refused)
        return -1;
    (void)plugins_propose(server->plugins);
    struct preflight_spec spec = {.ledger = server->ledger,
                                  .binary = &restart->candidate,
                                  .argv = server->argv,
                                  .limit_ms =
                                      (int)(limit < restart_left_ms(restart) ? limit : restart_left_ms(restart))};
    return preflight_start(&restart->preflight, server->loop, &spec, on_examined, server, err);
}

/* Where something is wrong, nothing is trusted but what runs now. */
void restart_prepare(struct server *server) {
    struct restart *restart = &server->restart;
    struct theseus_error err = {0};

    restart_tell_pending(server);
    if (restart_takes_own(server)) {
        if (binary_open_own(&restart->candidate, &err) < 0)
            restart_fail(server, &err);
        else
            write_history(server);
    } else if (examine(server, &err) < 0) {
        restart_fail(server, &err);
    }
}

/* ---- life ---- */

void restart_init(struct server *server) {
    server->restart.candidate.fd = -1;
    server->restart.errors = json_array();
}

void restart_fini(struct server *server) {
    struct restart *restart = &server->restart;

    restart->under_way = false;
    retrial_fini(server);
    if (server->loop) {
        loop_forget(server->loop, &restart->launch);
        loop_forget(server->loop, &restart->restored);
        loop_forget(server->loop, &restart->served);
        loop_forget(server->loop, &restart->next_tool);
        loop_forget(server->loop, &restart->watched);
    }
    restart->limit = timer_free(restart->limit);
    restart->early = timer_free(restart->early);
    restart->tick = timer_free(restart->tick);
    restart->rest = timer_free(restart->rest);
    restart->preflight = preflight_free(restart->preflight);
    restart->run = run_unref(restart->run);
    restart->call = call_unref(restart->call);
    for (size_t i = 0; i < restart->dismissed_count; i++)
        (void)call_unref(restart->dismissed[i]);
    free(restart->dismissed);
    binary_close(&restart->candidate);
    json_decref(TAKE_PTR(restart->errors));
    facts_fini(&restart->facts);
}
