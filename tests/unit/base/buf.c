#include "test.h"

#include "base/buf.h"

#include <stdlib.h>

#include "base/huge.h"
#include "base/mem.h"

static void append(struct buf *buf, const char *text) {
    assert_int_equal(buf_append(buf, span_of(text), NULL), 0);
}

static void grows_at_its_end_and_gives_way_at_its_front(void **state) {
    CLEANUP(buf_fini) struct buf buf = {0};

    (void)state;
    assert_int_equal(buf_span(&buf).len, 0);
    append(&buf, "hello ");
    append(&buf, "");
    append(&buf, "world");
    assert_true(span_equals(buf_span(&buf), "hello world"));
    buf_consume(&buf, 6, 0);
    assert_true(span_equals(buf_span(&buf), "world"));
    assert_int_equal(buf_printf(&buf, NULL, " %d", 42), 0);
    assert_true(span_equals(buf_span(&buf), "world 42"));
}

/* In all sizes around those at which it moves or grows. */
static void keeps_every_byte_in_its_place(void **state) {
    CLEANUP(buf_fini) struct buf buf = {0};
    size_t in = 0, out = 0;

    (void)state;
    for (size_t round = 0; round < 2000; round++) {
        char *room = buf_reserve(&buf, round % 97);
        assert_non_null(room);
        for (size_t i = 0; i < round % 97; i++)
            room[i] = (char)(in++ % 251);
        buf_added(&buf, round % 97);
        size_t take = buf.len < round % 89 ? buf.len : round % 89;
        for (size_t i = 0; i < take; i++)
            assert_int_equal(buf_span(&buf).data[i], (char)(out++ % 251));
        buf_consume(&buf, take, 1 << 20);
    }
    assert_int_equal(in - out, buf.len);
}

static void gives_memory_back_when_it_is_empty_and_large(void **state) {
    CLEANUP(buf_fini) struct buf buf = {0};

    (void)state;
    append(&buf, "x");
    buf_consume(&buf, 1, 4096);
    assert_non_null(buf.data); /* small: kept */
    assert_non_null(buf_reserve(&buf, 8192));
    buf_added(&buf, 8192);
    buf_consume(&buf, 8191, 4096);
    assert_non_null(buf.data); /* not empty */
    buf_consume(&buf, 1, 4096);
    assert_null(buf.data);
    append(&buf, "again");
    assert_true(span_equals(buf_span(&buf), "again"));
}

static void becomes_a_string_that_is_the_callers(void **state) {
    struct buf buf = {0};

    (void)state;
    CLEANUP(free) char *empty = buf_take_string(&buf);
    assert_string_equal(empty, "");
    append(&buf, "--text");
    buf_consume(&buf, 2, 0);
    CLEANUP(free) char *text = buf_take_string(&buf);
    assert_string_equal(text, "text");
    assert_null(buf.data);
    assert_int_equal(buf.len, 0);
}

static void refuses_what_no_memory_can_hold(void **state) {
    CLEANUP(buf_fini) struct buf buf = {0};
    struct theseus_error err = {0};

    (void)state;
    append(&buf, "kept");
    assert_null(buf_reserve(&buf, SIZE_MAX / 4));
    assert_int_equal(buf_append(&buf, (struct span){"", SIZE_MAX / 4}, &err), -1);
    assert_int_equal(err.code, ERR_MEMORY);
    assert_null(buf_reserve(&buf, SIZE_MAX - 1));
    assert_true(span_equals(buf_span(&buf), "kept"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grows_at_its_end_and_gives_way_at_its_front),
        cmocka_unit_test(keeps_every_byte_in_its_place),
        cmocka_unit_test(gives_memory_back_when_it_is_empty_and_large),
        cmocka_unit_test(becomes_a_string_that_is_the_callers),
        cmocka_unit_test(refuses_what_no_memory_can_hold),
    };

    return cmocka_run_group_tests_name("base/buf", tests, NULL, NULL);
}
