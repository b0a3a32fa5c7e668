#include "test.h"

#include "rpc/message.h"

#include <stdlib.h>

#include "base/limits.h"

static void is(const char *line, enum message_kind kind, const char *method) {
    CLEANUP(message_fini) struct message message;
    struct theseus_error err = {0};

    if (message_read(span_of(line), &message, &err) < 0)
        print_error("%s: %s\n", line, err.message);
    assert_int_equal(err.code, ERR_UNSET);
    assert_int_equal(message.kind, kind);
    assert_true(method ? message.method && strcmp(message.method, method) == 0 : !message.method);
}

static void tells_kinds_apart(void **state) {
    (void)state;
    is("{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"a\"}", MESSAGE_REQUEST, "a");
    is("{\"jsonrpc\":\"2.0\",\"id\":\"\",\"method\":\"a\",\"params\":{}}", MESSAGE_REQUEST, "a");
    is("{\"jsonrpc\":\"2.0\",\"method\":\"a\"}", MESSAGE_NOTIFICATION, "a");
    is("{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}", MESSAGE_RESPONSE, NULL);
    is("{\"jsonrpc\":\"2.0\",\"error\":{}}", MESSAGE_RESPONSE, NULL);
    is(" [ ] ", MESSAGE_ARRAY, NULL);
    is("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\",\"anything\":[1,2]}", MESSAGE_REQUEST, "a");
}

static void refuses(const char *line, enum errc code, const char *id) {
    CLEANUP(message_fini) struct message message;
    json_auto_t *wanted = id ? json_loads(id, JSON_DECODE_ANY, NULL) : NULL;
    struct theseus_error err = {0};

    assert_int_equal(message_read(span_of(line), &message, &err), -1);
    assert_int_equal(err.code, code);
    assert_true(id ? json_equal(message.id, wanted) : !message.id);
}

static void says_what_is_no_message_and_keeps_the_id_it_made_out(void **state) {
    (void)state;
    refuses("", ERR_PARSE, NULL);
    refuses("{", ERR_PARSE, NULL);
    refuses("1", ERR_REQUEST, NULL);
    refuses("{}", ERR_REQUEST, NULL);
    refuses("{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"a\"}", ERR_REQUEST, NULL);
    refuses("{\"jsonrpc\":\"2.0\",\"id\":0.5,\"method\":\"a\"}", ERR_REQUEST, NULL);
    refuses("{\"jsonrpc\":\"2.0\",\"id\":[1],\"method\":\"a\"}", ERR_REQUEST, NULL);
    refuses("{\"jsonrpc\":2.0,\"id\":1,\"method\":\"a\"}", ERR_REQUEST, "1");
    refuses("{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"method\":null}", ERR_REQUEST, "\"x\"");
    refuses("{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"method\":\"a\",\"params\":null}", ERR_REQUEST, "\"x\"");
    refuses("{\"jsonrpc\":\"2.0\",\"id\":\"x\"}", ERR_REQUEST, "\"x\"");
    refuses("{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"method\":\"a\",\"params\":{\"a\":NaN}}", ERR_PARSE, "\"x\"");
    refuses("{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"result\":{\"a\":NaN}}", ERR_PARSE, NULL);
}

static void takes_an_id_up_to_its_limit(void **state) {
    static const char format[] = "{\"jsonrpc\":\"2.0\",\"id\":\"%0*d\",\"method\":\"a\"}";
    CLEANUP(free) char *at = xasprintf(format, LIMIT_ID_BYTES, 0);
    CLEANUP(free) char *beyond = xasprintf(format, LIMIT_ID_BYTES + 1, 0);

    (void)state;
    is(at, MESSAGE_REQUEST, "a");
    refuses(beyond, ERR_REQUEST, NULL);
}

static void key_is(const char *id, const char *expected) {
    json_auto_t *value = json_loads(id, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    CLEANUP(buf_fini) struct buf key = {0};

    assert_int_equal(message_id_key(value, &key, NULL), 0);
    assert_true(span_equals(buf_span(&key), expected));
}

static void makes_keys_that_tell_types_apart(void **state) {
    (void)state;
    key_is("1", "1");
    key_is("\"1\"", "\"1\"");
    key_is("-9223372036854775808", "-9223372036854775808");
    key_is("\"a\\u0000b\"", "\"a\\u0000b\"");
}

static void said(struct buf *out, const char *expected) {
    if (!span_equals(buf_span(out), expected))
        print_error("%.*s\n", (int)out->len, buf_span(out).data);
    assert_true(span_equals(buf_span(out), expected));
    buf_fini(out);
}

static void writes_lines(void **state) {
    CLEANUP(buf_fini) struct buf out = {0};
    json_auto_t *id = json_string("i"), *value = json_pack("{s:i}", "v", 1);
    struct theseus_error error = {0};

    (void)state;
    assert_int_equal(message_write_result(id, value, &out, NULL), 0);
    said(&out, "{\"jsonrpc\":\"2.0\",\"id\":\"i\",\"result\":{\"v\":1}}\n");
    (void)fail(&error, ERR_PARSE, "say \"no\"\n");
    assert_int_equal(message_write_error(NULL, &error, NULL, &out, NULL), 0);
    said(&out, "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32700,\"message\":\"say \\\"no\\\"\\n\"}}\n");
    assert_int_equal(message_write_error(id, &error, value, &out, NULL), 0);
    said(&out, "{\"jsonrpc\":\"2.0\",\"id\":\"i\",\"error\":{\"code\":-32700,\"message\":\"say "
               "\\\"no\\\"\\n\",\"data\":{\"v\":1}}}\n");
    assert_int_equal(message_write_notification("n", NULL, &out, NULL), 0);
    said(&out, "{\"jsonrpc\":\"2.0\",\"method\":\"n\"}\n");
    assert_int_equal(message_write_request("r", "n", value, &out, NULL), 0);
    said(&out, "{\"jsonrpc\":\"2.0\",\"id\":\"r\",\"method\":\"n\",\"params\":{\"v\":1}}\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_kinds_apart),
        cmocka_unit_test(says_what_is_no_message_and_keeps_the_id_it_made_out),
        cmocka_unit_test(takes_an_id_up_to_its_limit),
        cmocka_unit_test(makes_keys_that_tell_types_apart),
        cmocka_unit_test(writes_lines),
    };

    return cmocka_run_group_tests_name("rpc/message", tests, NULL, NULL);
}
