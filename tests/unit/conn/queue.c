#include "test.h"

#include "conn/client.h"

static struct client *opened_for(int max_in_flight, int max_buffer_size) {
    struct client *client = client_on_socket();

    client->config->limits.max_in_flight = max_in_flight;
    client->config->buffer.max_buffer_size = max_buffer_size;
    client_open(client);
    return client;
}

static void asks_ten(struct client *client) {
    for (int i = 0; i < 10; i++) {
        CLEANUP(free)
        char *line = xasprintf("{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"hold\",\"params\":{\"n\":%d}}\n", i, i);
        client_send(client, line);
    }
    client_settle(client);
}

static void gets(struct client *client, int id) {
    CLEANUP(free)
    char *line = xasprintf("{\"jsonrpc\":\"2.0\",\"id\":%d,\"result\":{\"method\":\"hold\",\"n\":%d}}", id, id);

    client_gets(client, line);
}

static struct call *client_finds(struct client *client, int id) {
    json_auto_t *value = json_integer(id);

    loop_enter();
    return conn_find_call(client->conn, value);
}

/* The first, in the order in which the handlers were entered, is answered. */
static void answer_first(struct client *client) {
    struct call *call = client->hold[0];

    client->hold_count--;
    memmove(client->hold, client->hold + 1, client->hold_count * sizeof(client->hold[0]));
    client_answer(call);
}

static void works_on_so_many_and_holds_the_others_in_order(void **state) {
    static const int sizes[] = {0, 1, 3, 100};

    (void)state;
    for (int at_once = 1; at_once <= 2; at_once++) {
        for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
            CLEANUP(client_fini) struct client *client = opened_for(at_once, sizes[i]);
            asks_ten(client);
            assert_int_equal(conn_in_flight(client->conn), at_once);
            assert_int_equal(conn_held(client->conn), 10 - at_once);
            for (int id = 0; id < 10; id++) {
                until(client->loop, client->hold_count > 0);
                assert_true(client->hold_count <= (size_t)at_once);
                answer_first(client);
                gets(client, id);
            }
            assert_int_equal(conn_held(client->conn) + conn_in_flight(client->conn), 0);
            assert_true(conn_is_idle(client->conn));
            assert_int_equal(ledger_count(client->ledger), 2);
        }
    }
}

/* Until there is no room for a record of `len` bytes. */
static void fill(struct ledger *ledger, size_t len) {
    static const char text[64 << 10];
    static uint64_t number;
    struct theseus_error err = {0};
    int r = 0;

    while (r == 0) {
        struct request_record record = {2, ++number, 0, {text, len}, 0};
        r = ledger_put(ledger, &request_kind, &record, &err);
    }
}

static void answers_where_there_is_no_room_for_new_work(void **state) {
    CLEANUP(client_fini) struct client *client = opened_for(10, 0);

    (void)state;
    asks_ten(client);
    ledger_set_bound(client->ledger, LIMIT_LEDGER_RESERVE + (4 << 20));
    fill(client->ledger, 64 << 10);
    fill(client->ledger, 1);
    for (int id = 0; id < 10; id++) {
        answer_first(client);
        if (id == 0)
            fill(client->ledger, 1); /* what the answer's record has left of its segment */
        gets(client, id);
    }
    client_exec(client);
    assert_int_equal(client_take(client, 1), 0); /* none of them again */
}

static void reads_a_ping_past_held_requests(void **state) {
    CLEANUP(client_fini) struct client *client = opened_for(1, 0);

    (void)state;
    asks_ten(client);
    client_asks(client, "\"p\"", "ping");
    client_gets_result(client, "\"p\"", "ping");
    assert_int_equal(client->asked, 2);
}

static void reads_what_is_urgent_past_held_requests_whatever_its_method(void **state) {
    static const int sizes[] = {0, 3};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        CLEANUP(client_fini) struct client *client = opened_for(2, sizes[i]);
        asks_ten(client);
        client_send(client, "{\"jsonrpc\":\"2.0\",\"id\":\"u\",\"method\":\"now\",\"params\":{\"urgent\":true}}\n");
        client_cancels(client, "5");
        client_gets_result(client, "\"u\"", "now");
        client_settle(client);
        assert_int_equal(conn_held(client->conn), 7);
        assert_null(client_finds(client, 5));
    }
}

/* It was accepted by the image before, whose end it did not see. */
static void goes_on_with_what_is_urgent_first(void **state) {
    CLEANUP(client_fini) struct client *client = opened_for(2, 1);

    (void)state;
    asks_ten(client);
    client_send(client,
                "{\"jsonrpc\":\"2.0\",\"id\":\"u\",\"method\":\"hold\",\"params\":{\"urgent\":true,\"n\":1}}\n");
    client_settle(client);
    client_restart(client);
    assert_int_equal(client->hold_count, 1);
    assert_string_equal(json_string_value(client->hold[0]->id), "u");
    client_settle(client);
    assert_int_equal(conn_held(client->conn), 9); /* it took the place of one of them */
    assert_int_equal(client->hold_count, 2);
}

static void reads_a_cancellation_past_held_requests(void **state) {
    CLEANUP(client_fini) struct client *client = opened_for(1, 2);

    (void)state;
    asks_ten(client);
    client_cancels(client, "5");
    client_cancels(client, "\"6\""); /* another id */
    client_cancels(client, "0");     /* the one that runs */
    client_settle(client);
    assert_true(atomic_load(&client->hold[0]->cancelled));
    answer_first(client); /* too late */
    for (int id = 1; id < 10; id++) {
        if (id == 5)
            continue;
        until(client->loop, client->hold_count > 0);
        answer_first(client);
        gets(client, id);
    }
    client_says_nothing(client);
    assert_int_equal(client->asked, 9);
    assert_int_equal(ledger_count(client->ledger), 2);
}

static void never_cancels_an_initialize(void **state) {
    CLEANUP(client_fini) struct client *client = opened_for(1, 2);

    (void)state;
    client_asks(client, "0", "hold");
    client_asks(client, "1", "initialize");
    client_cancels(client, "1");
    client_settle(client);
    client_let_go(client);
    client_gets_result(client, "0", "hold");
    client_gets_result(client, "1", "initialize");
}

static void refuses_an_id_that_is_in_flight(void **state) {
    CLEANUP(client_fini) struct client *client = opened_for(1, 2);

    (void)state;
    client_asks(client, "1", "hold");
    client_asks(client, "1", "now");
    client_gets_error(client, NULL, -32600);
    client_asks(client, "\"1\"", "hold"); /* another id: held */
    client_asks(client, "\"1\"", "now");
    client_gets_error(client, NULL, -32600);
    client_let_go(client);
    client_gets_result(client, "1", "hold");
    until(client->loop, client->hold_count == 1);
    client_let_go(client);
    client_gets_result(client, "\"1\"", "hold");
    client_asks(client, "1", "now"); /* answered: it is free again */
    client_gets_result(client, "1", "now");
    assert_int_equal(ledger_count(client->ledger), 2);
}

static void frees_the_id_of_a_cancelled_request_for_the_very_next_line(void **state) {
    CLEANUP(client_fini) struct client *client = opened_for(1, 2);

    (void)state;
    client_send(client, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"hold\"}\n"
                        "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":1}}\n"
                        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"now\"}\n");
    client_gets_result(client, "1", "now");
    client_says_nothing(client);
}

static void lets_nobody_overtake_when_a_cancellation_frees_a_place(void **state) {
    CLEANUP(client_fini) struct client *client = opened_for(1, 2);

    (void)state;
    client_asks(client, "0", "hold");
    client_asks(client, "1", "hold");
    client_settle(client);
    client_send(client, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":0}}\n"
                        "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"now\"}\n");
    client_says_nothing(client);
    assert_int_equal(conn_held(client->conn), 1);
    client_let_go(client);
    client_gets_result(client, "1", "hold");
    client_gets_result(client, "2", "now");
}

static void goes_on_when_the_limit_is_raised(void **state) {
    CLEANUP(client_fini) struct client *client = opened_for(1, 2);

    (void)state;
    asks_ten(client);
    client->config->limits.max_in_flight = 10;
    conn_serve(client->conn);
    client_settle(client);
    assert_int_equal(client->hold_count, 10);
    for (size_t i = 0; i < 10; i++)
        assert_int_equal(json_integer_value(client->hold[i]->id), i);
}

static void cancels_everything(void **state) {
    CLEANUP(client_fini) struct client *client = opened_for(3, 2);

    (void)state;
    asks_ten(client);
    client_asks(client, "\"l\"", "listen"); /* held, like all but the first three */
    client_settle(client);
    conn_cancel_all(client->conn);
    client_says_nothing(client);
    assert_true(conn_is_idle(client->conn));
    assert_int_equal(ledger_count(client->ledger), 2);
    client_let_go(client);
    client_says_nothing(client);
}

static void stops_reading_when_too_many_bytes_are_held(void **state) {
    CLEANUP(client_fini) struct client *client = client_on_socket();
    CLEANUP(free) char *line = NULL;
    enum { PAD = 1000, LINES = 3000 };
    int sent = 0;

    (void)state;
    client->config->limits.max_in_flight = 1;
    client->config->limits.max_buffered = 1 << 20;
    client_open(client);
    client_asks(client, "\"first\"", "hold");
    for (int blocked = 0; sent < LINES && blocked < 100;) {
        if (!line)
            line = xasprintf("{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"now\",\"params\":{\"pad\":\"%0*d\"}}\n", sent,
                             PAD, 0);
        ssize_t n = write(client->to, line, strlen(line));
        if (n > 0) {
            assert_int_equal(n, strlen(line)); /* a socket of this kind takes such a line whole or not at all */
            free(TAKE_PTR(line));
            sent++;
        }
        loop_enter();
        blocked = loop_turn(client->loop, 0) || n > 0 ? 0 : blocked + 1;
    }
    assert_true(sent < LINES);
    assert_true(conn_held(client->conn) * PAD < 2 << 20);
    client_let_go(client);
    client_gets_result(client, "\"first\"", "hold");
    for (int id = 0; id < sent; id++) {
        CLEANUP(free) char *text = xasprintf("%d", id);
        client_gets_result(client, text, "now");
    }
    client_says_nothing(client);
}

static void note_id(void *arg, struct call *call) {
    CLEANUP(free) char *id = json_dumps(call->id, JSON_ENCODE_ANY);

    assert_int_equal(buf_printf(arg, NULL, "%s ", id), 0);
}

static void note_id_and_end(void *arg, struct call *call) {
    note_id(arg, call);
    loop_enter();
    conn_cancel(call->owner, call->id);
}

static void visits_its_calls_in_the_order_of_their_arrival_and_lets_the_visitor_end_them(void **state) {
    (void)state;
    for (int restarted = 0; restarted < 2; restarted++) {
        CLEANUP(client_fini) struct client *client = opened_for(3, 1);
        CLEANUP(buf_fini) struct buf seen = {0}, none = {0};
        client_asks(client, "\"b\"", "hold");
        client_asks(client, "7", "listen");
        client_asks(client, "3", "hold");
        client_asks(client, "2", "now");
        client_asks(client, "9", "hold"); /* worked on; those behind it are held */
        client_asks(client, "1", "hold");
        client_asks(client, "\"a\"", "now");
        client_gets(client, "{\"jsonrpc\":\"2.0\",\"method\":\"listening\"}");
        client_gets_result(client, "2", "now");
        client_settle(client);
        if (restarted)
            client_restart(client);
        loop_enter();
        conn_each_call(client->conn, note_id_and_end, &seen);
        assert_int_equal(buf_append(&seen, (struct span){"", 1}, NULL), 0);
        assert_string_equal(buf_span(&seen).data, "\"b\" 7 3 9 1 \"a\" ");
        conn_each_call(client->conn, note_id, &none);
        assert_int_equal(none.len, 0);
        client_says_nothing(client);
        assert_int_equal(conn_in_flight(client->conn) + conn_held(client->conn), 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(works_on_so_many_and_holds_the_others_in_order),
        cmocka_unit_test(answers_where_there_is_no_room_for_new_work),
        cmocka_unit_test(reads_a_ping_past_held_requests),
        cmocka_unit_test(reads_what_is_urgent_past_held_requests_whatever_its_method),
        cmocka_unit_test(goes_on_with_what_is_urgent_first),
        cmocka_unit_test(reads_a_cancellation_past_held_requests),
        cmocka_unit_test(never_cancels_an_initialize),
        cmocka_unit_test(refuses_an_id_that_is_in_flight),
        cmocka_unit_test(frees_the_id_of_a_cancelled_request_for_the_very_next_line),
        cmocka_unit_test(lets_nobody_overtake_when_a_cancellation_frees_a_place),
        cmocka_unit_test(goes_on_when_the_limit_is_raised),
        cmocka_unit_test(cancels_everything),
        cmocka_unit_test(stops_reading_when_too_many_bytes_are_held),
        cmocka_unit_test(visits_its_calls_in_the_order_of_their_arrival_and_lets_the_visitor_end_them),
    };

    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests_name("conn/queue", tests, NULL, NULL);
}
