/*
 * How a restart begins: who may ask for it, what with, and what is refused at once. A new configuration alone is taken
 * in place where that is enough.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "config/principal.h"
#include "plugin/run.h"
#include "server/confirm.h"
#include "server/facts.h"
#include "server/migrations.h"
#include "server/restart_inner.h"
#include "server/services.h"

enum { EARLY_ANSWER_MS = 45000 }; /* clients give up after 60 s */

static const char *const reasons[] = {"manual_request", "configuration_update", "schema_migration", "error_recovery",
                                      "emergency_shutdown"};

/* ---- what limits it ---- */

static void on_limit(void *arg) {
    struct server *server = arg;
    struct theseus_error err = {0};

    loop_enter();
    (void)fail(&err, ERR_TIMEOUT, "the restart did not get further than %s within %d s; nothing has changed",
               phase_name(server->restart.facts.phase), (int)(server->restart.facts.timeout_ms / 1000));
    restart_fail(server, &err);
}

/* Nobody waits for the answer of a call that goes on as a task. */
static bool is_a_task(const struct restart *restart) {
    const struct call *call = restart->run ? restart->run->request : restart->call;

    return call && atomic_load(&call->detached);
}

static void on_early(void *arg) {
    struct server *server = arg;

    loop_enter();
    if (!is_a_task(&server->restart))
        report_answer(server, report_pending_new(server));
}

void restart_answer_early(struct server *server) {
    struct restart *restart = &server->restart;
    const int64_t left = EARLY_ANSWER_MS - restart_elapsed_ms(restart);

    restart->early = timer_new(server->loop, on_early, server);
    timer_start(restart->early, left > 0 ? left : 0, 0);
}

/* ---- configuration_update: in place, where that is enough ---- */

static void on_reconfigured(void *arg, const char *outcome) ON_LOOP {
    struct server *server = arg;
    struct restart *restart = &server->restart;

    if (!restart_goes_on(server) || strcmp(restart->facts.reason, "configuration_update") != 0)
        return; /* the restart that asked for it ran out of time, and this is another */
    json_t *refused = reconfigure_refused_new(server);
    if (refused) {
        restart_add_error(server, refused);
        restart->reached = PHASE_PREPARING;
        restart->in_place = true;
        report_end(server, PHASE_FAILED, report_failed_new(server));
    } else if (reconfigure_needs_image(server)) {
        restart_prepare(server);
    } else {
        restart->in_place = true;
        restart->unchanged = strcmp(outcome, "unchanged") == 0;
        report_end(server, PHASE_COMPLETE, report_complete_new(server));
    }
}

/* ---- asking ---- */

static bool is_reason(const char *reason) {
    for (size_t i = 0; i < ARRAY_SIZE(reasons); i++)
        if (strcmp(reasons[i], reason) == 0)
            return true;
    return false;
}

int restart_check(const struct server *server, const struct restart_request *request, struct theseus_error *err) {
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
        .flags = (request->graceful ? RESTART_GRACEFUL : 0) | (request->preserve_state ? RESTART_PRESERVE : 0) |
                 (request->own ? RESTART_OWN : 0),
        .reason = xstrdup(request->reason),
        .asker = facts_pack_asker(request->by, call ? call->client.session : NULL),
        .boot_before = xstrdup(server->boot_id),
        .version_before = xstrdup(THESEUS_VERSION),
        .cause = request->cause ? xstrdup(request->cause) : NULL,
        .started_ms = clock_wall_ms(),
        .started_ns = clock_now_ns(),
        .timeout_ms = (int64_t)request->timeout_s * 1000,
    };
    if (call)
        restart->facts.key = call->key;
    restart->run = request->run ? run_ref(request->run) : NULL;
    restart->under_way = true;
    restart->in_place = restart->refused = false;
    restart->interrupted_ns = 0;
    restart->suspend_began_ns = 0;
}

int restart_ask(struct server *server, const struct restart_request *request, struct theseus_error *err) {
    struct restart *restart = &server->restart;
    const char *session = request->run ? request->run->request->client.session : NULL;

    if (restart_check(server, request, err) < 0) {
        chronicle_asked(server->upkeep.chronicle, request->by, session, "restart", NULL, err->message);
        return -1;
    }
    begin(server, request);
    confirm_refuse_all(server, "another restart is under way");
    restart->limit = timer_new(server->loop, on_limit, server);
    timer_start(restart->limit, restart->facts.timeout_ms, 0);
    restart_answer_early(server);
    log_info("a restart is asked for: %s", request->reason);
    chronicle_asked(server->upkeep.chronicle, request->by, session, "restart", NULL, NULL);
    server_load(server); /* its plugins are what the next image is tried with */
    restart_set_phase(server, PHASE_PREPARING);
    if (strcmp(request->reason, "configuration_update") == 0) {
        reloads_restart(server->upkeep.reloads, request->by);
        reconfigure(server, on_reconfigured, server);
    } else if (restart_is_for_schema(server) && request->run) {
        migrations_look(server, restart_prepare);
    } else {
        restart_prepare(server);
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

json_t *restart_answer_asker(struct server *server, const struct restart_request *request) {
    struct theseus_error err = {0};

    return restart_ask(server, request, &err) < 0 ? refusal_new(server, &err) : NULL;
}

json_t *service_restart(struct server *server, struct run *run, const json_t *args, const json_t *facts) {
    const char *reason = json_string_value(json_object_get(args, "reason"));
    const json_t *timeout = json_object_get(args, "timeout");
    const struct theseus_client_info *client = &run->request->client;
    struct asker by = {client->name, client->version, client->transport, client->uid};
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
    bool confirms = principal_says(server->config->access.restart, "confirm");
    if (!confirms && !principal_listed(server->config->access.restart, client->uid)) {
        CLEANUP(free) char *refusal = facts_refusal(server->config, "restart", client->uid);
        chronicle_asked(server->upkeep.chronicle, &by, client->session, "restart", NULL, refusal);
        return control_error_new(refusal);
    }
    if (run->outer)
        return control_error_new("a restart cannot be part of another call; call it directly");
    return confirms ? confirm_restart(server, &request) : restart_answer_asker(server, &request);
}
