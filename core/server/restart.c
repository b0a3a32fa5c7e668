/*
 * Up to the exec. Each step either leads to the next or to fail_restart(), which undoes what was done. The steps that
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
#include "server/restart_inner.h"
#include "server/services.h"

enum {
    TICK_MS = 2,
    EARLY_ANSWER_MS = 45000, /* clients give up after 60 s */
    LEAST_STARTUP_MS = 1000,
    INTERRUPTED_MS = 300, /* for the handlers of interrupted calls to come back, so that their plugin can save */
    CHRONICLE_MS = 500,   /* for the database to take what the exec would forget */
};

static const char *const reasons[] = {"manual_request", "configuration_update", "schema_migration", "error_recovery",
                                      "emergency_shutdown"};

static int64_t elapsed_ms(const struct restart *restart) {
    return (clock_now_ns() - restart->facts.started_ns) / 1000000;
}

static int64_t left_ms(const struct restart *restart) {
    return restart->facts.timeout_ms - elapsed_ms(restart);
}

/* ---- what others are told ---- */

bool restart_is_under_way(const struct server *server) {
    return server->restart.under_way;
}

enum phase restart_phase(const struct server *server) {
    return server->restart.facts.phase;
}

void restart_set_phase(struct server *server, enum phase phase) {
    struct restart *restart = &server->restart;
    struct theseus_error err = {0};
    struct call *call = restart->run ? restart->run->request : restart->call;

    restart->facts.phase = phase;
    log_info("restart: %s", phase_name(phase));
    if (facts_record(&restart->facts, server->ledger, &err) < 0)
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
    restart->under_way = false;
    restart->limit = timer_free(restart->limit);
    restart->early = timer_free(restart->early);
    restart->tick = timer_free(restart->tick);
    restart->preflight = preflight_free(restart->preflight);
    binary_close(&restart->candidate);
    report_to_history(server);
}

/* Everything goes on as before. */
static void undo(struct server *server) ON_LOOP {
    struct restart *restart = &server->restart;

    if (restart->masked)
        (void)pthread_sigmask(SIG_SETMASK, &restart->mask, NULL);
    restart->masked = false;
    late_drop(server->ledger);
    loop_forget(server->loop, &restart->launch);
    suspend_take_back(server);
    plugins_drop_saved(server->plugins);
    if (restart->paused)
        plugins_resume(server->plugins);
    restart->paused = false;
}

static void fail_restart(struct server *server, const struct theseus_error *err) ON_LOOP {
    struct restart *restart = &server->restart;
    enum phase reached = restart->facts.phase;

    log_warning("the restart failed in phase %s: %s", phase_name(reached), err->message);
    restart_add_error(server, json_pack("{s:s, s:s}", "phase", phase_name(reached), "message", err->message));
    undo(server);
    restart->reached = reached;
    restart_end(server, PHASE_FAILED);
    report_answer(server, report_failed_new(server));
}

/* May the next step be taken? Else the restart has failed. */
static bool goes_on(struct server *server) ON_LOOP {
    struct theseus_error err = {0};

    if (!server->restart.under_way)
        return false;
    if (!server->leaving)
        return true;
    (void)fail(&err, ERR_BUSY, "the server is ending");
    fail_restart(server, &err);
    return false;
}

static void on_limit(void *arg) {
    struct server *server = arg;
    struct theseus_error err = {0};

    loop_enter();
    (void)fail(&err, ERR_TIMEOUT, "the restart did not get further than %s within %d s; nothing has changed",
               phase_name(server->restart.facts.phase), (int)(server->restart.facts.timeout_ms / 1000));
    fail_restart(server, &err);
}

static void on_early(void *arg) {
    struct server *server = arg;

    loop_enter();
    server->restart.facts.flags |= RESTART_ANSWERED;
    report_answer(server, report_pending_new(server));
}

/* ---- starting_process ---- */

/* All but those that a crash raises: a signal between two images would kill, blocked it waits for the next one. */
static void block_signals(struct restart *restart) {
    static const int crashes[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP};
    sigset_t all;

    (void)sigfillset(&all);
    for (size_t i = 0; i < ARRAY_SIZE(crashes); i++)
        (void)sigdelset(&all, crashes[i]);
    (void)pthread_sigmask(SIG_SETMASK, &all, &restart->mask);
    restart->masked = true;
}

static int keep(struct server *server, const char *name, int fd, struct theseus_error *err) {
    return fd < 0 ? handover_forget(server->ledger, name, err) : handover_keep(server->ledger, name, fd, err);
}

static int record_all(struct server *server, struct theseus_error *err) ON_LOOP {
    struct restart_facts *facts = &server->restart.facts;
    struct tally tally = suspend_count(server);

    facts->attempt = 1;
    facts->requests_held = (uint64_t)tally.held;
    facts->bytes_carried = ledger_stats(server->ledger).live_bytes;
    if (late_keep(server->ledger, err) < 0 ||
        keep(server, KEPT_IMAGES_LOCK, imagedir_lock_fd(server->imagedir), err) < 0 ||
        keep(server, KEPT_SNAPSHOT_LOCK, upkeep_lock_fd(server), err) < 0 || server_record_boot(server, err) < 0)
        return -1;
    return facts_record(facts, server->ledger, err);
}

static int startup_ms(const struct server *server) {
    int64_t startup = (int64_t)server->config->restart.process_startup * 1000, left = left_ms(&server->restart);

    if (left < LEAST_STARTUP_MS)
        left = LEAST_STARTUP_MS;
    return (int)(startup < left ? startup : left);
}

static int execute(struct server *server, struct theseus_error *err) ON_LOOP {
    struct restart *restart = &server->restart;
    CLEANUP(plan_free) struct plan *plan = NULL;
    struct plan_spec spec = {.ledger = server->ledger,
                             .ledger_fd = ledger_fd(server->ledger),
                             .exe_fd = restart->candidate.fd,
                             .back_fd = server->exe_fd,
                             .argv = server->argv,
                             .startup_ms = startup_ms(server)};

    restart->facts.stopped_ns = clock_now_ns(); /* no line is handled from here on */
    if (binary_check_unchanged(&restart->candidate, err) < 0)
        return -1;
    conn_flush(server->conn);
    if (record_all(server, err) < 0 || plan_new(&plan, &spec, err) < 0)
        return -1;
    plan_execute(plan);
    return fail_errno(err, "'%s' could not be executed", restart->candidate.path);
}

/*
 * Signals are blocked, and those that came before are to be heard first: else the image that has caught them is gone.
 * The loop hears them after whatever else is ready in a turn, so the exec is for the turn behind the next.
 */
static void on_launch(void *arg) {
    struct server *server = arg;
    struct restart *restart = &server->restart;
    struct theseus_error err = {0};

    loop_enter();
    if (!goes_on(server))
        return;
    if (++restart->turns < 2)
        loop_post_task(server->loop, &restart->launch);
    else if (execute(server, &err) < 0)
        fail_restart(server, &err);
}

static void launch(struct server *server) ON_LOOP {
    struct restart *restart = &server->restart;

    if (!goes_on(server))
        return;
    restart_set_phase(server, PHASE_STARTING);
    block_signals(restart);
    restart->turns = 0;
    restart->launch = (struct loop_task){.run = on_launch, .arg = server};
    loop_post_task(server->loop, &restart->launch);
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
    launch(server);
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

    if (!goes_on(server))
        return;
    bool may_lose = err && err->code == ERR_BUSY && sheds(&server->restart);
    if (may_lose) {
        log_warning("the restart goes on without waiting: %s", err->message);
        free(server->restart.facts.lost);
        server->restart.facts.lost = xstrdup(err->message);
    }
    if (err && !may_lose)
        fail_restart(server, err);
    else
        compact(server);
}

static void serialize(struct server *server) ON_LOOP {
    if (!goes_on(server))
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
    if (!goes_on(server))
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
    int64_t limit = (int64_t)server->config->restart.shutdown_timeout * 1000, left = left_ms(&server->restart);
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
    if (!goes_on(server))
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

    if (!goes_on(server))
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

    if (!goes_on(server))
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
    fail_restart(server, err);
}

bool restart_is_emergency(const struct server *server) {
    return strcmp(server->restart.facts.reason, "emergency_shutdown") == 0;
}

static int examine(struct server *server, struct theseus_error *err) ON_LOOP {
    struct restart *restart = &server->restart;
    int64_t limit = (int64_t)server->config->restart.process_startup * 1000;

    if (binary_open(&restart->candidate, server->started_by, err) < 0)
        return -1;
    struct preflight_spec spec = {.ledger = server->ledger,
                                  .binary = &restart->candidate,
                                  .argv = server->argv,
                                  .limit_ms = (int)(limit < left_ms(restart) ? limit : left_ms(restart))};
    return preflight_start(&restart->preflight, server->loop, &spec, on_examined, server, err);
}

/* An emergency trusts nothing but what runs now. */
static void prepare(struct server *server) ON_LOOP {
    struct restart *restart = &server->restart;
    struct theseus_error err = {0};

    if (restart_is_emergency(server)) {
        if (binary_open_own(&restart->candidate, &err) < 0)
            fail_restart(server, &err);
        else
            write_history(server);
    } else if (examine(server, &err) < 0) {
        fail_restart(server, &err);
    }
}

/* ---- configuration_update: in place, where that is enough ---- */

static void on_reconfigured(void *arg, const char *outcome) ON_LOOP {
    struct server *server = arg;
    struct restart *restart = &server->restart;

    (void)outcome;
    if (!goes_on(server) || strcmp(restart->facts.reason, "configuration_update") != 0)
        return; /* the restart that asked for it ran out of time, and this is another */
    json_t *refused = reconfigure_refused_new(server);
    if (refused) {
        restart_add_error(server, refused);
        restart->reached = PHASE_PREPARING;
        restart->in_place = true;
        restart_end(server, PHASE_FAILED);
        report_answer(server, report_failed_new(server));
    } else if (reconfigure_needs_image(server)) {
        prepare(server);
    } else {
        restart->in_place = true;
        restart_end(server, PHASE_COMPLETE);
        report_answer(server, report_complete_new(server));
    }
}

/* ---- asking ---- */

static bool is_reason(const char *reason) {
    for (size_t i = 0; i < ARRAY_SIZE(reasons); i++)
        if (strcmp(reasons[i], reason) == 0)
            return true;
    return false;
}

static int check(const struct server *server, const struct restart_request *request, struct theseus_error *err) {
    if (server->restart.under_way)
        return fail(err, ERR_BUSY, "a restart is under way already, in phase %s",
                    phase_name(server->restart.facts.phase));
    if (server->restart.job_runs)
        return fail(err, ERR_BUSY, "the last restart has failed, and something that it began has not ended yet");
    if (server->leaving)
        return fail(err, ERR_BUSY, "the server is ending");
    if (!server->argv)
        return fail(err, ERR_INVALID, "this server was not started as a process of its own");
    if (!is_reason(request->reason))
        return fail(err, ERR_PARAMS, "'%s' is no reason for a restart", request->reason);
    if (request->timeout_s < RESTART_TIMEOUT_MIN_S || request->timeout_s > RESTART_TIMEOUT_MAX_S)
        return fail(err, ERR_PARAMS, "timeout must be from %d to %d seconds", RESTART_TIMEOUT_MIN_S,
                    RESTART_TIMEOUT_MAX_S);
    return 0;
}

static void begin(struct server *server, const struct restart_request *request) ON_LOOP {
    struct restart *restart = &server->restart;
    const struct call *call = request->run ? request->run->request : NULL;

    facts_fini(&restart->facts);
    json_decref(restart->errors);
    restart->errors = json_array();
    restart->facts = (struct restart_facts){
        .flags = (request->graceful ? RESTART_GRACEFUL : 0) | (request->preserve_state ? RESTART_PRESERVE : 0),
        .reason = xstrdup(request->reason),
        .asker = facts_pack_asker(request->by, call ? call->client.session : NULL),
        .boot_before = xstrdup(server->boot_id),
        .version_before = xstrdup(THESEUS_VERSION),
        .started_ms = clock_wall_ms(),
        .started_ns = clock_now_ns(),
        .timeout_ms = (int64_t)request->timeout_s * 1000,
    };
    if (call)
        restart->facts.key = call->key;
    restart->run = request->run ? run_ref(request->run) : NULL;
    restart->under_way = true;
    restart->in_place = false;
    restart->interrupted_ns = 0;
    restart->suspend_began_ns = 0;
}

int restart_ask(struct server *server, const struct restart_request *request, struct theseus_error *err) {
    struct restart *restart = &server->restart;

    if (check(server, request, err) < 0)
        return -1;
    begin(server, request);
    restart->limit = timer_new(server->loop, on_limit, server);
    timer_start(restart->limit, restart->facts.timeout_ms, 0);
    restart->early = timer_new(server->loop, on_early, server);
    timer_start(restart->early, EARLY_ANSWER_MS, 0);
    log_info("a restart is asked for: %s", request->reason);
    chronicle_asked(server->upkeep.chronicle, request->by, request->run ? request->run->request->client.session : NULL,
                    "restart", NULL, NULL);
    server_load(server); /* its plugins are what the next image is tried with */
    restart_set_phase(server, PHASE_PREPARING);
    if (strcmp(request->reason, "configuration_update") == 0) {
        reloads_restart(server->upkeep.reloads, request->by);
        reconfigure(server, on_reconfigured, server);
    } else {
        prepare(server);
    }
    return 0;
}

/* ---- theseus_control("restart") ---- */

static bool flag_of(const json_t *args, const char *key, bool fallback) {
    const json_t *value = json_object_get(args, key);

    return value ? json_is_true(value) : fallback;
}

static json_t *refusal_new(const struct server *server, const struct theseus_error *err) {
    if (err->code == ERR_BUSY && server->restart.under_way)
        return json_pack("{s:b, s:s, s:s}", "success", 0, "phase", phase_name(server->restart.facts.phase), "message",
                         err->message);
    return control_error_new(err->message);
}

json_t *service_restart(struct server *server, struct run *run, const json_t *args, const json_t *facts) {
    const char *reason = json_string_value(json_object_get(args, "reason"));
    const json_t *timeout = json_object_get(args, "timeout");
    const struct theseus_client_info *client = &run->request->client;
    struct asker by = {client->name, client->version, client->transport, client->uid};
    struct theseus_error err = {0};
    bool careful = !reason || strcmp(reason, "emergency_shutdown") != 0; /* else both are false unless they are given */
    bool is_given = json_object_get(args, "graceful") || json_object_get(args, "preserve_state");
    struct restart_request request = {
        .reason = reason ? reason : "manual_request",
        .graceful = flag_of(args, "graceful", careful || is_given),
        .preserve_state = flag_of(args, "preserve_state", careful || is_given),
        .timeout_s = timeout ? (int)json_integer_value(timeout) : server->config->restart.total_restart,
        .run = run,
        .by = &by,
    };

    loop_enter();
    (void)facts;
    if (!server->config->access.restart) {
        static const char refusal[] = "restart is not allowed: access.restart is 'no' in the configuration";
        chronicle_asked(server->upkeep.chronicle, &by, client->session, "restart", NULL, refusal);
        return control_error_new(refusal);
    }
    if (run->outer)
        return control_error_new("a restart cannot be part of another call; call it directly");
    return restart_ask(server, &request, &err) < 0 ? refusal_new(server, &err) : NULL;
}

/* ---- life ---- */

void restart_init(struct server *server) {
    server->restart.candidate.fd = -1;
    server->restart.errors = json_array();
}

void restart_fini(struct server *server) {
    struct restart *restart = &server->restart;

    restart->under_way = false;
    if (server->loop) {
        loop_forget(server->loop, &restart->launch);
        loop_forget(server->loop, &restart->restored);
    }
    restart->limit = timer_free(restart->limit);
    restart->early = timer_free(restart->early);
    restart->tick = timer_free(restart->tick);
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
