#include "test.h"

#include "rpc/frame.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/limits.h"

/* Gives the bytes in parts of `part` and writes down what comes out: "<line>" and "!" for one that is too long. */
static void cut(struct frame *frame, struct span bytes, size_t part, struct buf *said) {
    for (size_t at = 0; at < bytes.len; at += part) {
        size_t len = bytes.len - at < part ? bytes.len - at : part;
        struct span line;
        char *room = frame_room(frame, len);
        assert_non_null(room);
        memcpy(room, bytes.data + at, len);
        frame_added(frame, len);
        int r;
        while ((r = frame_next(frame, &line)) != FRAME_MORE) {
            assert_true(r == 0 || r == FRAME_TOO_LONG);
            if (r == 0)
                assert_int_equal(buf_printf(said, NULL, "<%.*s>", (int)line.len, line.data), 0);
            else
                assert_int_equal(buf_printf(said, NULL, "!"), 0);
        }
    }
}

static void says(const char *bytes, size_t max_line, const char *expected) {
    for (size_t part = 1; part <= strlen(bytes); part++) {
        CLEANUP(frame_free) struct frame *frame = frame_new(max_line, 0, false);
        CLEANUP(buf_fini) struct buf said = {0};
        cut(frame, span_of(bytes), part, &said);
        if (!span_equals(buf_span(&said), expected))
            print_error("in parts of %zu: %.*s\n", part, (int)said.len, said.data);
        assert_true(span_equals(buf_span(&said), expected));
    }
}

static void cuts_at_line_ends_wherever_the_parts_end(void **state) {
    (void)state;
    says("one\ntwo\n\nthree\nrest", 10, "<one><two><><three>");
    says("one\r\ntwo\r\n\r\nth\rree\r\r\nrest\r", 10, "<one><two><><th\rree\r>");
    says("\n\n\n", 0, "<><><>");
    says("\r\n\r\n", 0, "<><>");
}

static void takes_max_line_and_not_one_byte_more(void **state) {
    (void)state;
    says("12345\n", 5, "<12345>");
    says("12345\r\n", 5, "<12345>");
    says("123456\n", 5, "!");
    says("123456\r\n", 5, "!");
    says("12345\r\r\n", 5, "!");
    says("a\n123456\nb\n", 5, "<a>!<b>");
    says("123456789012345678901234567890\nb\n", 5, "!<b>");
    says("x\n", 0, "!");
}

static void reports_a_long_line_before_its_end_comes(void **state) {
    CLEANUP(frame_free) struct frame *frame = frame_new(5, 0, false);
    CLEANUP(buf_fini) struct buf said = {0};

    (void)state;
    cut(frame, span_of("123456"), 1, &said); /* the sixth might have been a CR */
    assert_int_equal(said.len, 0);
    cut(frame, span_of("7"), 1, &said);
    assert_true(span_equals(buf_span(&said), "!"));
    assert_true(frame_skipping(frame));
    assert_int_equal(frame_rest(frame).len, 0);
    assert_int_equal(frame_offset(frame), 7);
    cut(frame, span_of("89012345678"), 3, &said);
    assert_int_equal(frame_offset(frame), 18);
    cut(frame, span_of("\nok\n"), 1, &said);
    assert_true(span_equals(buf_span(&said), "!<ok>"));
    assert_false(frame_skipping(frame));
}

static void goes_on_from_any_offset(void **state) {
    static const char bytes[] = "one\r\n123456789\ntwo\n\nthree\n";
    enum { TOTAL = sizeof(bytes) - 1, MAX = 5 };
    CLEANUP(buf_fini) struct buf expected = {0};

    (void)state;
    CLEANUP(frame_free) struct frame *whole = frame_new(MAX, 0, false);
    cut(whole, (struct span){bytes, TOTAL}, TOTAL, &expected);
    for (size_t at = 0; at <= TOTAL; at++) {
        CLEANUP(frame_free) struct frame *before = frame_new(MAX, 0, false);
        CLEANUP(buf_fini) struct buf said = {0};
        cut(before, (struct span){bytes, at}, 1, &said);
        uint64_t offset = frame_offset(before);
        assert_int_equal(offset + frame_rest(before).len, at);
        CLEANUP(frame_free) struct frame *after = frame_new(MAX, offset, frame_skipping(before));
        cut(after, (struct span){bytes + offset, TOTAL - offset}, 4, &said);
        assert_true(span_same(buf_span(&said), buf_span(&expected)));
        assert_int_equal(frame_offset(after), TOTAL);
    }
}

static void follows_a_limit_that_changes(void **state) {
    CLEANUP(frame_free) struct frame *frame = frame_new(3, 0, false);
    CLEANUP(buf_fini) struct buf said = {0};

    (void)state;
    cut(frame, span_of("1234"), 4, &said);
    frame_set_max_line(frame, 10);
    cut(frame, span_of("5678\n1234"), 9, &said);
    frame_set_max_line(frame, 2);
    cut(frame, span_of("5\n1\n"), 4, &said);
    assert_true(span_equals(buf_span(&said), "<12345678>!<1>"));
}

static void keeps_a_line_readable_until_room_is_asked_for(void **state) {
    CLEANUP(frame_free) struct frame *frame = frame_new(100, 0, false);
    struct span first, second;

    (void)state;
    char *room = frame_room(frame, 8);
    assert_non_null(room);
    memcpy(room, "one\ntwo\n", 8);
    frame_added(frame, 8);
    assert_int_equal(frame_next(frame, &first), 0);
    assert_int_equal(frame_next(frame, &second), 0);
    struct span none;
    assert_int_equal(frame_next(frame, &none), FRAME_MORE);
    assert_true(span_equals(first, "one"));
    assert_true(span_equals(second, "two"));
}

/* What a line of this length leaves behind is seen by where the next bytes go: the memory is another, smaller one. */
static void gives_the_memory_of_a_long_line_back(void **state) {
    enum { LONG = 4 << 20 };
    CLEANUP(frame_free) struct frame *frame = frame_new(LONG, 0, false);
    CLEANUP(free) char *text = xcalloc(LONG + 1, 1);
    CLEANUP(buf_fini) struct buf said = {0};
    struct span line;

    (void)state;
    memset(text, 'x', LONG);
    text[LONG] = '\n';
    for (size_t at = 0; at < LONG + 1; at += LIMIT_READ_CHUNK) {
        size_t len = LONG + 1 - at < LIMIT_READ_CHUNK ? LONG + 1 - at : LIMIT_READ_CHUNK;
        char *room = frame_room(frame, LIMIT_READ_CHUNK);
        assert_non_null(room);
        memcpy(room, text + at, len);
        frame_added(frame, len);
    }
    assert_int_equal(frame_next(frame, &line), 0);
    assert_int_equal(line.len, LONG);
    const char *before = line.data;
    const char *room = frame_room(frame, LIMIT_READ_CHUNK);
    assert_true(room < before || room >= before + 2 * LONG); /* as much as the buffer may have grown to */
    cut(frame, span_of("ok\n"), 3, &said);
    assert_true(span_equals(buf_span(&said), "<ok>"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cuts_at_line_ends_wherever_the_parts_end),
        cmocka_unit_test(takes_max_line_and_not_one_byte_more),
        cmocka_unit_test(reports_a_long_line_before_its_end_comes),
        cmocka_unit_test(goes_on_from_any_offset),
        cmocka_unit_test(follows_a_limit_that_changes),
        cmocka_unit_test(keeps_a_line_readable_until_room_is_asked_for),
        cmocka_unit_test(gives_the_memory_of_a_long_line_back),
    };

    return cmocka_run_group_tests_name("rpc/frame", tests, NULL, NULL);
}
