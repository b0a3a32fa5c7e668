/* Service `prepare`: could the server be restarted now, and what would be in the way? */
#include "base/mem.h"
#include "plugin/run.h"
#include "server/calls.h"
#include "server/explain.h"
#include "server/facts.h"
#include "server/inner.h"
#include "server/services.h"
#include "server/sessions.h"

json_t *prepare_gather(struct server *server, struct run *run, const json_t *args) {
    (void)run;
    return facts_wants(args, "explain", false) ? explain_gather_new(server) : NULL;
}

static const char *word(bool ready) {
    return ready ? "ready" : "blocked";
}

static json_t *tasks_new(struct server *server, const struct calls *calls, json_t *issues) ON_LOOP {
    json_t *call;
    size_t i;

    json_array_foreach (calls->list, i, call)
        if (json_object_get(call, "within_ms"))
            facts_add_text(issues,
                           "a call of '%s' can neither be suspended nor run again: a restart waits up to %d s for it, "
                           "then interrupts it",
                           json_string_value(json_object_get(call, "tool")), server->config->restart.shutdown_timeout);
    return json_pack("{s:i, s:b, s:s}", "count", calls->count, "suspendable", calls->suspendable, "status",
                     word(calls->suspendable));
}

static json_t *database_new(struct server *server, json_t *issues) ON_LOOP {
    int pending = store_transactions(server->store);

    if (pending > 0)
        facts_add_text(issues, "%d transaction%s of the database %s not committed", pending, pending == 1 ? "" : "s",
                       pending == 1 ? "is" : "are");
    return json_pack("{s:i, s:i, s:s}", "transactions_pending", pending, "connections_open",
                     store_connections(server->store), "status", word(pending == 0));
}

static json_t *connections_new(struct server *server, json_t *issues) ON_LOOP {
    json_auto_t *sessions = sessions_new(server->ledger);
    json_int_t silent = 0;
    json_t *session;
    bool ready = true;
    size_t i;

    json_array_foreach (sessions, i, session) {
        const char *reason = json_string_value(json_object_get(session, "reason"));
        silent += !json_is_true(json_object_get(session, "notifiable"));
        if (!reason)
            continue;
        ready = false;
        facts_add_text(issues, "connection %d: %s", (int)json_integer_value(json_object_get(session, "conn")), reason);
    }
    return json_pack("{s:I, s:b, s:I, s:s}", "active_connections", (json_int_t)json_array_size(sessions), "notifiable",
                     silent == 0, "not_notifiable", silent, "status", word(ready));
}

static json_t *checks_new(struct server *server, const json_t *args, const struct calls *calls,
                          json_t *issues) ON_LOOP {
    json_t *checks = json_object();

    if (facts_wants(args, "check_active_tasks", true))
        (void)json_object_set_new(checks, "active_tasks", tasks_new(server, calls, issues));
    if (facts_wants(args, "check_database_state", true))
        (void)json_object_set_new(checks, "database", database_new(server, issues));
    if (facts_wants(args, "check_client_connections", true))
        (void)json_object_set_new(checks, "client_connections", connections_new(server, issues));
    return checks;
}

void prepare_begin(struct asked *asked) {
    struct server *server = asked->server;
    CLEANUP(calls_fini) struct calls calls = {0};
    json_t *issues = json_array();

    loop_enter();
    calls_look(server, asked->run->request, &calls);
    facts_add_obstacles(server, issues);
    json_t *checks = checks_new(server, asked->args, &calls, issues);
    json_t *answer = json_pack("{s:b, s:o, s:o, s:o}", "ready_for_shutdown", json_array_size(issues) == 0,
                               "blocking_issues", issues, "timestamp", facts_now_new(), "checks", checks);
    if (answer && asked->facts)
        explain_begin(asked, answer, calls.list);
    else
        control_answer(asked, answer);
}
