#include "test.h"

#include "method/method.h"

#include "server/served.h"

static const char *const fixtures[] = {"greet", "counter", NULL};

#define LIST "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\",\"params\":{" META "}}"

static void lists_all_tools_by_name_for_a_modern_client(void **state) {
    CLEANUP(served_free) struct served *served = served_new(fixtures);

    (void)state;
    for (int i = 0; i < 2; i++) {
        served_send(served, LIST); /* the first one waits until the plugins are there */
        served_gets(served, "{\"id\":1,\"result\":{\"resultType\":\"complete\",\"ttlMs\":0,\"cacheScope\":\"private\","
                            "\"tools\":[{\"name\":\"count\",\"annotations\":{\"destructiveHint\":true}},"
                            "{\"name\":\"counted\",\"annotations\":{\"readOnlyHint\":true},\"outputSchema\":{\"type\":"
                            "\"object\"}},{\"name\":\"greet\"}]}}");
    }
}

static void leaves_out_what_an_older_client_cannot_take(void **state) {
    CLEANUP(served_free) struct served *served = served_new(fixtures);

    (void)state;
    served_send(served, "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"initialize\",\"params\":{\"protocolVersion\":"
                        "\"2024-11-05\",\"capabilities\":{},\"clientInfo\":{\"name\":\"c\",\"version\":\"1\"}}}");
    served_gets(served, "{\"id\":0,\"result\":{}}");
    served_send(served, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}");
    json_auto_t *answer = served_next_new(served);
    const json_t *result = json_object_get(answer, "result");
    assert_int_equal(json_object_size(result), 1);
    assert_int_equal(json_array_size(json_object_get(result, "tools")), 3);
    for (size_t i = 0; i < 3; i++) {
        const json_t *tool = json_array_get(json_object_get(result, "tools"), i);
        assert_non_null(json_object_get(tool, "inputSchema"));
        assert_null(json_object_get(tool, "annotations"));
        assert_null(json_object_get(tool, "outputSchema"));
        assert_null(json_object_get(tool, "title"));
    }
    served_send(served, LIST); /* and what was left out there is not lost */
    served_gets(served, "{\"result\":{\"tools\":[{\"name\":\"count\",\"annotations\":{},\"outputSchema\":{}},"
                        "{\"name\":\"counted\",\"annotations\":{},\"outputSchema\":{}},{\"name\":\"greet\"}]}}");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_all_tools_by_name_for_a_modern_client),
        cmocka_unit_test(leaves_out_what_an_older_client_cannot_take),
    };

    return cmocka_run_group_tests_name("method/tools_list", tests, NULL, NULL);
}
