#include "test.h"

#include "server/server.h"

#include "server/served.h"

static const char *const fixtures[] = {"counter", "shared", "slow", "greet", "serial", "inner", NULL};

#define CALL(id, tool, args)                                                                    \
    "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"method\":\"tools/call\",\"params\":{\"name\":\"" tool \
    "\",\"arguments\":" args "," META "}}"
#define COUNTED(id, count)                                                                                \
    "{\"id\":" id ",\"result\":{\"resultType\":\"complete\",\"structuredContent\":{\"count\":" count "}," \
    "\"_meta\":{\"io.modelcontextprotocol/serverInfo\":{\"name\":\"theseus\"}}}}"

struct step {
    const char *send;      /* NULL: only listens */
    const char *expect[4]; /* as many lines; NULL: no more */
};

/* Both eras mixed; between any two of these the server may be another. */
static const struct step transcript[] = {
    {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"server/discover\",\"params\":{" META "}}",
     {"{\"id\":1,\"result\":{\"supportedVersions\":[\"2026-07-28\"]}}"}},
    {"{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"tools/list\"}", {"{\"id\":2,\"error\":{\"code\":-32602}}"}},
    {"{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"ping\"}", {"{\"id\":3,\"result\":{}}"}},
    {"{\"jsonrpc\":\"2.0\",\"id\":4,\"method\":\"ping\",\"params\":{" META "}}",
     {"{\"id\":4,\"error\":{\"code\":-32601}}"}},
    {CALL("5", "shared_count", "{}"), {COUNTED("5", "1")}},
    {"{\"jsonrpc\":\"2.0\",\"id\":\"l\",\"method\":\"subscriptions/listen\",\"params\":{\"notifications\":"
     "{\"toolsListChanged\":true}," META "}}",
     {"{\"method\":\"notifications/subscriptions/acknowledged\",\"params\":{\"notifications\":{\"toolsListChanged\":"
      "true}}}"}},
    {"{\"jsonrpc\":\"2.0\",\"id\":6,\"method\":\"initialize\",\"params\":{\"protocolVersion\":\"2025-03-26\","
     "\"capabilities\":{},\"clientInfo\":{\"name\":\"c\",\"version\":\"1\"}}}",
     {"{\"id\":6,\"result\":{\"protocolVersion\":\"2025-03-26\"}}"}},
    {"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}", {NULL}},
    {"[{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"ping\"},{\"jsonrpc\":\"2.0\",\"id\":8,\"method\":\"nothing\"}]",
     {"{\"id\":7,\"result\":{}}", "{\"id\":8,\"error\":{\"code\":-32601}}"}},
    {"{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"server/discover\"}", {"{\"id\":9,\"error\":{\"code\":-32602}}"}},
    {"{\"jsonrpc\":\"2.0\",\"id\":10,\"method\":\"logging/setLevel\",\"params\":{\"level\":\"error\"}}",
     {"{\"id\":10,\"result\":{}}"}},
    {"{\"jsonrpc\":\"2.0\",\"id\":11,\"method\":\"tools/call\",\"params\":{\"name\":\"shared_count\"}}",
     {"{\"id\":11,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"{\\\"count\\\":2}\"}]}}"}},
    {CALL("12", "shared_counted", "{}"), {COUNTED("12", "2")}},
    {CALL("13", "nobody", "{}"), {"{\"id\":13,\"error\":{\"code\":-32602}}"}},
    {CALL("14", "slow", "{\"ms\":\"x\"}"), {"{\"id\":14,\"result\":{\"isError\":true}}"}},
    {"nonsense", {NULL}}, /* that revision has no errors without an id */
    {CALL("15", "slow", "{\"ms\":30}"), {"{\"id\":15,\"result\":{\"resultType\":\"complete\"}}"}},
    {CALL("16", "slow_later", "{\"ms\":30,\"steps\":3}"), {"{\"id\":16,\"result\":{\"resultType\":\"complete\"}}"}},
    {"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":\"l\"}}", {NULL}},
    {CALL("17", "shared_count", "{}"), {COUNTED("17", "3")}},
};

static void take_step(struct served *served, const struct step *step) {
    served_send(served, step->send);
    for (size_t i = 0; i < ARRAY_SIZE(step->expect) && step->expect[i]; i++)
        served_gets(served, step->expect[i]);
}

static void goes_on_between_any_two_requests(void **state) {
    CLEANUP(served_free) struct served *served = served_new(fixtures);

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(transcript); i++) {
        take_step(served, &transcript[i]);
        served_restart(served);
    }
    assert_int_equal(served->got.len, 0);
}

/* The request is in its pipe, read, begun or answered: nobody knows which. */
static void goes_on_whatever_had_been_done_of_a_request(void **state) {
    (void)state;
    for (int turns = 0; turns < 6; turns++) {
        CLEANUP(served_free) struct served *served = served_new(fixtures);
        for (size_t i = 0; i < ARRAY_SIZE(transcript); i++) {
            served_send(served, transcript[i].send);
            for (int j = 0; j < turns; j++)
                served_turn(served);
            served_restart(served);
            for (size_t j = 0; j < ARRAY_SIZE(transcript[i].expect) && transcript[i].expect[j]; j++)
                served_gets(served, transcript[i].expect[j]);
        }
        assert_int_equal(served->got.len, 0);
    }
}

/* One after another, each in a server of its own, while the first is still to be answered. */
static void answers_slow_calls_once_after_many_restarts(void **state) {
    CLEANUP(served_free) struct served *served = served_new(fixtures);
    int answered[4] = {0};

    (void)state;
    served_send(served, CALL("0", "slow", "{\"ms\":100}"));
    served_send(served, CALL("1", "slow_later", "{\"ms\":100}"));
    served_send(served, CALL("2", "shared_count", "{}"));
    served_send(served, CALL("3", "serial", "{\"ms\":50}"));
    for (int i = 0; i < 4; i++) {
        for (int j = 0; j < 10; j++)
            served_turn(served);
        served_restart(served);
    }
    for (int i = 0; i < 4; i++) {
        json_auto_t *line = served_next_new(served);
        json_int_t id = json_integer_value(json_object_get(line, "id"));
        assert_true(json_is_object(json_object_get(line, "result")));
        answered[id]++;
    }
    for (int i = 0; i < 4; i++)
        assert_int_equal(answered[i], 1);
    served_send(served, CALL("9", "shared_counted", "{}"));
    served_gets(served, COUNTED("9", "1"));
}

static void keeps_telling_a_listener_of_changes(void **state) {
    static const char *const some[] = {"greet", NULL};
    CLEANUP(served_free) struct served *served = served_new(some);

    (void)state;
    served_send(served, "{\"jsonrpc\":\"2.0\",\"id\":\"l\",\"method\":\"subscriptions/listen\",\"params\":"
                        "{\"notifications\":{\"toolsListChanged\":true}," META "}}");
    served_gets(served, "{\"method\":\"notifications/subscriptions/acknowledged\"}");
    for (int i = 0; i < 3; i++) {
        served_restart(served);
        loop_enter();
        while (!server_is_loaded(served->server)) /* nobody asks for anything, and yet the plugins are wanted */
            served_turn(served);
        if (i % 2)
            served_take_away(served, "counter");
        else
            served_drop_in(served, "counter", "counter");
        served_gets(served, "{\"method\":\"notifications/tools/list_changed\",\"params\":{\"_meta\":"
                            "{\"io.modelcontextprotocol/subscriptionId\":\"l\"}}}");
    }
}

static void ends_when_the_client_hangs_up(void **state) {
    CLEANUP(served_free) struct served *served = served_new(fixtures);

    (void)state;
    served_send(served, CALL("1", "slow", "{\"ms\":50}"));
    assert_int_equal(shutdown(served->mine, SHUT_WR), 0);
    served_gets(served, "{\"id\":1,\"result\":{}}");
    loop_enter();
    while (!server_is_over(served->server))
        served_turn(served);
}

static void leaves_no_trace_of_a_probe(void **state) {
    static const char *const none[] = {NULL};
    CLEANUP(served_free) struct served *served = served_new(none);
    CLEANUP(free) char *state_dir = path_join(served->place, "state"), *run = path_join(served->place, "run");

    (void)state;
    served_send(served, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{\"protocolVersion\":"
                        "\"2025-11-25\",\"capabilities\":{},\"clientInfo\":{\"name\":\"c\",\"version\":\"1\"}}}");
    served_gets(served, "{\"id\":1,\"result\":{}}");
    served_send(served, "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"server/discover\",\"params\":{" META "}}");
    served_gets(served, "{\"id\":2,\"result\":{}}");
    assert_int_equal(access(state_dir, F_OK), -1);
    assert_int_equal(access(run, F_OK), -1);
}

static void refuses_a_program_that_is_not_there(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    const struct server_args args = {.source = {.path = "/nowhere.ini", .text = span_of("")},
                                     .in = 0,
                                     .out = 1,
                                     .transport = "stdio",
                                     .program = "/nowhere/theseus"};
    CLEANUP(config_free) struct config *config = NULL;
    struct theseus_error err = {0};
    struct server *server = NULL;

    (void)state;
    loop_enter();
    assert_int_equal(config_load(&config, &args.source, NULL, NULL, NULL), 0);
    assert_int_equal(server_new(&server, &args, config, ledger, &err), -1);
    assert_non_null(strstr(err.message, "'/nowhere/theseus'"));
    assert_int_equal(ledger_count(ledger), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(goes_on_between_any_two_requests),
        cmocka_unit_test(goes_on_whatever_had_been_done_of_a_request),
        cmocka_unit_test(answers_slow_calls_once_after_many_restarts),
        cmocka_unit_test(keeps_telling_a_listener_of_changes),
        cmocka_unit_test(ends_when_the_client_hangs_up),
        cmocka_unit_test(leaves_no_trace_of_a_probe),
        cmocka_unit_test(refuses_a_program_that_is_not_there),
    };

    return cmocka_run_group_tests_name("server/server", tests, NULL, NULL);
}
