#include "test.h"

#include "server/services.h"

#include "base/clock.h"
#include "base/fs.h"
#include "server/served.h"
#include "server/sessions.h"
#include "store/history.h"
#include "store/store.h"

static const char *const fixtures[] = {"asker", NULL};

/* What the service says; a new reference. */
static json_t *ask_new(struct served *served, const char *verb, const char *args) {
    static int id;
    CLEANUP(free)
    char *line = xasprintf("{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"tools/call\",\"params\":{\"name\":\"ask\","
                           "\"arguments\":{\"verb\":\"%s\",\"args\":%s}," META "}}",
                           ++id, verb, args);
    served_send(served, line);
    json_auto_t *answer = served_next_new(served);
    json_t *said = json_object_get(json_object_get(answer, "result"), "structuredContent");
    assert_non_null(said);
    return json_incref(said);
}

static void says(struct served *served, const char *verb, const char *args, const char *expected) {
    json_auto_t *said = ask_new(served, verb, args);
    json_auto_t *wanted = json_loads(expected, 0, NULL);

    assert_non_null(wanted);
    if (!served_matches(said, wanted)) {
        CLEANUP(free) char *text = json_dumps(said, JSON_COMPACT);
        print_error("%s %s: got %s\nnot %s\n", verb, args, text, expected);
    }
    assert_true(served_matches(said, wanted));
}

/* ---- connections ---- */

static void record_conn(struct served *served, const char *session, int in, int out) {
    const struct conn_record record = {.conn = 2,
                                       .transport = span_of("unix"),
                                       .fd_in = (uint64_t)in,
                                       .fd_out = (uint64_t)out,
                                       .session = span_of(session),
                                       .client = span_of("{\"name\":\"other\"}"),
                                       .log_level = 1};

    assert_int_equal(ledger_put(served->ledger, &conn_kind, &record, NULL), 0);
}

static void a_client_that_hangs_up_is_counted_and_cannot_be_reached(void **state) {
    CLEANUP(served_free) struct served *served = served_new(fixtures);
    int pair[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    record_conn(served, "two", pair[0], pair[0]);
    says(served, "health", "{}",
         "{\"checks\":{\"connections\":{\"active_connections\":2,\"status\":\"operational\"}}}");
    says(served, "prepare", "{}",
         "{\"checks\":{\"client_connections\":{\"active_connections\":2,\"notifiable\":false,\"not_notifiable\":1,"
         "\"status\":\"ready\"}}}");
    says(served, "reconnect_test", "{}",
         "{\"overall_status\":\"pass\",\"results\":{\"all_sessions\":{\"total_sessions\":2,\"reachable_sessions\":2,"
         "\"reconnect_capable\":2,\"status\":\"pass\"}}}");
    (void)close(pair[1]);
    says(served, "health", "{}", "{\"checks\":{\"connections\":{\"active_connections\":2,\"status\":\"degraded\"}}}");
    says(served, "prepare", "{}",
         "{\"ready_for_shutdown\":false,\"checks\":{\"client_connections\":{\"status\":\"blocked\"}},"
         "\"blocking_issues\":[\"connection 2: the client has closed its end of the connection's input\"]}");
    says(served, "reconnect_test", "{}",
         "{\"test_completed\":true,\"overall_status\":\"fail\",\"results\":{\"all_sessions\":{\"total_sessions\":2,"
         "\"reachable_sessions\":1,\"reconnect_capable\":1,\"status\":\"fail\"}}}");
    says(served, "reconnect_test", "{\"session_id\":\"two\"}",
         "{\"overall_status\":\"fail\",\"results\":{\"session_test\":{\"session_id\":\"two\",\"reachable\":false,"
         "\"reconnect_capable\":false,\"status\":\"fail\",\"reason\":\"the client has closed its end of the "
         "connection's input\"}}}");
    (void)close(pair[0]);
}

static void a_session_without_a_descriptor_is_named_with_the_reason(void **state) {
    CLEANUP(served_free) struct served *served = served_new(fixtures);
    int free_fd = dup(STDIN_FILENO);

    (void)state;
    (void)close(free_fd);
    record_conn(served, "two", STDERR_FILENO, free_fd + 500);
    says(
        served, "reconnect_test", "{\"session_id\":\"two\"}",
        "{\"results\":{\"session_test\":{\"reachable\":false,\"reconnect_capable\":false,\"reason\":\"the server has no "
        "open descriptor for the connection's output\"}}}");
}

static void without_a_connection_nobody_can_be_reached(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();

    (void)state;
    json_auto_t *none = sessions_new(ledger);
    assert_int_equal(json_array_size(none), 0);
}

/* ---- copies of sessions ---- */

static void put_request(struct ledger *ledger, uint64_t offset, const char *text) {
    const struct request_record record = {.conn = 1, .offset = offset, .text = span_of(text)};

    assert_int_equal(ledger_put(ledger, &request_kind, &record, NULL), 0);
}

static void a_copy_reads_back_equal_and_any_change_shows(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    CLEANUP(ledger_free) struct ledger *read = NULL;
    json_t *digest = NULL;
    int fd = -1;

    (void)state;
    put_request(ledger, 10, "first");
    put_request(ledger, 20, "second");
    assert_int_equal(sessions_copy(ledger, &fd, &digest, NULL), 0);
    assert_int_equal(ledger_open(&read, fd, NULL), 0);
    json_auto_t *before = digest;
    json_auto_t *same = sessions_digest_new(read);
    assert_true(json_equal(before, same));
    put_request(read, 20, "secomd");
    json_auto_t *changed = sessions_digest_new(read);
    assert_false(json_equal(before, changed));
    put_request(read, 20, "second");
    put_request(read, 30, "third");
    json_auto_t *more = sessions_digest_new(read);
    assert_false(json_equal(before, more));
}

/* ---- the past ---- */

static void add_restart(struct served *served, const struct history_event *event) {
    CLEANUP(free) char *dir = path_join(served->place, "state");
    CLEANUP(free) char *path = path_join(dir, "theseus.db");
    CLEANUP(store_free) struct store *store = store_new(path);

    assert_int_equal(history_add(store, event, NULL), 0);
}

static struct history_event restart_of(bool success, int64_t started_ms, double duration_ms) {
    struct history_event event = history_event_of(HISTORY_RESTART, "manual_request", started_ms);

    event.success = success;
    event.duration_ms = duration_ms;
    event.phase = success ? "complete" : "failed";
    return event;
}

static void the_status_tells_of_earlier_restarts(void **state) {
    CLEANUP(served_free) struct served *served = served_new(fixtures);
    int64_t now = clock_wall_ms();
    char text[CLOCK_TEXT_BYTES];

    (void)state;
    struct history_event good = restart_of(true, now - 5000, 1500);
    add_restart(served, &good);
    CLEANUP(free)
    char *expected = xasprintf("{\"history\":{\"total_restarts\":1,\"successful_restarts\":1,"
                               "\"last_successful_restart\":\"%s\",\"alerts\":[],\"recent_restarts\":[{\"reason\":"
                               "\"manual_request\",\"success\":true,\"duration\":1.5}],\"metrics\":{\"success_rate\":{"
                               "\"value\":100.0,\"verdict\":\"pass\"}}}}",
                               clock_rfc3339(now - 3500, text));
    says(served, "restart_status", "{\"include_history\":true}", expected);
    json_auto_t *errors = json_pack("[{s:s}]", "message", "it broke");
    struct history_event bad = restart_of(false, now - 1000, 61000);
    bad.errors = errors;
    add_restart(served, &bad);
    says(served, "restart_status", "{\"include_history\":true}",
         "{\"history\":{\"total_restarts\":2,\"successful_restarts\":1,\"recent_restarts\":[{\"success\":false,"
         "\"errors\":[{\"message\":\"it broke\"}]},{\"success\":true}],\"metrics\":{\"success_rate\":{\"value\":50.0,"
         "\"verdict\":\"fail\"}},\"alerts\":[{\"metric\":\"success_rate\"},{\"metric\":\"restart_duration\"}]}}");
    json_auto_t *brief =
        ask_new(served, "restart_status", "{\"include_history\":true,\"include_error_details\":false}");
    const json_t *restart = json_array_get(json_object_get(json_object_get(brief, "history"), "recent_restarts"), 0);
    assert_null(json_object_get(restart, "errors"));
    assert_int_equal(json_integer_value(json_object_get(restart, "error_count")), 1);
}

static void the_expected_blackout_is_the_median_of_the_past(void **state) {
    CLEANUP(served_free) struct served *served = served_new(fixtures);
    const double blackouts[] = {9, 2.5, 1, HISTORY_UNKNOWN};

    (void)state;
    says(served, "prepare", "{\"explain\":true}", "{\"explain\":{\"expected_blackout_ms\":null}}");
    for (size_t i = 0; i < ARRAY_SIZE(blackouts); i++) {
        struct history_event event = restart_of(true, clock_wall_ms(), 100);
        event.blackout_ms = blackouts[i];
        add_restart(served, &event);
    }
    says(served, "prepare", "{\"explain\":true}", "{\"explain\":{\"expected_blackout_ms\":2.5}}");
}

static void reconnections_of_the_past_are_counted(void **state) {
    CLEANUP(served_free) struct served *served = served_new(fixtures);
    struct history_event event = restart_of(true, clock_wall_ms(), 100);

    (void)state;
    event.connections_lost = 4;
    event.connections_resumed = 4;
    add_restart(served, &event);
    says(served, "reconnect_test", "{}",
         "{\"overall_status\":\"pass\",\"results\":{\"reconnection_stats\":{\"successful_reconnections\":4,"
         "\"failed_reconnections\":0,\"average_reconnection_time\":null,\"status\":\"pass\"}}}");
    event.connections_resumed = 3;
    add_restart(served, &event);
    says(served, "reconnect_test", "{}",
         "{\"overall_status\":\"fail\",\"results\":{\"reconnection_stats\":{\"successful_reconnections\":7,"
         "\"failed_reconnections\":1,\"status\":\"fail\"}}}");
}

/* ---- the end of the server ---- */

static void a_server_that_ends_waits_for_no_program(void **state) {
    CLEANUP(served_free) struct served *served = served_new(fixtures);

    (void)state;
    for (int turns = 0; turns < 12; turns++) {
        served_send(served, "{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"method\":\"tools/call\",\"params\":{\"name\":\"ask\","
                            "\"arguments\":{\"verb\":\"reconnect_test\"}," META "}}");
        served_send(served, "{\"jsonrpc\":\"2.0\",\"id\":\"y\",\"method\":\"tools/call\",\"params\":{\"name\":\"ask\","
                            "\"arguments\":{\"verb\":\"prepare\",\"args\":{\"explain\":true}}," META "}}");
        for (int i = 0; i < turns; i++)
            served_turn(served);
        served_restart(served);
        json_auto_t *one = served_next_new(served);
        json_auto_t *two = served_next_new(served);
        assert_non_null(json_object_get(one, "result"));
        assert_non_null(json_object_get(two, "result"));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_that_hangs_up_is_counted_and_cannot_be_reached),
        cmocka_unit_test(a_session_without_a_descriptor_is_named_with_the_reason),
        cmocka_unit_test(without_a_connection_nobody_can_be_reached),
        cmocka_unit_test(a_copy_reads_back_equal_and_any_change_shows),
        cmocka_unit_test(the_status_tells_of_earlier_restarts),
        cmocka_unit_test(the_expected_blackout_is_the_median_of_the_past),
        cmocka_unit_test(reconnections_of_the_past_are_counted),
        cmocka_unit_test(a_server_that_ends_waits_for_no_program),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
