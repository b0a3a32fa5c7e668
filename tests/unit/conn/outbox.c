#include "test.h"

#include "conn/outbox.h"

static struct chunk *line(const char *text) {
    struct buf buf = {0};

    assert_int_equal(buf_append(&buf, span_of(text), NULL), 0);
    struct chunk *chunk = chunk_new(&buf);
    assert_non_null(chunk);
    assert_null(buf.data);
    return chunk;
}

static size_t gather(const struct outbox *outbox, char *text, int max) {
    struct iovec parts[8];
    size_t len = 0;

    int count = outbox_parts(outbox, parts, max);
    for (int i = 0; i < count; i++) {
        memcpy(text + len, parts[i].iov_base, parts[i].iov_len);
        len += parts[i].iov_len;
    }
    text[len] = '\0';
    return len;
}

static void gives_the_rest_behind_every_byte(void **state) {
    static const char all[] = "one\ntwo\nthree\n";
    enum { TOTAL = sizeof(all) - 1, BEFORE = 100 };

    (void)state;
    for (size_t gone = 0; gone <= TOTAL; gone++) {
        struct outbox outbox;
        char text[64];
        int done = 0;
        outbox_init(&outbox, BEFORE);
        outbox_add(&outbox, line("one\n"));
        outbox_add(&outbox, line("two\n"));
        outbox_add(&outbox, line("three\n"));
        assert_int_equal(outbox_bytes(&outbox), TOTAL);
        outbox_wrote(&outbox, gone);
        for (struct chunk *chunk; (chunk = outbox_take_done(&outbox)); done++)
            (void)chunk_free(chunk);
        assert_int_equal(done, (gone >= 4) + (gone >= 8) + (gone >= TOTAL));
        assert_int_equal(gather(&outbox, text, 8), TOTAL - gone);
        assert_string_equal(text, all + gone);
        assert_int_equal(outbox_bytes(&outbox), TOTAL - gone);
        outbox_fini(&outbox);
    }
}

static void gives_no_more_parts_than_asked_for(void **state) {
    struct outbox outbox;
    char text[64];

    (void)state;
    outbox_init(&outbox, 0);
    assert_int_equal(gather(&outbox, text, 8), 0);
    outbox_add(&outbox, line("a\n"));
    outbox_add(&outbox, line("b\n"));
    outbox_add(&outbox, line("c\n"));
    assert_int_equal(gather(&outbox, text, 2), 4);
    assert_string_equal(text, "a\nb\n");
    outbox_fini(&outbox);
}

static void takes_a_line_that_begins_inside_its_buffer(void **state) {
    struct buf buf = {0};

    (void)state;
    assert_int_equal(buf_append(&buf, span_of("xxline\n"), NULL), 0);
    buf_consume(&buf, 2, 0);
    CLEANUP(chunk_free) struct chunk *chunk = chunk_new(&buf);
    assert_int_equal(chunk->len, 5);
    assert_memory_equal(chunk->data, "line\n", 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_the_rest_behind_every_byte),
        cmocka_unit_test(gives_no_more_parts_than_asked_for),
        cmocka_unit_test(takes_a_line_that_begins_inside_its_buffer),
    };

    return cmocka_run_group_tests_name("conn/outbox", tests, NULL, NULL);
}
