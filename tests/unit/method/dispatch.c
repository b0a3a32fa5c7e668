#include "test.h"

#include "method/method.h"

#include "server/served.h"

static const char *const none[] = {NULL};

struct row {
    const char *method, *params; /* the members of params */
    const char *answer;
};

#define OK "{\"id\":1,\"result\":{}}"
#define MODERN_OK "{\"id\":1,\"result\":{\"resultType\":\"complete\"}}"
#define ERROR(code) "{\"id\":1,\"error\":{\"code\":" code "}}"

static void ask(struct served *served, const char *method, const char *params) {
    CLEANUP(free)
    char *line = xasprintf("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\",\"params\":{%s}}", method, params);

    served_send(served, line);
}

static void answers(struct served *served, const struct row *rows, size_t count) {
    for (size_t i = 0; i < count; i++) {
        ask(served, rows[i].method, rows[i].params);
        served_gets(served, rows[i].answer);
    }
}

static void begin_session(struct served *served, const char *revision) {
    CLEANUP(free)
    char *params = xasprintf("\"protocolVersion\":\"%s\",\"capabilities\":{\"roots\":{}},\"clientInfo\":"
                             "{\"name\":\"c\",\"version\":\"1\"}",
                             revision);
    CLEANUP(free)
    char *answer = xasprintf("{\"id\":1,\"result\":{\"protocolVersion\":\"%s\",\"serverInfo\":{\"name\":"
                             "\"theseus\"},\"capabilities\":{\"tools\":{\"listChanged\":true}}}}",
                             revision);

    ask(served, "initialize", params);
    served_gets(served, answer);
}

/* The same before, in and beside a legacy session: a modern request says everything itself. */
static void serves_the_modern_era_whatever_came_before(void **state) {
    static const struct row rows[] = {
        {"server/discover", META, MODERN_OK},
        {"tools/list", META, MODERN_OK},
        {"initialize", META, ERROR("-32601")},
        {"ping", META, ERROR("-32601")},
        {"logging/setLevel", "\"level\":\"info\"," META, ERROR("-32601")},
        {"resources/list", META, MODERN_OK},
        {"resources/templates/list", META, MODERN_OK},
        {"resources/list", "\"cursor\":\"x\"," META, ERROR("-32602")},
        {"resources/read", META, ERROR("-32602")},
        {"resources/read", "\"uri\":\"x://y\"," META, ERROR("-32602")},
        {"resources/unsubscribe", META, ERROR("-32601")},
        {"prompts/list", META, ERROR("-32601")},
        {"resources/subscribe", META, ERROR("-32601")},
        {"tasks/get", META, ERROR("-32021")},
        {"tasks/list", META, ERROR("-32601")},
        {"tasks/result", META, ERROR("-32601")},
        {"", META, ERROR("-32601")},
        {"tools/list", "\"cursor\":\"x\"," META, ERROR("-32602")},
        {"tools/call", META, ERROR("-32602")},
        {"tools/call", "\"name\":5," META, ERROR("-32602")},
        {"tools/call", "\"name\":\"x\",\"arguments\":[]," META, ERROR("-32602")},
        {"tools/call", "\"name\":\"x\"," META, ERROR("-32602")},
        {"subscriptions/listen", META, ERROR("-32602")},
        {"subscriptions/listen", "\"notifications\":[]," META, ERROR("-32602")},
        {"server/discover", "\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\"}", ERROR("-32602")},
        {"server/discover", "\"_meta\":{\"io.modelcontextprotocol/clientCapabilities\":{}}", ERROR("-32602")},
        {"tools/list",
         "\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"2030-01-01\","
         "\"io.modelcontextprotocol/clientCapabilities\":{}}",
         "{\"id\":1,\"error\":{\"code\":-32022,\"data\":{\"supported\":[\"2026-07-28\"],\"requested\":\"2030-01-01\"}}}"},
    };
    CLEANUP(served_free) struct served *served = served_new(none);

    (void)state;
    answers(served, rows, ARRAY_SIZE(rows));
    begin_session(served, "2024-11-05");
    answers(served, rows, ARRAY_SIZE(rows));
}

static void asks_a_stranger_to_say_who_it_is(void **state) {
    static const struct row rows[] = {
        {"tools/list", "", "{\"id\":1,\"error\":{\"code\":-32602,\"data\":{\"supported\":[\"2026-07-28\"]}}}"},
        {"nothing", "", ERROR("-32602")},
        {"server/discover", "", ERROR("-32602")},
        {"ping", "", OK},
        {"initialize", "", ERROR("-32602")},
        {"initialize", "\"protocolVersion\":5", ERROR("-32602")},
        {"tools/list", "", ERROR("-32602")},
    };
    CLEANUP(served_free) struct served *served = served_new(none);

    (void)state;
    answers(served, rows, ARRAY_SIZE(rows));
}

static void serves_a_legacy_session(void **state) {
    static const struct row rows[] = {
        {"ping", "", OK},
        {"tools/list", "", "{\"id\":1,\"result\":{\"tools\":[]}}"},
        {"nothing", "", ERROR("-32601")},
        {"subscriptions/listen", "\"notifications\":{}", ERROR("-32601")},
        {"server/discover", "", ERROR("-32602")},
        {"logging/setLevel", "\"level\":\"warning\"", OK},
        {"logging/setLevel", "\"level\":\"loud\"", ERROR("-32602")},
        {"logging/setLevel", "", ERROR("-32602")},
        {"tools/call", "\"name\":\"x\"", ERROR("-32602")},
    };
    static const char *const revisions[] = {"2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"};
    CLEANUP(served_free) struct served *served = served_new(none);

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(revisions); i++) {
        begin_session(served, revisions[i]); /* again and again */
        answers(served, rows, ARRAY_SIZE(rows));
    }
    ask(served, "initialize", "\"protocolVersion\":\"2026-07-28\"");
    served_gets(served, "{\"id\":1,\"result\":{\"protocolVersion\":\"2025-11-25\"}}");
}

/* A long name of a method in which no byte is one character. */
static void names_a_method_that_it_does_not_know(void **state) {
    CLEANUP(served_free) struct served *served = served_new(none);
    char method[301] = "";

    (void)state;
    for (size_t i = 0; i < 100; i++)
        memcpy(method + 3 * i, "\xe2\x82\xac", 3);
    ask(served, method, META);
    served_gets(served, ERROR("-32601"));
    ask(served, "server/discover", META);
    served_gets(served, MODERN_OK);
}

static bool is_urgent(const char *text) {
    CLEANUP(message_fini) struct message message = {0};
    struct theseus_error err = {0};

    assert_int_equal(message_read(span_of(text), &message, &err), 0);
    return method_is_urgent(NULL, &message);
}

#define LINE(method, params) "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"" method "\",\"params\":{" params "}}"

static void keeps_neither_a_ping_nor_what_is_of_a_restart_waiting(void **state) {
    (void)state;
    assert_true(is_urgent(LINE("ping", "")));
    assert_true(is_urgent("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}"));
    assert_true(is_urgent(LINE("tools/call", "\"name\":\"orchestrator_restart_status\"")));
    assert_true(is_urgent(LINE("tools/call", "\"name\":\"orchestrator_restart_server\"")));
    assert_true(is_urgent(LINE("tools/call", "\"name\":\"orchestrator_health_check\"")));
    assert_false(is_urgent(LINE("tools/call", "\"name\":\"batch\"")));
    assert_false(is_urgent(LINE("tools/call", "\"name\":[\"orchestrator_restart_status\"]")));
    assert_false(is_urgent(LINE("tools/call", "")));
    assert_false(is_urgent("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\"}"));
    assert_false(is_urgent(LINE("tools/list", "\"name\":\"orchestrator_restart_status\"")));
    assert_false(is_urgent(LINE("no/such", "")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(serves_the_modern_era_whatever_came_before),
        cmocka_unit_test(asks_a_stranger_to_say_who_it_is),
        cmocka_unit_test(serves_a_legacy_session),
        cmocka_unit_test(names_a_method_that_it_does_not_know),
        cmocka_unit_test(keeps_neither_a_ping_nor_what_is_of_a_restart_waiting),
    };

    return cmocka_run_group_tests_name("method/dispatch", tests, NULL, NULL);
}
