#include "test.h"

#include "method/method.h"

#include "server/served.h"

static const char *const fixtures[] = {"greet", NULL};

static void listens(struct served *served, const char *id, const char *wants, const char *acknowledged) {
    CLEANUP(free)
    char *line = xasprintf("{\"jsonrpc\":\"2.0\",\"id\":%s,\"method\":\"subscriptions/listen\",\"params\":"
                           "{\"notifications\":{%s}," META "}}",
                           id, wants);
    CLEANUP(free)
    char *answer =
        xasprintf("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/subscriptions/acknowledged\",\"params\":{\"_meta\":"
                  "{\"io.modelcontextprotocol/subscriptionId\":%s},\"notifications\":{%s}}}",
                  id, acknowledged);
    json_auto_t *expected = json_loads(answer, 0, NULL);

    served_send(served, line);
    json_auto_t *got = served_next_new(served);
    assert_true(json_equal(got, expected));
}

static void acknowledges_what_it_can_tell(void **state) {
    CLEANUP(served_free) struct served *served = served_new(fixtures);

    (void)state;
    listens(served, "1", "\"toolsListChanged\":true,\"resourceSubscriptions\":[\"x:y\"]", "\"toolsListChanged\":true");
    listens(served, "\"1\"", "\"toolsListChanged\":false", "");
    listens(served, "2", "", "");
    served_drop_in(served, "counter", "counter"); /* only the first one wants to know */
    served_gets(served, "{\"method\":\"notifications/tools/list_changed\",\"params\":{\"_meta\":"
                        "{\"io.modelcontextprotocol/subscriptionId\":1}}}");
    served_send(served, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":1}}");
    served_take_away(served, "counter");
    served_send(served,
                "{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"tools/call\",\"params\":{\"name\":\"count\"," META "}}");
    json_auto_t *next =
        served_next_new(served); /* whether it is gone already or not: nothing comes before the answer */
    assert_int_equal(json_integer_value(json_object_get(next, "id")), 9);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(acknowledges_what_it_can_tell),
    };

    return cmocka_run_group_tests_name("method/listen", tests, NULL, NULL);
}
