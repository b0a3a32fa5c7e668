#include "test.h"

#include "conn/client.h"

/*
 * A run with a bit of everything: a handshake, answers at once and late, a batch, a cancellation, a subscription, bad
 * lines, lines that are longer than allowed, CRLF, an unfinished rest. Nothing in it may depend on when it is read.
 */
static const char run[] =
    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{\"revision\":\"2025-03-26\"}}\n"
    "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"late\",\"params\":{\"n\":2}}\r\n"
    "\n"
    "{\"jsonrpc\":\"2.0\",\"id\":\"2\",\"method\":\"now\"}\n"
    "[{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"late\",\"params\":{\"n\":3}},"
    "{\"jsonrpc\":\"2.0\",\"id\":4,\"method\":\"now\"},{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"late\"}]\n"
    "this is not JSON\n"
    "{\"jsonrpc\":\"2.0\",\"id\":6,\"method\":\"late\"}\n"
    "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":3}}\n"
    "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"listen\"}\n"
    "{\"jsonrpc\":\"2.0\",\"id\":8,\"method\":\"now\",\"params\":{\"pad\":\"0123456789012345678901234567890123456789"
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789\"}}\n"
    "{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"flush\"}\n"
    "{\"jsonrpc\":\"2.0\",\"id\":20,\"method\":\"late\",\"params\":{\"n\":22}}\n"
    "{\"jsonrpc\":\"2.0\",\"id\":20,\"method\":\"now\"}\n"
    "{\"jsonrpc\":\"2.0\",\"id\":10,\"method\":\"big\",\"params\":{\"len\":6000}}\n"
    "{\"jsonrpc\":\"2.0\",\"id\":11,\"method\":\"flush\"}\n"
    "{\"jsonrpc\":\"2.0\",\"id\":12,\"meth";

enum { RUN_BYTES = sizeof(run) - 1, RUN_MAX_LINE = 250 };

static struct client *opened(struct client *client) {
    client->config->limits.max_line = RUN_MAX_LINE;
    client_open(client);
    return client;
}

/* What a client sees that is left alone. */
static void record_run(struct buf *ret_output) {
    CLEANUP(client_fini) struct client *client = opened(client_on_pipes());

    for (size_t i = 0; i < RUN_BYTES; i++) {
        client_send_bytes(client, (struct span){run + i, 1});
        client_settle(client);
    }
    for (int quiet = 0; quiet < 3; quiet++) {
        client_settle(client);
        quiet = client_take(client, SIZE_MAX) ? 0 : quiet;
    }
    *ret_output = client->got;
    client->got = (struct buf){0};
}

static void assert_same(struct span got, struct span expected, const char *what, size_t at) {
    size_t same = 0;

    while (same < got.len && same < expected.len && got.data[same] == expected.data[same])
        same++;
    if (!span_same(got, expected))
        print_error("%s %zu, from byte %zu on:\ngot %.*s\nnot %.*s\n", what, at, same, (int)(got.len - same),
                    got.data + same, (int)(expected.len - same), expected.data + same);
    assert_true(span_same(got, expected));
}

static void drain(struct client *client, size_t expected) {
    until(client->loop, client_take(client, SIZE_MAX) + client->got.len >= expected);
    client_settle(client);
    (void)client_take(client, SIZE_MAX);
}

/* How many records there are once all but the two open requests is over: connection, position, rest; request, listen.
 */
static void nothing_is_left_but_what_is_open(struct client *client) {
    client_cancels(client, "7"); /* the rest of a line is before it: it is no cancellation */
    client_cancels(client, "7");
    client_settle(client);
    assert_int_equal(ledger_count(client->ledger), 2);
}

static void goes_on_after_every_byte_of_input(void **state) {
    CLEANUP(buf_fini) struct buf expected = {0};

    (void)state;
    record_run(&expected);
    for (size_t cut = 0; cut <= RUN_BYTES; cut++) {
        CLEANUP(client_fini) struct client *client = opened(cut % 2 ? client_on_pipes() : client_on_socket());
        client_send_bytes(client, (struct span){run, cut});
        client_settle(client);
        client_restart(client);
        client_send_bytes(client, (struct span){run + cut, RUN_BYTES - cut});
        drain(client, expected.len);
        assert_same(buf_span(&client->got), buf_span(&expected), "restarted after input byte", cut);
        nothing_is_left_but_what_is_open(client);
    }
}

static void goes_on_when_restarted_at_each_byte_of_one_run(void **state) {
    CLEANUP(client_fini) struct client *client = opened(client_on_pipes());
    CLEANUP(buf_fini) struct buf expected = {0};

    (void)state;
    record_run(&expected);
    for (size_t i = 0; i < RUN_BYTES; i++) {
        client_send_bytes(client, (struct span){run + i, 1});
        client_settle(client);
        client_restart(client);
    }
    drain(client, expected.len);
    assert_same(buf_span(&client->got), buf_span(&expected), "restarted", RUN_BYTES);
    nothing_is_left_but_what_is_open(client);
}

static void goes_on_when_restarted_before_anything_was_done(void **state) {
    CLEANUP(buf_fini) struct buf expected = {0};

    (void)state;
    record_run(&expected);
    for (size_t part = 1; part < 80; part++) {
        CLEANUP(client_fini) struct client *client = opened(client_on_pipes());
        loop_enter();
        for (size_t i = 0; i < RUN_BYTES; i += part) {
            client_send_bytes(client, (struct span){run + i, RUN_BYTES - i < part ? RUN_BYTES - i : part});
            for (size_t turns = 0; turns < part % 4; turns++)
                (void)loop_turn(client->loop, 0); /* read perhaps, and not always served or written */
            client_restart(client);
        }
        drain(client, expected.len);
        assert_same(buf_span(&client->got), buf_span(&expected), "in parts of", part);
    }
}

static void goes_on_after_every_byte_that_the_reader_takes(void **state) {
    CLEANUP(client_fini) struct client *client = opened(client_on_pipes());
    CLEANUP(buf_fini) struct buf expected = {0};

    (void)state;
    record_run(&expected);
    client_send(client, run);
    while (client->got.len < expected.len) {
        until(client->loop, client_take(client, 1) == 1);
        client_restart(client);
        client_settle(client);
    }
    drain(client, expected.len);
    assert_same(buf_span(&client->got), buf_span(&expected), "taken byte by byte", expected.len);
    nothing_is_left_but_what_is_open(client);
}

static void note_output(void *arg, const void *record) {
    const struct output_record *output = record;
    struct ledger *copy = arg;

    assert_int_equal(ledger_put(copy, &output_kind, output, NULL), 0);
}

static void note_conn(void *arg, const void *record) {
    assert_int_equal(ledger_put(arg, &conn_kind, record, NULL), 0);
}

struct written {
    struct ledger *ledger;
    uint64_t written;
};

static void drop_written(void *arg, const void *record) {
    const struct output_record *output = record;
    struct written *written = arg;

    if (output->offset + output->bytes.len <= written->written)
        assert_int_equal(ledger_drop(written->ledger, &output_kind, output, NULL), 0);
}

/* As if the last write before the restart had ended behind this very byte. */
static void writes_from_exactly_where_it_had_got_to(void **state) {
    CLEANUP(ledger_free) struct ledger *recorded = ledger_new();
    static const char three[] = "{\"first\":1}\n{\"the second\":2}\n{\"third\":3}\n";
    enum { TOTAL = sizeof(three) - 1, BEFORE = 1000 };

    (void)state;
    const struct conn_record conn = {.conn = 1, .transport = span_of("stdio")};
    assert_int_equal(ledger_put(recorded, &conn_kind, &conn, NULL), 0);
    for (size_t at = 0; at < TOTAL;) {
        size_t len = strcspn(three + at, "\n") + 1;
        const struct output_record output = {.conn = 1, .offset = BEFORE + at, .bytes = {three + at, len}};
        assert_int_equal(ledger_put(recorded, &output_kind, &output, NULL), 0);
        at += len;
    }
    for (size_t gone = 0; gone <= TOTAL; gone++) {
        CLEANUP(client_fini) struct client *client = client_on_socket();
        struct written written = {client->ledger, BEFORE + gone};
        const struct position_record position = {.conn = 1, .cut = 7, .written = BEFORE + gone};
        ledger_each(recorded, &conn_kind, note_conn, client->ledger);
        ledger_each(recorded, &output_kind, note_output, client->ledger);
        assert_int_equal(ledger_put(client->ledger, &position_kind, &position, NULL), 0);
        ledger_each(client->ledger, &output_kind, drop_written, &written);
        client_restart(client);
        drain(client, TOTAL - gone);
        assert_same(buf_span(&client->got), (struct span){three + gone, TOTAL - gone}, "behind byte", gone);
        assert_int_equal(ledger_count(client->ledger), 2); /* connection, position */
        client_asks(client, "1", "now");                   /* and the input goes on at its own offset */
        buf_fini(&client->got);
        client_gets_result(client, "1", "now");
    }
}

static void answers_each_request_once_whatever_is_restarted_when(void **state) {
    (void)state;
    for (unsigned seed = 1; seed <= 60; seed++) {
        CLEANUP(client_fini) struct client *client = seed % 2 ? client_on_pipes() : client_on_socket();
        unsigned dice = seed;
        int sent = 0, answered[200] = {0}, count = 0;
        client->config->limits.max_in_flight = 1 + (int)(seed % 5);
        client->config->buffer.max_buffer_size = (int)(seed % 3);
        client_open(client);
        while (count < 200) {
            if (sent < 200 && rand_r(&dice) % 3) {
                static const char *const methods[] = {"now", "now", "hold", "now"};
                CLEANUP(free)
                char *line =
                    xasprintf("{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"%s\"}\n", sent, methods[rand_r(&dice) % 4]);
                client_send(client, line);
                sent++;
            }
            loop_enter();
            if (rand_r(&dice) % 4)
                (void)loop_turn(client->loop, 0);
            if (rand_r(&dice) % 5 == 0 || sent == 200)
                client_let_go(client);
            if (rand_r(&dice) % 4 == 0)
                client_restart(client);
            (void)client_take(client, rand_r(&dice) % 100);
            while (client_has_line(client)) {
                json_auto_t *line = client_next_new(client);
                json_int_t id = json_integer_value(json_object_get(line, "id"));
                assert_int_equal(answered[id]++, 0);
                count++;
            }
        }
        client_says_nothing(client);
        assert_int_equal(ledger_count(client->ledger), 2);
    }
}

static void carries_the_session(void **state) {
    CLEANUP(client_fini) struct client *client = client_on_socket();

    (void)state;
    client_open(client);
    loop_enter();
    struct session *session = conn_session(client->conn);
    CLEANUP(free) char *id = xstrdup(session->id);
    session_begin(session, revision_find("2025-06-18"), json_object(), NULL);
    json_decref(session->client);
    session->initialized = true;
    session->log_level = 0;
    session->directory = xstrdup("/somewhere");
    conn_session_changed(client->conn);
    client_restart(client);
    session = conn_session(client->conn);
    assert_string_equal(session->id, id);
    assert_string_equal(session->revision->name, "2025-06-18");
    assert_true(session->initialized && json_is_object(session->client) && !session->capabilities);
    assert_int_equal(session->log_level, 0);
    assert_string_equal(session->directory, "/somewhere");
    assert_string_equal(conn_transport(client->conn), "stdio");
}

static void refuses_to_restore_what_has_no_record(void **state) {
    CLEANUP(client_fini) struct client *client = client_on_socket();
    struct theseus_error err = {0};

    (void)state;
    loop_enter();
    assert_int_equal(conn_restore(&client->conn, &client->host, 1, client->server_in, client->server_out, &err), -1);
    assert_int_equal(err.code, ERR_MISSING);
}

static void refuses_descriptors_that_are_none(void **state) {
    CLEANUP(client_fini) struct client *client = client_on_socket();
    struct theseus_error err = {0};

    (void)state;
    loop_enter();
    assert_int_equal(conn_open(&client->conn, &client->host, 1, 9999, client->server_out, "stdio", &err), -1);
    assert_non_null(strstr(err.message, "the client's input"));
    assert_int_equal(ledger_count(client->ledger), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(goes_on_after_every_byte_of_input),
        cmocka_unit_test(goes_on_when_restarted_at_each_byte_of_one_run),
        cmocka_unit_test(goes_on_when_restarted_before_anything_was_done),
        cmocka_unit_test(goes_on_after_every_byte_that_the_reader_takes),
        cmocka_unit_test(writes_from_exactly_where_it_had_got_to),
        cmocka_unit_test(answers_each_request_once_whatever_is_restarted_when),
        cmocka_unit_test(carries_the_session),
        cmocka_unit_test(refuses_to_restore_what_has_no_record),
        cmocka_unit_test(refuses_descriptors_that_are_none),
    };

    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests_name("conn/conn", tests, NULL, NULL);
}
