#include "test.h"

#include "connect/wire.h"

#include <stdlib.h>

static json_t *read_line(struct buf *line) {
    json_t *message = json_loadb(line->data + line->start, line->len, 0, NULL);

    assert_non_null(message);
    buf_fini(line);
    return message;
}

static void says_hello_or_resumes(void **state) {
    CLEANUP(buf_fini) struct buf line = {0};
    json_auto_t *ids = json_pack("[i, s]", 1, "b");

    (void)state;
    assert_int_equal(wire_write_greeting("/x", NULL, NULL, ids, 0, &line, NULL), 0);
    json_auto_t *hello = read_line(&line);
    assert_string_equal(json_string_value(json_object_get(hello, "method")), "theseus/hello");
    assert_null(json_object_get(json_object_get(hello, "params"), "unanswered"));
    assert_int_equal(wire_write_greeting("/x", "one", "secret", ids, 7, &line, NULL), 0);
    json_auto_t *resume = read_line(&line);
    const json_t *params = json_object_get(resume, "params");
    assert_string_equal(json_string_value(json_object_get(params, "secret")), "secret");
    assert_int_equal(json_integer_value(json_object_get(params, "received")), 7);
    assert_true(json_equal(json_object_get(params, "unanswered"), ids));
}

static void refuses_a_directory_that_no_message_can_hold(void **state) {
    CLEANUP(buf_fini) struct buf line = {0};
    struct theseus_error err = {0};

    (void)state;
    assert_int_equal(wire_write_greeting("/\xff", NULL, NULL, NULL, 0, &line, &err), -1);
    assert_non_null(strstr(err.message, "UTF-8"));
}

/* 0 with the greeting, or -1. The message is the caller's, who looks at what it has. */
static int read_answer(const char *text, struct message *message, struct wire_greeting *greeting) {
    assert_int_equal(message_read(span_of(text), message, NULL), 0);
    return wire_read_greeting(message, greeting, NULL);
}

static void knows_the_answers(void **state) {
    static const struct {
        const char *text;
        int r;
        enum wire_answer answer;
    } rows[] = {
        {"{\"jsonrpc\":\"2.0\",\"id\":\"theseus:1\",\"result\":{\"session\":\"a\",\"secret\":\"b\"}}", 0, WIRE_HELLO},
        {"{\"jsonrpc\":\"2.0\",\"id\":\"theseus:2\",\"result\":{\"session\":\"a\",\"fates\":[]}}", 0, WIRE_RESUME},
        {"{\"jsonrpc\":\"2.0\",\"id\":\"theseus:2\",\"error\":{\"code\":-32600,\"message\":\"no\"}}", 0, WIRE_REFUSED},
        {"{\"jsonrpc\":\"2.0\",\"id\":\"theseus:1\",\"result\":{\"session\":\"a\"}}", -1, 0},
        {"{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{}}", -1, 0},
        {"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\"}", -1, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP(message_fini) struct message message = {0};
        struct wire_greeting greeting;
        assert_int_equal(read_answer(rows[i].text, &message, &greeting), rows[i].r);
        if (rows[i].r == 0)
            assert_int_equal(greeting.answer, rows[i].answer);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_hello_or_resumes),
        cmocka_unit_test(refuses_a_directory_that_no_message_can_hold),
        cmocka_unit_test(knows_the_answers),
    };

    return cmocka_run_group_tests_name("connect/wire", tests, NULL, NULL);
}
