#include "test.h"

#include "conn/client.h"

static struct client *opened(struct client *client) {
    client_open(client);
    return client;
}

static struct client *opened_on(int pipes) {
    return opened(pipes ? client_on_pipes() : client_on_socket());
}

static void goes_on_with_the_very_descriptors_of_before(void **state) {
    (void)state;
    for (int on_pipes = 0; on_pipes < 2; on_pipes++) {
        CLEANUP(client_fini) struct client *client = opened_on(on_pipes);
        struct stream in = client->conn->in, out = client->conn->out;
        for (int i = 0; i < 3; i++) {
            client_asks(client, "1", "now");
            client_gets_result(client, "1", "now");
            client_exec(client);
            assert_memory_equal(&client->conn->in, &in, sizeof(in));
            assert_memory_equal(&client->conn->out, &out, sizeof(out));
            assert_true(fcntl(in.fd, F_GETFD) & FD_CLOEXEC);
            assert_true(fcntl(out.fd, F_GETFD) & FD_CLOEXEC);
        }
        client_hang_up(client);
        until(client->loop, client->closed == 1);
    }
}

/* At every byte of a request. */
static void reads_on_after_an_exec_inside_a_request(void **state) {
    static const char line[] = "{\"jsonrpc\":\"2.0\",\"id\":\"k\",\"method\":\"now\",\"params\":{\"n\":[1,2,3]}}\r\n";

    (void)state;
    for (int on_pipes = 0; on_pipes < 2; on_pipes++) {
        CLEANUP(client_fini) struct client *client = opened_on(on_pipes);
        for (size_t k = 0; k <= strlen(line); k++) {
            client_send_bytes(client, (struct span){line, k});
            if (k % 2) /* else it lies in the kernel still */
                client_settle(client);
            client_exec(client);
            client_send(client, line + k);
            client_gets(client, "{\"jsonrpc\":\"2.0\",\"id\":\"k\",\"result\":{\"method\":\"now\",\"n\":[1,2,3]}}");
            client_says_nothing(client);
            assert_int_equal(ledger_count(client->ledger), 2);
        }
    }
}

/* At every byte of an answer that the reader has taken when it stops. The answer is larger than the kernel's buffer. */
static void writes_on_after_an_exec_inside_an_answer(void **state) {
    static const char ask[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"big\",\"params\":{\"len\":4200}}\n";

    (void)state;
    for (int on_pipes = 0; on_pipes < 2; on_pipes++) {
        CLEANUP(client_fini) struct client *client = opened_on(on_pipes);
        int size = 4096;
        if (!on_pipes)
            assert_int_equal(setsockopt(client->server_out, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
        for (size_t k = 0; k <= 4300; k += k < 64 || k > 4200 ? 1 : 61) {
            client_send(client, ask);
            client_asks(client, "2", "now");
            client_settle(client);
            size_t left = k;
            for (int i = 0; i < 8 && left > 0; i++, client_settle(client))
                left -= client_take(client, left);
            client_exec(client);
            json_auto_t *answer = client_next_new(client);
            assert_int_equal(json_string_length(json_object_get(json_object_get(answer, "result"), "text")), 4200);
            client_gets_result(client, "2", "now");
            client_says_nothing(client);
            assert_int_equal(ledger_count(client->ledger), 2);
        }
    }
}

/* Both together, with requests held and running, and the exec after each read and each write. */
static void answers_each_request_once_across_many_execs(void **state) {
    enum { COUNT = 200 };

    (void)state;
    for (int on_pipes = 0; on_pipes < 2; on_pipes++) {
        CLEANUP(client_fini) struct client *client = on_pipes ? client_on_pipes() : client_on_socket();
        client->config->limits.max_in_flight = 3;
        client->config->buffer.max_buffer_size = 2;
        client_open(client);
        int answered[COUNT] = {0};
        for (int id = 0; id < COUNT; id++) {
            CLEANUP(free)
            char *line = xasprintf("{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"%s\",\"params\":{\"len\":%d}}\n", id,
                                   id % 3 ? "big" : "late", 37 * id);
            client_send_bytes(client, (struct span){line, strlen(line) / 2});
            (void)loop_turn(client->loop, 0);
            client_exec(client);
            client_send(client, line + strlen(line) / 2);
            (void)loop_turn(client->loop, 0);
            client_exec(client);
        }
        for (int id = 0; id < COUNT; id++) {
            until(client->loop, (client_flush(client), client_take(client, 4096)) + client_has_line(client) > 0 &&
                                    client_has_line(client));
            if (id % 7 == 0)
                client_exec(client);
            json_auto_t *answer = client_next_new(client);
            answered[json_integer_value(json_object_get(answer, "id"))]++;
        }
        for (int id = 0; id < COUNT; id++)
            assert_int_equal(answered[id], 1);
        client_says_nothing(client);
        assert_int_equal(ledger_count(client->ledger), 2);
    }
}

static void leaves_the_descriptors_to_whoever_comes_next_when_it_fails(void **state) {
    CLEANUP(client_fini) struct client *client = opened_on(1);
    int in = client->conn->in.fd, out = client->conn->out.fd;
    struct theseus_error err = {0};

    (void)state;
    loop_enter();
    int kept = dup(out), file = dup(client->from);
    client->conn = conn_free(client->conn);
    assert_int_equal(conn_restore(&client->conn, &client->host, 1, -1, -1, &err), -1);
    assert_non_null(strstr(err.message, "the client's input: "));
    assert_non_null(strstr(err.message, "was not handed over"));
    assert_int_equal(dup2(client->server_in, in), in);
    assert_int_equal(dup2(file, out), out); /* something else, which can only be read */
    err = (struct theseus_error){0};
    assert_int_equal(conn_restore(&client->conn, &client->host, 1, -1, -1, &err), -1);
    assert_non_null(strstr(err.message, "the client's output: "));
    assert_non_null(strstr(err.message, "cannot be written"));
    assert_true(fcntl(in, F_GETFD) >= 0 && fcntl(out, F_GETFD) >= 0);
    assert_int_equal(dup2(kept, out), out);
    (void)close(kept);
    (void)close(file);
    err = (struct theseus_error){0};
    assert_int_equal(conn_restore(&client->conn, &client->host, 1, -1, -1, &err), 0);
    conn_start(client->conn);
    client_asks(client, "1", "now");
    client_gets_result(client, "1", "now");
}

static char *next_line_new(struct client *client) {
    until(client->loop, client_take(client, SIZE_MAX) + client_has_line(client) > 0 && client_has_line(client));
    struct span got = buf_span(&client->got);
    size_t len = (size_t)((const char *)memchr(got.data, '\n', got.len) - got.data);

    char *line = xstrndup(got.data, len);
    buf_consume(&client->got, len + 1, 65536);
    return line;
}

/* Half of an answer has been taken: that line is ended, and comes again as a whole. */
static void ends_a_line_of_which_it_is_not_certain_how_much_was_written(void **state) {
    CLEANUP(client_fini) struct client *client = opened_on(1);
    struct theseus_error err = {0};

    (void)state;
    client_send(client, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"big\",\"params\":{\"len\":9000}}\n");
    client_asks(client, "2", "now");
    client_settle(client);
    loop_enter();
    assert_int_equal(client_readopt(client, &err), 0);
    conn_unknown_position(client->conn);
    conn_start(client->conn);
    CLEANUP(free) char *half = next_line_new(client);
    assert_int_equal(strlen(half), 4096); /* what the pipe had taken */
    client_exec(client);                  /* and from here on all is certain again */
    json_auto_t *whole = client_next_new(client);
    assert_int_equal(json_integer_value(json_object_get(whole, "id")), 1);
    assert_int_equal(json_string_length(json_object_get(json_object_get(whole, "result"), "text")), 9000);
    client_gets_result(client, "2", "now");
    client_says_nothing(client);
    assert_int_equal(ledger_count(client->ledger), 2);
}

static void begins_with_the_end_of_a_line_where_nothing_waits(void **state) {
    CLEANUP(client_fini) struct client *client = opened_on(0);
    struct theseus_error err = {0};

    (void)state;
    client_asks(client, "1", "now");
    client_gets_result(client, "1", "now");
    loop_enter();
    assert_int_equal(client_readopt(client, &err), 0);
    conn_unknown_position(client->conn);
    conn_start(client->conn);
    client_asks(client, "2", "now");
    CLEANUP(free) char *line = next_line_new(client);
    assert_string_equal(line, "");
    client_gets_result(client, "2", "now");
    client_says_nothing(client);
}

/* Ready to be started, and not yet. */
static struct client *heard(void) {
    struct client *client = opened_on(0);
    struct theseus_error err = {0};

    loop_enter();
    client_asks(client, "1", "hold");
    client_settle(client);
    assert_int_equal(client_readopt(client, &err), 0);
    conn_hear(client->conn);
    return client;
}

static void answers_pings_and_holds_the_rest_until_it_is_started(void **state) {
    CLEANUP(client_fini) struct client *client = heard();

    (void)state;
    loop_enter();
    client_asks(client, "2", "now");
    client_send(client, "{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"health\",\"params\":{\"urgent\":true}}\n");
    client_asks(client, "4", "ping");
    client_gets_result(client, "4", "ping");
    client_says_nothing(client);
    assert_int_equal(client->hold_count, 0);
    conn_start(client->conn);
    client_gets_result(client, "3", "health");
    client_gets_result(client, "2", "now");
    client_let_go(client);
    client_gets_result(client, "1", "hold");
}

/* What was held while it was heard comes along like everything that is held. */
static void gives_what_it_has_heard_to_the_next_image(void **state) {
    CLEANUP(client_fini) struct client *client = heard();

    (void)state;
    client_asks(client, "2", "now");
    client_asks(client, "3", "ping");
    client_gets_result(client, "3", "ping");
    client_cancels(client, "1");
    client_settle(client);
    client_exec(client);
    client_gets_result(client, "2", "now");
    client_says_nothing(client);
}

static void finds_the_end_of_the_input_when_it_is_started(void **state) {
    CLEANUP(client_fini) struct client *client = heard();

    (void)state;
    loop_enter();
    client_cancels(client, "1");
    client_asks(client, "2", "ping");
    client_hang_up(client);
    client_gets_result(client, "2", "ping");
    client_settle(client);
    assert_int_equal(client->ended, 0);
    conn_start(client->conn);
    until(client->loop, client->ended > 0);
    assert_int_equal(client->ended, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(goes_on_with_the_very_descriptors_of_before),
        cmocka_unit_test(reads_on_after_an_exec_inside_a_request),
        cmocka_unit_test(writes_on_after_an_exec_inside_an_answer),
        cmocka_unit_test(answers_each_request_once_across_many_execs),
        cmocka_unit_test(leaves_the_descriptors_to_whoever_comes_next_when_it_fails),
        cmocka_unit_test(ends_a_line_of_which_it_is_not_certain_how_much_was_written),
        cmocka_unit_test(begins_with_the_end_of_a_line_where_nothing_waits),
        cmocka_unit_test(answers_pings_and_holds_the_rest_until_it_is_started),
        cmocka_unit_test(gives_what_it_has_heard_to_the_next_image),
        cmocka_unit_test(finds_the_end_of_the_input_when_it_is_started),
    };

    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests_name("conn/restore", tests, NULL, NULL);
}
