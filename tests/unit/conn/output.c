#include "test.h"

#include <pthread.h>
#include <signal.h>

#include "conn/client.h"

static void tells_when_the_pipe_is_broken(void **state) {
    (void)state;
    for (int on_pipes = 0; on_pipes < 2; on_pipes++) {
        CLEANUP(client_fini) struct client *client = on_pipes ? client_on_pipes() : client_on_socket();
        client_open(client);
        client_asks(client, "1", "hold");
        until(client->loop, client->hold_count == 1);
        (void)close(client->from);
        if (!on_pipes)
            client->to = -1;
        client->from = -1;
        client_let_go(client);
        until(client->loop, client->closed == 1);
        client_settle(client);
        assert_int_equal(client->closed, 1);
    }
}

/* Asks for more than the client takes; returns how many were asked before the server stopped reading. */
static int ask_until_it_stops(struct client *client, int max) {
    int asked = 0;

    loop_enter();
    for (int quiet = 0; asked < max && quiet < 200;) {
        CLEANUP(free)
        char *line =
            xasprintf("{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"big\",\"params\":{\"len\":10000}}\n", asked);
        ssize_t n = write(client->to, line, strlen(line));
        assert_true(n < 0 || n == (ssize_t)strlen(line));
        asked += n > 0;
        quiet = loop_turn(client->loop, 0) || n > 0 ? 0 : quiet + 1;
    }
    return asked;
}

static void stops_and_goes_on_with_a_client_that_does_not_read(void **state) {
    enum { MANY = 100000 };

    (void)state;
    for (int on_pipes = 0; on_pipes < 2; on_pipes++) {
        CLEANUP(client_fini) struct client *client = on_pipes ? client_on_pipes() : client_on_socket();
        client->config->limits.max_buffered = 1 << 20;
        client_open(client);
        int asked = ask_until_it_stops(client, MANY);
        assert_true(asked < MANY);
        assert_true(client->asked * 10000 < 2 << 20); /* what was answered is in memory, and it is bounded */
        for (int id = 0; id < asked; id++) {
            json_auto_t *line = client_next_new(client);
            assert_int_equal(json_integer_value(json_object_get(line, "id")), id);
            assert_int_equal(json_string_length(json_object_get(json_object_get(line, "result"), "text")), 10000);
        }
        client_says_nothing(client);
        assert_int_equal(client->asked, asked);
        assert_int_equal(ledger_count(client->ledger), 2);
    }
}

static void serves_a_reader_that_takes_one_byte_at_a_time(void **state) {
    CLEANUP(client_fini) struct client *client = client_on_pipes();
    enum { COUNT = 30 };

    (void)state;
    client_open(client);
    for (int id = 0; id < COUNT; id++) {
        CLEANUP(free)
        char *line =
            xasprintf("{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"big\",\"params\":{\"len\":%d}}\n", id, 100 * id);
        client_send(client, line);
    }
    for (int id = 0; id < COUNT; id++) {
        while (!client_has_line(client))
            until(client->loop, client_take(client, 1) == 1);
        json_auto_t *line = client_next_new(client);
        assert_int_equal(json_integer_value(json_object_get(line, "id")), id);
        assert_int_equal(json_string_length(json_object_get(json_object_get(line, "result"), "text")), 100 * id);
    }
}

static void writes_answers_that_are_ready_together_in_one_go(void **state) {
    CLEANUP(client_fini) struct client *client = client_made();
    int pair[2];

    (void)state;
    /* Of sequenced packets each read returns what one write has sent. */
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    client->server_in = client->server_out = pair[0];
    client->to = client->from = pair[1];
    client_unblock(pair[1]);
    client_open(client);
    client_send(
        client,
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"now\"}\n{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"now\"}\n");
    client_settle(client);
    char packet[1024] = "";
    ssize_t n = read(client->from, packet, sizeof(packet) - 1);
    assert_true(n > 0);
    assert_non_null(strstr(packet, "\"id\":1"));
    assert_non_null(strstr(packet, "\"id\":2"));
}

static void *let_go(void *arg) {
    client_let_go(arg);
    return NULL;
}

static void takes_answers_from_other_threads(void **state) {
    CLEANUP(client_fini) struct client *client = client_on_socket();
    enum { COUNT = 1000 };
    pthread_t thread;

    (void)state;
    client->config->limits.max_in_flight = COUNT;
    client_open(client);
    for (int id = 0; id < COUNT; id++) {
        CLEANUP(free) char *text = xasprintf("%d", id);
        client_asks(client, text, "hold");
    }
    until(client->loop, client->hold_count == COUNT);
    assert_int_equal(pthread_create(&thread, NULL, let_go, client), 0);
    for (int id = 0; id < COUNT; id++) {
        CLEANUP(free) char *text = xasprintf("%d", id);
        client_gets_result(client, text, "hold");
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    until(client->loop, conn_is_idle(client->conn));
    client_says_nothing(client);
    assert_int_equal(ledger_count(client->ledger), 2);
}

static void resumed(void *arg) {
    ++*(int *)arg;
}

static void parks_work_while_the_client_does_not_read(void **state) {
    CLEANUP(client_fini) struct client *client = client_on_pipes();
    int count = 0;
    struct loop_task resume = {.run = resumed, .arg = &count};

    (void)state;
    client->config->limits.max_buffered = 1 << 16;
    client_open(client);
    client_asks(client, "\"h\"", "hold");
    until(client->loop, client->hold_count == 1);
    assert_false(client->hold[0]->ops->park(client->hold[0], &resume));
    int asked = ask_until_it_stops(client, 1000);
    assert_true(client->hold[0]->ops->park(client->hold[0], &resume));
    client_settle(client);
    assert_int_equal(count, 0);
    for (int id = 0; id < asked; id++)
        json_decref(client_next_new(client));
    until(client->loop, count == 1);
    client_let_go(client);
    client_gets_result(client, "\"h\"", "hold");
}

static void drops_notifications_of_calls_that_are_over_or_cannot_be_read(void **state) {
    CLEANUP(client_fini) struct client *client = client_on_pipes();

    (void)state;
    client->config->limits.max_buffered = 1 << 16;
    client_open(client);
    client_asks(client, "\"h\"", "hold");
    until(client->loop, client->hold_count == 1);
    struct call *call = client->hold[0];
    call->log_level = 0;
    call_log(call, 3, "test", "read this");
    int asked = ask_until_it_stops(client, 1000);
    call_log(call, 3, "test", "nobody reads this");
    json_auto_t *line = client_next_new(client);
    assert_string_equal(json_string_value(json_object_get(json_object_get(line, "params"), "data")), "read this");
    for (int id = 0; id < asked; id++) {
        json_auto_t *answer = client_next_new(client);
        assert_int_equal(json_integer_value(json_object_get(answer, "id")), id);
    }
    (void)call_ref(call);
    client_let_go(client);
    call_log(call, 3, "test", "too late");
    client_gets_result(client, "\"h\"", "hold");
    client_says_nothing(client);
    (void)call_unref(call);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_when_the_pipe_is_broken),
        cmocka_unit_test(stops_and_goes_on_with_a_client_that_does_not_read),
        cmocka_unit_test(serves_a_reader_that_takes_one_byte_at_a_time),
        cmocka_unit_test(writes_answers_that_are_ready_together_in_one_go),
        cmocka_unit_test(takes_answers_from_other_threads),
        cmocka_unit_test(parks_work_while_the_client_does_not_read),
        cmocka_unit_test(drops_notifications_of_calls_that_are_over_or_cannot_be_read),
    };

    log_set_level(LOG_ERROR);
    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests_name("conn/output", tests, NULL, NULL);
}
