#include "test.h"

#include "base/clock.h"
#include "conn/client.h"
#include "loop/starve.h"

static struct client *opened(struct client *client) {
    client_open(client);
    return client;
}

struct bad {
    const char *line;
    int code;       /* 0: ignored */
    const char *id; /* of the error; NULL: it has none */
};

static void answers_or_ignores_bad_lines(void **state) {
    static const struct bad bad[] = {
        {"nonsense", -32700, NULL},
        {"{", -32700, NULL},
        {"{\"a\":1}}", -32700, NULL},
        {"[]", -32600, NULL},
        {"[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"now\"}]", -32600, NULL},
        {"{}", -32600, NULL},
        {"5", -32600, NULL},
        {"\"text\"", -32600, NULL},
        {"null", -32600, NULL},
        {"{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"now\"}", -32600, NULL},
        {"{\"jsonrpc\":\"2.0\",\"id\":1.5,\"method\":\"now\"}", -32600, NULL},
        {"{\"jsonrpc\":\"2.0\",\"id\":1.0,\"method\":\"now\"}", -32600, NULL},
        {"{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"now\"}", -32600, NULL},
        {"{\"jsonrpc\":\"2.0\",\"id\":true,\"method\":\"now\"}", -32600, NULL},
        {"{\"jsonrpc\":\"1.0\",\"id\":4,\"method\":\"now\"}", -32600, "4"},
        {"{\"id\":\"x\",\"method\":\"now\"}", -32600, "\"x\""},
        {"{\"jsonrpc\":\"2.0\",\"id\":4,\"method\":7}", -32600, "4"},
        {"{\"jsonrpc\":\"2.0\",\"id\":4,\"method\":\"now\",\"params\":[]}", -32600, "4"},
        {"{\"jsonrpc\":\"2.0\",\"id\":4,\"method\":\"no\\u0000w\"}", -32600, "4"},
        {"{\"jsonrpc\":\"2.0\",\"id\":4}", -32600, "4"},
        {"{\"jsonrpc\":\"2.0\",\"id\":4,\"id\":5,\"method\":\"now\"}", -32700, NULL},
        {"{\"jsonrpc\":\"2.0\",\"id\":4,\"method\":\"\xff\"}", -32700, "4"},
        {"", 0, NULL},
        {"\r", 0, NULL},
        {"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/whatever\"}", 0, NULL},
        {"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\"}", 0, NULL},
        {"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":[]}}", 0, NULL},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}", 0, NULL},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{}}", 0, NULL},
    };
    CLEANUP(client_fini) struct client *client = opened(client_on_socket());

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        client_send(client, bad[i].line);
        client_send(client, "\n");
        if (bad[i].code)
            client_gets_error(client, bad[i].id, bad[i].code);
        else
            client_says_nothing(client);
        client_asks(client, "\"next\"", "now"); /* and all is well */
        client_gets_result(client, "\"next\"", "now");
    }
    assert_int_equal(client->notified, 1);
    assert_int_equal(client->responses, 2);
    client_says_nothing(client);
    assert_int_equal(ledger_count(client->ledger), 2);
}

static void refuses_bytes_of_zero(void **state) {
    static const char inside[] = "{\"jsonrpc\":\"2.0\",\0\"id\":1,\"method\":\"now\"}\n";
    static const char behind[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"now\"}\0\n";
    CLEANUP(client_fini) struct client *client = opened(client_on_socket());

    (void)state;
    client_send_bytes(client, (struct span){inside, sizeof(inside) - 1});
    client_gets_error(client, NULL, -32700);
    client_send_bytes(client, (struct span){behind, sizeof(behind) - 1});
    client_gets_error(client, "1", -32700); /* which it said before */
}

static void takes_an_escaped_zero_and_gives_ids_back_as_they_came(void **state) {
    CLEANUP(client_fini) struct client *client = opened(client_on_socket());

    (void)state;
    client_asks(client, "\"a\\u0000b\"", "now");
    until(client->loop, client_take(client, SIZE_MAX) + client_has_line(client) > 0 && client_has_line(client));
    assert_non_null(strstr(buf_span(&client->got).data, "\"id\":\"a\\u0000b\""));
    buf_fini(&client->got);
    client_asks(client, "9223372036854775807", "now");
    client_gets_result(client, "9223372036854775807", "now");
    client_asks(client, "-1", "now");
    client_gets_result(client, "-1", "now");
}

static char *nested(size_t levels) {
    char *text = xcalloc(2 * levels + 1, 1);

    memset(text, '[', levels);
    memset(text + levels, ']', levels);
    return text;
}

static void takes_128_levels_and_no_more(void **state) {
    CLEANUP(client_fini) struct client *client = opened(client_on_socket());
    static const char format[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"now\",\"params\":{\"deep\":%s}}\n";

    (void)state;
    for (size_t levels = LIMIT_JSON_DEPTH; levels <= LIMIT_JSON_DEPTH + 1; levels++) {
        CLEANUP(free) char *deep = nested(levels - 2); /* the message and its params are the others */
        CLEANUP(free) char *line = xasprintf(format, deep);
        client_send(client, line);
        if (levels == LIMIT_JSON_DEPTH)
            client_gets_result(client, "1", "now");
        else
            client_gets_error(client, "1", -32600);
    }
}

static void takes_a_line_of_max_line_and_not_one_byte_more(void **state) {
    static const char head[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"now\",\"params\":{\"pad\":\"",
                      tail[] = "\"}}";
    CLEANUP(client_fini) struct client *client = client_on_socket();
    enum { MAX = 300000 };

    (void)state;
    client->config->limits.max_line = MAX;
    client_open(client);
    for (size_t more = 0; more < 4; more++) { /* LF at the limit, CRLF, one byte more with LF and CRLF */
        const char *end = more % 2 ? "\r\n" : "\n";
        size_t pad = MAX + more / 2 - strlen(head) - strlen(tail);
        CLEANUP(free) char *line = xasprintf("%s%0*d%s%s", head, (int)pad, 0, tail, end);
        client_send(client, line);
        if (more < 2)
            client_gets_result(client, "1", "now");
        else
            client_gets_error(client, NULL, -32600);
        client_says_nothing(client);
    }
    assert_int_equal(ledger_count(client->ledger), 2);
}

static void throws_the_rest_of_a_long_line_away_also_after_a_restart(void **state) {
    CLEANUP(client_fini) struct client *client = client_on_socket();
    char part[100];

    (void)state;
    client->config->limits.max_line = 1000;
    client_open(client);
    memset(part, 'x', sizeof(part));
    for (int i = 0; i < 50; i++) {
        client_send_bytes(client, (struct span){part, sizeof(part)});
        client_settle(client);
        client_restart(client);
    }
    client_send(client, "\n");
    client_asks(client, "1", "now");
    client_gets_error(client, NULL, -32600);
    client_gets_result(client, "1", "now");
    client_says_nothing(client);
}

static void reads_a_long_line_that_comes_in_any_parts(void **state) {
    static const size_t parts[] = {1, 7, 4095, 4096, 4097, 30000, 100000};
    enum { PAD = 50000 };
    CLEANUP(free)
    char *line = xasprintf("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"now\",\"params\":{\"n\":\"%0*d\"}}\n", PAD, 0);

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        CLEANUP(client_fini) struct client *client = opened(client_on_socket());
        for (size_t at = 0; at < strlen(line); at += parts[i]) {
            client_send_bytes(client, (struct span){line + at, strnlen(line + at, parts[i])});
            if (parts[i] > 1 || at % 97 == 0)
                client_settle(client);
            if (parts[i] > 1 || at % 997 == 0)
                client_restart(client);
        }
        json_auto_t *answer = client_next_new(client);
        assert_int_equal(json_string_length(json_object_get(json_object_get(answer, "result"), "n")), PAD);
        assert_int_equal(ledger_count(client->ledger), 2);
    }
}

/* One read brings whole lines and the beginning of another: of that much is only so far recorded as it was read. */
static void reads_on_behind_lines_that_came_with_the_beginning_of_another(void **state) {
    static const size_t beginnings[] = {1, 4095, 4096, 4097, 20000, 60000};
    enum { PAD = 70000 };
    CLEANUP(free)
    char *last = xasprintf("{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"now\",\"params\":{\"n\":\"%0*d\"}}\n", PAD, 0);

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(beginnings); i++) {
        CLEANUP(client_fini) struct client *client = opened(client_on_socket());
        client_asks(client, "1", "now");
        client_gets_result(client, "1", "now");
        client_restart(client); /* with nothing left to be cut */
        CLEANUP(free)
        char *together = xasprintf("{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"now\"}\n%.*s", (int)beginnings[i], last);
        client_send(client, together);
        client_gets_result(client, "2", "now");
        client_restart(client);
        client_restart(client);
        client_send(client, last + beginnings[i]);
        json_auto_t *answer = client_next_new(client);
        assert_int_equal(json_string_length(json_object_get(json_object_get(answer, "result"), "n")), PAD);
        assert_int_equal(ledger_count(client->ledger), 2);
    }
}

static void takes_a_million_tiny_lines(void **state) {
    CLEANUP(client_fini) struct client *client = opened(client_on_socket());
    enum { LINES = 1000000, AT_ONCE = 10000 };
    CLEANUP(free) char *lines = xcalloc(2 * AT_ONCE + 1, 1);

    (void)state;
    for (size_t i = 0; i < AT_ONCE; i++)
        memcpy(lines + 2 * i, i % 2 ? "\r\n" : "\n\n", 2);
    for (size_t sent = 0; sent < LINES; sent += AT_ONCE)
        client_send(client, lines);
    for (size_t i = 0; i < 1000; i++)
        client_send(client, "1\n");
    for (size_t i = 0; i < 1000; i++)
        client_gets_error(client, NULL, -32600);
    client_says_nothing(client);
}

static void reads_files_that_are_always_ready(void **state) {
    CLEANUP(client_fini) struct client *client = client_on_pipes();
    static const char text[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"now\"}\n{\"jsonrpc\":\"2.0\",\"id\":2,\"me";
    FILE *file = tmpfile();

    (void)state;
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, sizeof(text) - 1, file), sizeof(text) - 1);
    rewind(file);
    assert_true(dup2(fileno(file), client->server_in) >= 0);
    (void)fclose(file);
    client_open(client);
    client_gets_result(client, "1", "now");
    until(client->loop, client->closed == 1);
    assert_int_equal(client->ended, 1);
    client_says_nothing(client);
}

static void ends_at_once_where_there_is_no_input(void **state) {
    CLEANUP(client_fini) struct client *client = client_on_pipes();
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    (void)state;
    assert_true(dup2(null, client->server_in) >= 0);
    assert_true(dup2(null, client->server_out) >= 0);
    (void)close(null);
    client_open(client);
    until(client->loop, client->closed == 1);
    assert_int_equal(client->ended, 1);
}

static void answers_what_is_in_flight_after_the_end_of_input(void **state) {
    (void)state;
    for (int on_pipes = 0; on_pipes < 2; on_pipes++) {
        CLEANUP(client_fini) struct client *client = opened(on_pipes ? client_on_pipes() : client_on_socket());
        client_asks(client, "1", "hold");
        client_asks(client, "2", "big");
        client_asks(client, "3", "hold");
        client_send(client, "{\"jsonrpc\":\"2.0\",\"id\":4,\"method\":\"n");
        client_hang_up(client);
        until(client->loop, client->ended == 1);
        client_settle(client);
        assert_int_equal(client->closed, 0);
        client_let_go(client);
        until(client->loop, client->closed == 1);
        client_gets(client, "{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{\"text\":\"\"}}");
        client_gets_result(client, "1", "hold");
        client_gets_result(client, "3", "hold");
        client_says_nothing(client);
    }
}

static void cuts_nothing_short_when_reading_is_stopped(void **state) {
    CLEANUP(client_fini) struct client *client = opened(client_on_socket());

    (void)state;
    loop_enter();
    client_settle(client);
    conn_stop_reading(client->conn);
    client_asks(client, "1", "now");
    client_says_nothing(client);
    client_restart(client);
    client_gets_result(client, "1", "now");
}

static void knows_when_it_handled_its_first_line_and_its_last(void **state) {
    CLEANUP(client_fini) struct client *client = opened(client_on_socket());

    (void)state;
    assert_int_equal(conn_first_line_ns(client->conn), 0);
    assert_int_equal(conn_last_line_ns(client->conn), 0);
    client_send(client, "{\"jsonrpc\"");
    client_settle(client);
    assert_int_equal(conn_first_line_ns(client->conn), 0); /* no line yet */
    int64_t before = clock_now_ns();
    client_send(client, ":\"2.0\",\"id\":1,\"method\":\"now\"}\n");
    client_gets_result(client, "1", "now");
    int64_t first = conn_first_line_ns(client->conn), last = conn_last_line_ns(client->conn);
    assert_true(before <= first && first <= last && last <= clock_now_ns());
    client_asks(client, "2", "now");
    client_gets_result(client, "2", "now");
    assert_int_equal(conn_first_line_ns(client->conn), first);
    assert_true(conn_last_line_ns(client->conn) > last);
    client_restart(client);
    assert_int_equal(conn_first_line_ns(client->conn), 0);
    client_send(client, "nonsense\n"); /* of any kind */
    client_gets_error(client, NULL, -32700);
    assert_true(conn_first_line_ns(client->conn) > last);
}

/* More than there is memory for, in one line, of which the client can send no more than fits. */
static void send_without_end(struct client *client) {
    static char bytes[4096];
    size_t sent = 0;

    memset(bytes, 'x', sizeof(bytes));
    while (!client->starved && sent < 16 << 20) {
        ssize_t n = write(client->to, bytes, sizeof(bytes));
        loop_enter();
        sent += n > 0 ? (size_t)n : 0;
        (void)loop_turn(client->loop, n > 0 ? 0 : 10);
    }
    assert_true(client->starved > 0);
}

static void reads_on_when_there_is_memory_again(void **state) {
    (void)state;
    if (!STARVE_WORKS)
        skip(); /* before anything is made: it jumps over what would undo it */
    CLEANUP(client_fini) struct client *client = opened(client_on_socket());
    client->patient = true;
    client_send(client, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"now\",\"params\":{\"text\":\"");
    const struct rlimit before = starve();
    send_without_end(client);
    loop_enter();
    bool is_starved = conn_is_starved(client->conn);
    until(client->loop, client->starved > 1);
    (void)setrlimit(RLIMIT_AS, &before);
    assert_true(is_starved);
    client_send(client, "\"}}\n");
    client_gets_result(client, "1", "now");
    assert_false(conn_is_starved(client->conn));
}

static void refuses_what_it_will_never_have_memory_for(void **state) {
    (void)state;
    if (!STARVE_WORKS)
        skip(); /* before anything is made: it jumps over what would undo it */
    CLEANUP(client_fini) struct client *client = opened(client_on_socket());
    client_asks(client, "1", "now");
    client_gets_result(client, "1", "now");
    const struct rlimit before = starve();
    send_without_end(client);
    (void)setrlimit(RLIMIT_AS, &before);
    client_gets_error(client, NULL, -32603);
    client_send(client, "x\n{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"now\"}\n");
    client_gets_result(client, "2", "now");
    client_restart(client); /* nothing of the line is in the records */
    client_asks(client, "3", "now");
    client_gets_result(client, "3", "now");
}

static void sees_the_end_of_input_behind_what_cannot_be_read(void **state) {
    (void)state;
    if (!STARVE_WORKS)
        skip(); /* before anything is made: it jumps over what would undo it */
    CLEANUP(client_fini) struct client *client = opened(client_on_socket());
    client->patient = true;
    client_asks(client, "1", "hold");
    client_settle(client);
    const struct rlimit before = starve();
    send_without_end(client);
    client_hang_up(client);
    until(client->loop, client->ended == 1);
    (void)setrlimit(RLIMIT_AS, &before);
    client_let_go(client);
    client_gets_error(client, NULL, -32603);
    client_gets_result(client, "1", "hold");
    until(client->loop, client->closed == 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_or_ignores_bad_lines),
        cmocka_unit_test(refuses_bytes_of_zero),
        cmocka_unit_test(takes_an_escaped_zero_and_gives_ids_back_as_they_came),
        cmocka_unit_test(takes_128_levels_and_no_more),
        cmocka_unit_test(takes_a_line_of_max_line_and_not_one_byte_more),
        cmocka_unit_test(throws_the_rest_of_a_long_line_away_also_after_a_restart),
        cmocka_unit_test(reads_a_long_line_that_comes_in_any_parts),
        cmocka_unit_test(reads_on_behind_lines_that_came_with_the_beginning_of_another),
        cmocka_unit_test(takes_a_million_tiny_lines),
        cmocka_unit_test(reads_files_that_are_always_ready),
        cmocka_unit_test(ends_at_once_where_there_is_no_input),
        cmocka_unit_test(answers_what_is_in_flight_after_the_end_of_input),
        cmocka_unit_test(cuts_nothing_short_when_reading_is_stopped),
        cmocka_unit_test(reads_on_when_there_is_memory_again),
        cmocka_unit_test(refuses_what_it_will_never_have_memory_for),
        cmocka_unit_test(sees_the_end_of_input_behind_what_cannot_be_read),
        cmocka_unit_test(knows_when_it_handled_its_first_line_and_its_last),
    };

    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests_name("conn/input", tests, NULL, NULL);
}
