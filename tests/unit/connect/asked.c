#include "test.h"

#include "connect/asked.h"

#include <stdlib.h>

static struct asked *add(struct asks *asks, const char *id, const char *line) {
    json_auto_t *value = id ? json_string(id) : NULL;
    struct asked_text *text = asked_text_new(span_of(line));
    struct asked *asked = asks_add(asks, value, text, 1000);

    asked_text_drop(text);
    return asked;
}

static void assert_sent(const struct asks *asks, const char *expected) {
    json_auto_t *ids = asks_sent_ids_new(asks);
    CLEANUP(free) char *text = json_dumps(ids, JSON_COMPACT);

    assert_string_equal(text, expected);
}

static void goes_from_held_to_sent_and_back(void **state) {
    struct asks asks;

    (void)state;
    asks_init(&asks);
    struct asked *a = add(&asks, "a", "line a"), *b = add(&asks, "b", "line b");
    assert_int_equal(asks.held_count, 2);
    assert_int_equal(asks.bytes, 12);
    asks_set_sent(&asks, a, 6);
    asks_set_sent(&asks, b, 12);
    assert_sent(&asks, "[\"a\",\"b\"]");
    assert_int_equal(asks.held_count, 0);
    asks_set_held(&asks, b, 2000);
    asks_set_held(&asks, a, 2000);
    assert_sent(&asks, "[]");
    assert_ptr_equal(list_first(&asks.held, struct asked, link), a); /* the order of before */
    json_auto_t *id = json_string("b");
    assert_ptr_equal(asks_find(&asks, id), b);
    asks_drop(&asks, b);
    assert_null(asks_find(&asks, id));
    assert_int_equal(asks.held_count, 1);
    assert_int_equal(asks.bytes, 6);
    asks_fini(&asks);
}

static void what_needs_no_answer_leaves_when_it_is_sent(void **state) {
    struct asks asks;

    (void)state;
    asks_init(&asks);
    struct asked *note = add(&asks, NULL, "note");
    assert_int_equal(asks.held_count, 0);
    asks_set_sent(&asks, note, 4);
    assert_int_equal(asks.bytes, 0);
    assert_true(list_empty(&asks.held) && list_empty(&asks.sent));
    asks_fini(&asks);
}

static void counts_an_id_that_is_there_already(void **state) {
    struct asks asks;

    (void)state;
    asks_init(&asks);
    struct asked *a = add(&asks, "a", "one");
    assert_ptr_equal(add(&asks, "a", "two"), a);
    assert_int_equal(a->doubled, 1);
    assert_int_equal(asks.held_count, 1);
    asks_fini(&asks);
}

static void lines_of_many_requests_are_shared(void **state) {
    struct asks asks;
    json_auto_t *one = json_integer(1), *two = json_integer(2);
    struct asked_text *text = asked_text_new(span_of("[both]"));

    (void)state;
    asks_init(&asks);
    struct asked *first = asks_add(&asks, one, text, 0), *second = asks_add(&asks, two, text, 0);
    assert_ptr_equal(first->text, second->text);
    asked_text_drop(text);
    asks_drop(&asks, first);
    assert_memory_equal(second->text->data, "[both]", 6);
    asks_fini(&asks);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(goes_from_held_to_sent_and_back),
        cmocka_unit_test(what_needs_no_answer_leaves_when_it_is_sent),
        cmocka_unit_test(counts_an_id_that_is_there_already),
        cmocka_unit_test(lines_of_many_requests_are_shared),
    };

    return cmocka_run_group_tests_name("connect/asked", tests, NULL, NULL);
}
