#include "test.h"

#include "method/method.h"

#include "server/served.h"

static const char *const fixtures[] = {"client", NULL};

static struct served *with_roots(const char *capabilities) {
    CLEANUP(free)
    char *line = xasprintf(
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{\"protocolVersion\":\"2025-06-18\","
        "\"capabilities\":{%s},\"clientInfo\":{\"name\":\"tester\",\"version\":\"9\"}}}",
        capabilities);
    struct served *served = served_new(fixtures);

    served_send(served, line);
    served_gets(served, "{\"id\":1,\"result\":{}}");
    served_send(served, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}");
    return served;
}

static void answers_roots(struct served *served, const char *roots) {
    CLEANUP(free)
    char *line = xasprintf("{\"jsonrpc\":\"2.0\",\"id\":\"theseus-roots\",\"result\":{\"roots\":[%s]}}", roots);

    served_send(served, line);
}

/* Where a tool is told that the client works. */
static void works_in(struct served *served, const char *directory) {
    served_send(served, "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"tools/call\",\"params\":{\"name\":\"who\"}}");
    json_auto_t *answer = served_next_new(served);
    const json_t *said = json_object_get(json_object_get(answer, "result"), "structuredContent");
    assert_non_null(said);
    assert_string_equal(json_string_value(json_object_get(said, "directory")), directory);
    assert_string_equal(json_string_value(json_object_get(said, "name")), "tester");
}

static void takes_the_first_root_for_the_directory(void **state) {
    static const char *const roots[][2] = {
        {"{\"uri\":\"file:///home/x\"},{\"uri\":\"file:///home/y\"}", "/home/x"},
        {"{\"uri\":\"file://localhost/a%20b%2Fc\"}", "/a b/c"},
        {"{\"uri\":\"file:///100%25/%zz%0\"}", "/100%/%zz%0"},
        {"{\"uri\":\"file:///zero%00here\"}", "/zero%00here"},
    };
    CLEANUP(served_free) struct served *served = with_roots("\"roots\":{}");

    (void)state;
    assert_int_equal(unsetenv("CLAUDE_PROJECT_DIR"), 0);
    served_gets(served, "{\"id\":\"theseus-roots\",\"method\":\"roots/list\"}");
    for (size_t i = 0; i < ARRAY_SIZE(roots); i++) {
        answers_roots(served, roots[i][0]);
        works_in(served, roots[i][1]);
        served_restart(served);
        served_send(served, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/roots/list_changed\"}");
        served_gets(served, "{\"id\":\"theseus-roots\",\"method\":\"roots/list\"}");
    }
}

static void falls_back_on_where_it_was_started(void **state) {
    static const char *const useless[] = {"", "{\"uri\":\"http://x/y\"}", "{\"uri\":\"file://\"}", "5", "{}"};
    CLEANUP(served_free) struct served *served = with_roots("\"roots\":{}");
    CLEANUP(free) char *here = getcwd(NULL, 0);

    (void)state;
    assert_int_equal(unsetenv("CLAUDE_PROJECT_DIR"), 0);
    served_gets(served, "{\"method\":\"roots/list\"}");
    works_in(served, here);
    for (size_t i = 0; i < ARRAY_SIZE(useless); i++) {
        answers_roots(served, useless[i]);
        works_in(served, here);
    }
    served_send(served, "{\"jsonrpc\":\"2.0\",\"id\":\"theseus-roots\",\"error\":{\"code\":1,\"message\":\"no\"}}");
    served_send(served, "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{\"roots\":[{\"uri\":\"file:///x\"}]}}");
    works_in(served, here);
}

static void believes_its_host_first(void **state) {
    CLEANUP(served_free) struct served *served = with_roots("\"roots\":{}");

    (void)state;
    served_gets(served, "{\"method\":\"roots/list\"}");
    answers_roots(served, "{\"uri\":\"file:///home/x\"}");
    assert_int_equal(setenv("CLAUDE_PROJECT_DIR", "/project", 1), 0);
    works_in(served, "/project");
    assert_int_equal(setenv("CLAUDE_PROJECT_DIR", "relative", 1), 0);
    works_in(served, "/home/x");
    assert_int_equal(unsetenv("CLAUDE_PROJECT_DIR"), 0);
}

static void asks_nobody_who_has_none(void **state) {
    CLEANUP(served_free) struct served *served = with_roots("");

    (void)state;
    served_send(served, "{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"ping\"}");
    served_gets(served, "{\"id\":3,\"result\":{}}");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_the_first_root_for_the_directory),
        cmocka_unit_test(falls_back_on_where_it_was_started),
        cmocka_unit_test(believes_its_host_first),
        cmocka_unit_test(asks_nobody_who_has_none),
    };

    return cmocka_run_group_tests_name("method/roots", tests, NULL, NULL);
}
