#include "test.h"

#include "base/clock.h"
#include "call/keep.h"
#include "conn/client.h"

static const int64_t second_ns = 1000000000;

static struct client *opened(int max_in_flight) {
    struct client *client = client_on_socket();

    client->config->limits.max_in_flight = max_in_flight;
    client->config->buffer.max_buffer_size = 1;
    client->config->buffer.buffer_expiration = 100;
    client_open(client);
    return client;
}

static struct call *find(struct client *client, int id) {
    json_auto_t *value = json_integer(id);

    loop_enter();
    return conn_find_call(client->conn, value);
}

/* As if it had come so much earlier; and the time to look has come. */
static void age(struct client *client, int id, int seconds) {
    find(client, id)->accepted_ns -= seconds * second_ns;
    loop_enter();
    expiry_again(client->conn);
    client_settle(client);
}

static void gets_expired(struct client *client, int id) {
    json_auto_t *line = client_next_new(client);
    const json_t *error = json_object_get(line, "error");

    assert_int_equal(json_integer_value(json_object_get(line, "id")), id);
    assert_int_equal(json_integer_value(json_object_get(error, "code")), -32603);
    assert_non_null(strstr(json_string_value(json_object_get(error, "message")), "never begun; it may be sent again"));
    assert_non_null(strstr(json_string_value(json_object_get(error, "message")), "held for 100 s"));
}

static void gives_up_what_was_held_for_too_long(void **state) {
    (void)state;
    for (int restarted = 0; restarted < 2; restarted++) {
        CLEANUP(client_fini) struct client *client = opened(1);
        for (int id = 1; id <= 4; id++) {
            CLEANUP(free) char *text = xasprintf("%d", id);
            client_asks(client, text, "hold");
        }
        until(client->loop, conn_held(client->conn) == 3);
        age(client, 3, 99);
        client_says_nothing(client);
        age(client, 1, 101); /* it is being worked on */
        client_says_nothing(client);
        if (restarted) {
            assert_true(keep_entered(find(client, 1)));
            client_restart(client);
        }
        age(client, 3, restarted ? 100 : 1); /* what the record says is still the truth */
        gets_expired(client, 3);
        assert_int_equal(conn_held(client->conn), 2);
        client_let_go(client);
        client_gets_result(client, "1", "hold");
        until(client->loop, client->hold_count == 1);
        client_let_go(client);
        client_gets_result(client, "2", "hold");
        until(client->loop, client->hold_count == 1);
        client_let_go(client);
        client_gets_result(client, "4", "hold");
        client_says_nothing(client);
        assert_int_equal(ledger_count(client->ledger), 2);
    }
}

/* Its handler waits for something else: a worker, its plugin. */
static void gives_up_a_tool_call_that_no_handler_was_entered_for(void **state) {
    CLEANUP(client_fini) struct client *client = opened(10);

    (void)state;
    client_send(client, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"late\":true}}\n"
                        "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"tools/call\",\"params\":{\"late\":true}}\n");
    until(client->loop, client->late_count == 2);
    CLEANUP(call_unref) struct call *waits = call_ref(client->late[1]);
    assert_true(keep_entered(client->late[0]));
    age(client, 1, 1000);
    client_says_nothing(client);
    age(client, 2, 1000);
    gets_expired(client, 2);
    assert_false(keep_entered(waits)); /* and none will be */
    client_flush(client);
    client_gets_result(client, "1", "tools/call");
    client_says_nothing(client);
}

/* It may have had its effect: that answer is not for us to give. */
static void leaves_alone_what_an_earlier_image_had_begun(void **state) {
    CLEANUP(client_fini) struct client *client = opened(1);

    (void)state;
    client_asks(client, "1", "hold");
    client_asks(client, "2", "hold");
    until(client->loop, conn_held(client->conn) == 1);
    assert_true(keep_entered(find(client, 2)));
    client_restart(client);
    assert_int_equal(find(client, 2)->attempts, 1);
    age(client, 2, 1000);
    client_says_nothing(client);
    assert_int_equal(conn_held(client->conn), 1);
}

static void looks_by_itself_when_the_time_has_come(void **state) {
    (void)state;
    for (int restarted = 0; restarted < 2; restarted++) {
        CLEANUP(client_fini) struct client *client = opened(1);
        client->config->buffer.buffer_expiration = 2;
        client_asks(client, "1", "hold");
        client_asks(client, "2", "hold");
        until(client->loop, conn_held(client->conn) == 1);
        CLEANUP(call_unref) struct call *call = call_ref(find(client, 2));
        call->accepted_ns -= second_ns;
        if (restarted) {
            client_exec(client);
            assert_true(find(client, 1) && find(client, 2));
        }
        client_gets_error(client, "2", -32603);
        assert_true(clock_now_ns() - call->accepted_ns >= 2 * second_ns);
    }
}

static void never_looks_when_it_is_switched_off(void **state) {
    CLEANUP(client_fini) struct client *client = opened(1);

    (void)state;
    client_asks(client, "1", "hold");
    client_asks(client, "2", "hold");
    until(client->loop, conn_held(client->conn) == 1);
    client->config->buffer.buffer_expiration = 0;
    loop_enter();
    conn_serve(client->conn);
    age(client, 2, 1000000);
    client_says_nothing(client);
    client->config->buffer.buffer_expiration = 100;
    conn_serve(client->conn);
    gets_expired(client, 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_up_what_was_held_for_too_long),
        cmocka_unit_test(gives_up_a_tool_call_that_no_handler_was_entered_for),
        cmocka_unit_test(leaves_alone_what_an_earlier_image_had_begun),
        cmocka_unit_test(looks_by_itself_when_the_time_has_come),
        cmocka_unit_test(never_looks_when_it_is_switched_off),
    };

    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests_name("conn/expiry", tests, NULL, NULL);
}
