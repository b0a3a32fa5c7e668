#include "test.h"

#include "conn/client.h"

static void asks_to_listen(struct client *client, const char *id) {
    client_asks(client, id, "listen");
    client_gets(client, "{\"jsonrpc\":\"2.0\",\"method\":\"listening\"}");
}

static void is_told_of_changes(struct client *client, const char *id) {
    CLEANUP(free)
    char *line = xasprintf("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\",\"params\":"
                           "{\"_meta\":{\"io.modelcontextprotocol/subscriptionId\":%s}}}",
                           id);

    client_gets(client, line);
}

static void tells_each_listener_tagged_and_the_session_untagged(void **state) {
    CLEANUP(client_fini) struct client *client = client_on_socket();

    (void)state;
    client_open(client);
    loop_enter();
    conn_list_changed(client->conn, LISTEN_TOOLS);
    client_says_nothing(client);
    asks_to_listen(client, "1");
    asks_to_listen(client, "\"1\"");
    conn_list_changed(client->conn, LISTEN_TOOLS);
    is_told_of_changes(client, "1");
    is_told_of_changes(client, "\"1\"");
    conn_session(client->conn)->initialized = true;
    conn_list_changed(client->conn, LISTEN_TOOLS);
    client_gets(client, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}");
    is_told_of_changes(client, "1");
    is_told_of_changes(client, "\"1\"");
    client_says_nothing(client);
}

static void is_silent_after_a_cancellation(void **state) {
    CLEANUP(client_fini) struct client *client = client_on_socket();

    (void)state;
    client_open(client);
    loop_enter();
    asks_to_listen(client, "1");
    client_cancels(client, "1");
    client_settle(client);
    conn_list_changed(client->conn, LISTEN_TOOLS);
    client_says_nothing(client);
    assert_int_equal(ledger_count(client->ledger), 2);
    asks_to_listen(client, "1"); /* its id is free again */
}

static void is_not_work(void **state) {
    CLEANUP(client_fini) struct client *client = client_on_socket();

    (void)state;
    client->config->limits.max_in_flight = 1;
    client_open(client);
    loop_enter();
    asks_to_listen(client, "1");
    asks_to_listen(client, "2");
    assert_int_equal(conn_in_flight(client->conn), 0);
    assert_true(conn_is_idle(client->conn));
    client_asks(client, "3", "now");
    client_gets_result(client, "3", "now");
}

static void goes_on_after_a_restart_and_can_be_ended_by_us(void **state) {
    CLEANUP(client_fini) struct client *client = client_on_socket();

    (void)state;
    client->config->buffer.max_buffer_size = 0;
    client_open(client);
    asks_to_listen(client, "1");
    asks_to_listen(client, "\"b\"");
    client_asks(client, "2", "hold");
    until(client->loop, client->hold_count == 1);
    for (int i = 0; i < 3; i++)
        client_restart(client);
    until(client->loop, client->hold_count == 1);
    assert_int_equal(conn_in_flight(client->conn), 1);
    loop_enter();
    conn_list_changed(client->conn, LISTEN_TOOLS);
    is_told_of_changes(client, "1");
    is_told_of_changes(client, "\"b\"");
    conn_end_listens(client->conn, "why");
    client_gets(client, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"_meta\":"
                        "{\"io.modelcontextprotocol/subscriptionId\":1}}}");
    client_gets(client, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":"
                        "{\"requestId\":1,\"reason\":\"why\"}}");
    json_decref(client_next_new(client));
    json_decref(client_next_new(client));
    client_let_go(client);
    client_gets_result(client, "2", "hold");
    client_says_nothing(client);
    assert_int_equal(ledger_count(client->ledger), 2);
}

static void takes_so_many_and_not_one_more(void **state) {
    CLEANUP(client_fini) struct client *client = client_on_socket();

    (void)state;
    client_open(client);
    for (int i = 0; i < LIMIT_LISTENS; i++) {
        CLEANUP(free) char *id = xasprintf("%d", i);
        asks_to_listen(client, id);
    }
    client_asks(client, "\"more\"", "listen");
    client_gets_error(client, "\"more\"", -32603);
    client_cancels(client, "0");
    asks_to_listen(client, "\"more\"");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_each_listener_tagged_and_the_session_untagged),
        cmocka_unit_test(is_silent_after_a_cancellation),
        cmocka_unit_test(is_not_work),
        cmocka_unit_test(goes_on_after_a_restart_and_can_be_ended_by_us),
        cmocka_unit_test(takes_so_many_and_not_one_more),
    };

    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests_name("conn/listen", tests, NULL, NULL);
}
