#include "test.h"

#include <signal.h>

#include "conn/client.h"

static void make_resumable(struct client *client) {
    loop_enter();
    session_make_secret(conn_session(client->conn));
    conn_be_resumable(client->conn);
    conn_session_changed(client->conn);
}

/* The end of its output that the server writes to, the input being as it was. */
static void stop_taking(struct client *client) {
    (void)close(client->from);
    client->from = -1;
}

static void waits_when_a_write_finds_that_nobody_reads(void **state) {
    CLEANUP(client_fini) struct client *client = client_on_pipes();

    (void)state;
    client_open(client);
    make_resumable(client);
    client_asks(client, "1", "hold");
    until(client->loop, client->hold_count == 1);
    stop_taking(client);
    client_let_go(client);
    until(client->loop, conn_waits(client->conn) || client->closed > 0);
    client_settle(client);
    assert_true(conn_waits(client->conn));
    assert_int_equal(client->closed, 0);
    assert_true(conn_away_ms(client->conn) > 0);
}

static void waits_when_the_input_ends_and_its_calls_go_on(void **state) {
    CLEANUP(client_fini) struct client *client = client_on_pipes();

    (void)state;
    client_open(client);
    make_resumable(client);
    client_asks(client, "1", "hold");
    until(client->loop, client->hold_count == 1);
    client_hang_up(client);
    until(client->loop, conn_waits(client->conn));
    client_let_go(client);
    client_settle(client);
    assert_int_equal(client->closed, 0);
    assert_int_equal(conn_in_flight(client->conn), 0);
    client->config->listen.session_expiry = 0;
    loop_enter();
    conn_serve(client->conn); /* new limits */
    until(client->loop, client->closed == 1);
    assert_true(conn_has_expired(client->conn));
}

static void does_not_wait_for_one_who_has_said_goodbye(void **state) {
    CLEANUP(client_fini) struct client *client = client_on_pipes();

    (void)state;
    client_open(client);
    make_resumable(client);
    loop_enter();
    conn_bye(client->conn);
    client_asks(client, "1", "hold");
    until(client->loop, client->hold_count == 1);
    client_hang_up(client);
    client_let_go(client);
    client_gets_result(client, "1", "hold");
    until(client->loop, client->closed == 1);
    assert_false(conn_has_expired(client->conn));
}

/* Another connection of the same client, which says one thing and waits. */
struct second {
    struct conn *conn;
    int fd;
};

static struct second second_open(struct client *client, uint64_t number) {
    static const char line[] = "{\"jsonrpc\":\"2.0\",\"id\":\"again\",\"method\":\"late\"}\n";
    struct second second = {.fd = -1};
    size_t before = client->late_count;
    int pair[2];

    loop_enter();
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    second.fd = pair[1];
    client_unblock(pair[0]);
    client_unblock(pair[1]);
    assert_int_equal(conn_accept(&second.conn, &client->host, number, pair[0], getuid(), NULL), 0);
    conn_start(second.conn);
    assert_int_equal(write(second.fd, line, sizeof(line) - 1), sizeof(line) - 1);
    until(client->loop, client->late_count == before + 1);
    assert_true(conn_is_only_asking(second.conn));
    return second;
}

static void check_fates(const json_t *fates, const char *const *expected, size_t count) {
    assert_int_equal(json_array_size(fates), count);
    for (size_t i = 0; i < count; i++)
        assert_string_equal(json_string_value(json_object_get(json_array_get(fates, i), "fate")), expected[i]);
}

/* 1 is answered and has come, 2 is answered and has not, 3 runs, 4 was never heard of. */
static void tells_each_request_its_fate_and_says_again_what_has_not_come(void **state) {
    static const char *const expected[] = {"answered", "pending", "never seen"};
    CLEANUP(client_fini) struct client *client = client_on_pipes();

    (void)state;
    client_open(client);
    make_resumable(client);
    client_asks(client, "1", "now");
    client_gets_result(client, "1", "now");
    client_asks(client, "2", "now");
    client_gets_result(client, "2", "now");
    client_asks(client, "3", "hold");
    until(client->loop, client->hold_count == 1);
    struct second second = second_open(client, 2);
    json_auto_t *unanswered = json_pack("[iii]", 2, 3, 4), *result = json_object();
    const struct conn_resumption resumption = {client->late[0]->id, unanswered, result, 1};
    loop_enter();
    assert_int_equal(conn_take_over(client->conn, second.conn, &resumption, NULL), 0);
    assert_true(conn_is_lost(second.conn));
    (void)close(client->from);
    client->from = dup(second.fd);
    json_auto_t *first = client_next_new(client);
    check_fates(json_object_get(json_object_get(first, "result"), "fates"), expected, ARRAY_SIZE(expected));
    client_gets_result(client, "2", "now");
    client_let_go(client);
    client_gets_result(client, "3", "hold");
    client_says_nothing(client);
    loop_enter();
    second.conn = conn_end(second.conn);
    (void)close(second.fd);
}

/* The client goes on with another stream, having had so many answers; what became of one request. */
static void takes_over(struct client *client, uint64_t number, uint64_t received, int asked, const char *fate) {
    struct second second = second_open(client, number);
    json_auto_t *unanswered = json_pack("[i]", asked), *result = json_object();
    const struct conn_resumption resumption = {client->late[client->late_count - 1]->id, unanswered, result, received};

    loop_enter();
    assert_int_equal(conn_take_over(client->conn, second.conn, &resumption, NULL), 0);
    second.conn = conn_end(second.conn);
    (void)close(client->from);
    if (client->to != client->from)
        (void)close(client->to);
    client->to = client->from = second.fd;
    json_auto_t *first = client_next_new(client);
    check_fates(json_object_get(json_object_get(first, "result"), "fates"), &fate, 1);
}

/* Of two answers the second has not come, and is not kept any more. */
static void goes_on_counting_from_what_has_come(void **state) {
    CLEANUP(client_fini) struct client *client = client_on_pipes();

    (void)state;
    client_open(client);
    make_resumable(client);
    for (int i = 1; i <= 2; i++) {
        CLEANUP(free) char *id = xasprintf("%d", i);
        client_asks(client, id, "now");
        client_gets_result(client, id, "now");
    }
    loop_enter();
    conn_acknowledge(client->conn, 2);
    takes_over(client, 2, 1, 4, "never seen");
    client_asks(client, "3", "now");
    client_gets_result(client, "3", "now");
    conn_acknowledge(client->conn, 2); /* the first and the third */
    takes_over(client, 3, 2, 4, "never seen");
    client_asks(client, "5", "now");
    client_gets_result(client, "5", "now"); /* and not the third once more */
    client_says_nothing(client);
}

static void takes_no_stream_on_which_something_is_still_to_be_said(void **state) {
    CLEANUP(client_fini) struct client *client = client_on_pipes();
    CLEANUP(buf_fini) struct buf line = {0};

    (void)state;
    client_open(client);
    struct second second = second_open(client, 2);
    assert_int_equal(buf_append(&line, span_of("{}\n"), NULL), 0);
    loop_enter();
    conn_say(second.conn, &line);
    assert_false(conn_is_only_asking(second.conn));
    second.conn = conn_end(second.conn);
    (void)close(second.fd);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits_when_a_write_finds_that_nobody_reads),
        cmocka_unit_test(waits_when_the_input_ends_and_its_calls_go_on),
        cmocka_unit_test(does_not_wait_for_one_who_has_said_goodbye),
        cmocka_unit_test(tells_each_request_its_fate_and_says_again_what_has_not_come),
        cmocka_unit_test(goes_on_counting_from_what_has_come),
        cmocka_unit_test(takes_no_stream_on_which_something_is_still_to_be_said),
    };

    log_set_level(LOG_ERROR);
    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests_name("conn/resume", tests, NULL, NULL);
}
