/*
 * Service `reconnect_test`: would the clients' sessions survive a restart? What is recorded of them is written to a
 * ledger of its own, a child that runs the program of the next restart reads it, and what the two say is compared.
 */
#include <stdlib.h>
#include <string.h>

#include "base/binary.h"
#include "loop/child.h"
#include "server/facts.h"
#include "server/inner.h"
#include "server/services.h"
#include "server/sessions.h"
#include "store/history.h"
#include "store/metrics.h"

enum { MAX_DIGEST = 16 << 20 };

struct test {
    struct asked *asked;
    json_t *sessions, *digest; /* owned */
    struct child *child;       /* owned */
};

/* ---- on the asking thread ---- */

struct tally {
    int64_t lost, resumed;
};

static void count_event(void *arg, const struct history_event *event) {
    struct tally *tally = arg;

    metrics_add_connections(event, &tally->lost, &tally->resumed);
}

json_t *reconnect_gather(struct server *server, struct run *run, const json_t *args) {
    const struct history_query query = {0};
    struct theseus_error err = {0};
    struct tally tally = {0};

    (void)run;
    if (!facts_wants(args, "include_reconnection_stats", true))
        return NULL;
    if (history_each(server->store, &query, count_event, &tally, &err) < 0)
        return json_pack("{s:s}", "problem", err.message);
    return json_pack("{s:I, s:I}", "lost", (json_int_t)tally.lost, "resumed", (json_int_t)tally.resumed);
}

/* ---- comparing ---- */

/* What of `ours` is not in `theirs`: owned text, NULL: nothing. A newer program may know more. */
static char *difference_of(const json_t *ours, const json_t *theirs) {
    const char *kind, *field;
    json_t *fields, *value;

    json_object_foreach ((json_t *)ours, kind, fields) {
        const json_t *other = json_object_get(theirs, kind);
        json_object_foreach (fields, field, value)
            if (!json_equal(value, json_object_get(other, field)))
                return xasprintf("the program of the next restart reads another %s (field %s)", kind, field);
    }
    return NULL;
}

static void judge(json_t *session, const json_t *digest, const json_t *theirs, const char *problem) {
    CLEANUP(free) char *conn = xasprintf("%lld", (long long)json_integer_value(json_object_get(session, "conn")));
    CLEANUP(free)
    char *difference =
        theirs ? difference_of(json_object_get(digest, conn), json_object_get(theirs, conn)) : xstrdup(problem);
    bool reachable = json_is_true(json_object_get(session, "reachable")) ||
                     json_is_true(json_object_get(session, "awaited")); /* its client knows where to come */

    (void)json_object_set_new(session, "reconnect_capable", json_boolean(reachable && !difference));
    if (difference && reachable)
        (void)json_object_set_new(session, "reason", json_string(difference));
}

/* ---- the answer ---- */

static const char *word(bool pass) {
    return pass ? "pass" : "fail";
}

static bool is_set(const json_t *session, const char *member) {
    return json_is_true(json_object_get(session, member));
}

static json_t *find_session(const json_t *sessions, const char *id) {
    json_t *session;
    size_t i;

    json_array_foreach ((json_t *)sessions, i, session) {
        const char *text = json_string_value(json_object_get(session, "session_id"));
        if (text && strcmp(text, id) == 0)
            return session;
    }
    return NULL;
}

static json_t *one_new(const json_t *session, bool *pass) {
    *pass = is_set(session, "reconnect_capable");
    return json_pack("{s:O, s:b, s:b, s:s, s:O*}", "session_id", json_object_get(session, "session_id"), "reachable",
                     is_set(session, "reachable"), "reconnect_capable", *pass, "status", word(*pass), "reason",
                     json_object_get(session, "reason"));
}

static json_t *all_new(const json_t *sessions, bool *pass) {
    size_t i, total = json_array_size(sessions), reachable = 0, capable = 0;
    json_t *session;

    json_array_foreach ((json_t *)sessions, i, session) {
        reachable += is_set(session, "reachable");
        capable += is_set(session, "reconnect_capable");
    }
    *pass = capable == total;
    return json_pack("{s:I, s:I, s:I, s:s}", "total_sessions", (json_int_t)total, "reachable_sessions",
                     (json_int_t)reachable, "reconnect_capable", (json_int_t)capable, "status", word(*pass));
}

static json_t *list_new(const json_t *sessions) {
    json_t *list = json_array(), *session;
    size_t i;

    json_array_foreach ((json_t *)sessions, i, session)
        (void)json_array_append_new(
            list,
            json_pack("{s:O, s:O, s:O, s:O, s:O, s:O, s:O*}", "session_id", json_object_get(session, "session_id"),
                      "client", json_object_get(session, "client"), "transport", json_object_get(session, "transport"),
                      "state", json_object_get(session, "state"), "reachable", json_object_get(session, "reachable"),
                      "reconnect_capable", json_object_get(session, "reconnect_capable"), "reason",
                      json_object_get(session, "reason")));
    return list;
}

struct holding {
    int limit, held, sessions;
    bool over;
};

static void count_held(void *arg, struct conn *conn) {
    struct holding *holding = arg;

    loop_enter();
    int held = conn_held(conn);
    holding->held += held;
    holding->sessions += held > 0;
    holding->over |= held > holding->limit;
}

/* A client that has used up what is kept for it in parsed form is served more slowly. */
static json_t *buffers_new(struct server *server, bool *pass) ON_LOOP {
    struct holding holding = {.limit = server->config->buffer.max_buffer_size};

    if (server->clients)
        clients_each(server->clients, count_held, &holding);
    *pass = !holding.over;
    return json_pack("{s:i, s:i, s:i, s:s}", "total_buffered_requests", holding.held, "sessions_with_buffers",
                     holding.sessions, "max_buffer_size", server->config->buffer.max_buffer_size, "status",
                     word(*pass));
}

/* Connections that a restart has cost, as the history has it, and sessions that another socket has taken over. */
static json_t *stats_new(struct server *server, const json_t *facts, bool *pass) ON_LOOP {
    const json_t *problem = json_object_get(facts, "problem");
    json_int_t lost = json_integer_value(json_object_get(facts, "lost"));
    json_int_t resumed = json_integer_value(json_object_get(facts, "resumed"));

    *pass = !problem && resumed >= lost;
    if (problem)
        return json_pack("{s:n, s:s, s:O}", "average_reconnection_time", "status", word(*pass), "reason", problem);
    json_auto_t *report = resume_report_new(server);
    json_int_t failed = json_integer_value(json_object_get(report, "failed")) +
                        json_integer_value(json_object_get(report, "unknown")) + (lost > resumed ? lost - resumed : 0);
    const json_t *average = json_object_get(report, "average_ms");
    resumed += json_integer_value(json_object_get(report, "successful"));
    return json_pack("{s:I, s:I, s:o, s:s}", "successful_reconnections", resumed, "failed_reconnections", failed,
                     "average_reconnection_time",
                     json_is_null(average) ? json_null() : json_real(json_real_value(average) / 1e3), "status",
                     word(*pass));
}

static json_t *results_new(const struct test *test, bool *ret_pass) ON_LOOP {
    const json_t *args = test->asked->args;
    const char *id = json_string_value(json_object_get(args, "session_id"));
    json_t *results = json_pack("{s:o}", "sessions", list_new(test->sessions));
    bool sessions, buffers = true, stats = true;

    if (id)
        (void)json_object_set_new(results, "session_test", one_new(find_session(test->sessions, id), &sessions));
    else
        (void)json_object_set_new(results, "all_sessions", all_new(test->sessions, &sessions));
    if (facts_wants(args, "include_buffer_status", true))
        (void)json_object_set_new(results, "buffer_status", buffers_new(test->asked->server, &buffers));
    if (test->asked->facts)
        (void)json_object_set_new(results, "reconnection_stats",
                                  stats_new(test->asked->server, test->asked->facts, &stats));
    *ret_pass = sessions && buffers && stats;
    return results;
}

/* `theirs` NULL: the program of the next restart could not be asked; `problem` says why. */
static void finish(struct test *test, const json_t *theirs, const char *problem) ON_LOOP {
    json_t *session;
    bool pass = false;
    size_t i;

    json_array_foreach (test->sessions, i, session)
        judge(session, test->digest, theirs, problem);
    json_t *results = results_new(test, &pass);
    control_answer(test->asked,
                   json_pack("{s:b, s:s*, s:o, s:s, s:o}", "test_completed", theirs != NULL, "problem", problem,
                             "timestamp", facts_now_new(), "overall_status", word(pass && theirs), "results", results));
}

/* ---- the child ---- */

static void on_ended(void *arg, const struct child_result *result) {
    struct test *test = arg;
    json_auto_t *theirs = NULL;

    loop_enter();
    if (control_is_closed(test->asked)) {
        control_answer(test->asked, NULL);
        return;
    }
    if (result->wait_status == 0 && !result->output_cut)
        theirs = json_loadb(result->output.data, result->output.len, 0, NULL);
    finish(test, theirs,
           theirs              ? NULL
           : result->timed_out ? "the program of the next restart does not read the sessions in time"
                               : "the program of the next restart cannot read the sessions");
}

static void end(void *work) {
    struct test *test = work;

    loop_enter();
    test->child = child_free(test->child);
    json_decref(test->sessions);
    json_decref(test->digest);
    free(test);
}

static int start_child(struct test *test, struct theseus_error *err) ON_LOOP {
    struct server *server = test->asked->server;
    char *path = server->started_by;
    CLEANUP(binary_close) struct binary candidate = {.fd = -1};
    CLEANUP(fd_close) int scratch = -1;
    char *const argv[] = {path, (char[]){"--read-sessions"}, NULL};

    if (sessions_copy(server->ledger, &scratch, &test->digest, err) < 0 || binary_open(&candidate, path, err) < 0)
        return -1;
    const struct child_spec spec = {.stdout_fd = -1,
                                    .stderr_fd = -1,
                                    .exec_fd = candidate.fd,
                                    .path = path,
                                    .argv = argv,
                                    .stdin_fd = scratch,
                                    .max_output = MAX_DIGEST,
                                    .time_limit_ms = server->config->restart.process_startup * 1000};
    return child_start(&test->child, server->loop, &spec, on_ended, test, err);
}

/* {"error": …} that names those that there are; NULL: it is one of them, or none was named. */
static json_t *unknown_new(const json_t *sessions, const json_t *args) {
    const char *id = json_string_value(json_object_get(args, "session_id"));
    json_t *session;
    size_t i;

    if (!id || find_session(sessions, id))
        return NULL;
    json_t *list = json_pack("s++", "there is no session '", id, "'; there are:");
    json_array_foreach ((json_t *)sessions, i, session) {
        json_t *longer =
            json_pack("s++", json_string_value(list), " ", json_string_value(json_object_get(session, "session_id")));
        json_decref(list);
        list = longer;
    }
    return json_pack("{s:o}", "error", list);
}

/* What the loop knows beyond the records. */
static void add_states(struct server *server, const json_t *sessions) ON_LOOP {
    json_t *session;
    size_t i;

    json_array_foreach ((json_t *)sessions, i, session) {
        const json_t *number = json_object_get(session, "conn");
        const struct conn *conn = clients_find(server->clients, (uint64_t)json_integer_value(number));
        if (conn && strcmp(conn_state(conn), "active") != 0)
            (void)json_object_set_new(session, "state", json_string(conn_state(conn)));
    }
}

void reconnect_begin(struct asked *asked) {
    json_t *sessions = sessions_new(asked->server->ledger);
    struct theseus_error err = {0};

    loop_enter();
    add_states(asked->server, sessions);
    json_t *unknown = unknown_new(sessions, asked->args);
    if (unknown) {
        json_decref(sessions);
        control_answer(asked, unknown);
        return;
    }
    struct test *test = xcalloc(1, sizeof(*test));
    *test = (struct test){.asked = asked, .sessions = sessions};
    asked->work = test;
    asked->end = end;
    if (start_child(test, &err) < 0)
        finish(test, NULL, err.message);
}
