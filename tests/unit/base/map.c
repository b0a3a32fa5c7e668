#include "test.h"

#include "base/map.h"

#include <stdio.h>

static void holds_one_value_for_each_key(void **state) {
    CLEANUP(map_free) struct map *map = map_new();
    int one, two;

    (void)state;
    assert_null(map_get(map, span_of("k")));
    assert_null(map_take(map, span_of("k")));
    assert_null(map_put(map, span_of("k"), &one));
    assert_ptr_equal(map_put(map, span_of("k"), &two), &one);
    assert_int_equal(map_count(map), 1);
    assert_ptr_equal(map_get(map, span_of("k")), &two);
    assert_ptr_equal(map_take(map, span_of("k")), &two);
    assert_int_equal(map_count(map), 0);
}

static void takes_any_bytes_for_keys_and_copies_them(void **state) {
    CLEANUP(map_free) struct map *map = map_new();
    char key[] = {'a', 0, 'b'};
    int one, two, empty;

    (void)state;
    assert_null(map_put(map, (struct span){key, 3}, &one));
    assert_null(map_put(map, (struct span){key, 2}, &two));
    assert_null(map_put(map, (struct span){NULL, 0}, &empty));
    key[2] = 'c';
    assert_null(map_get(map, (struct span){key, 3}));
    assert_ptr_equal(map_get(map, (struct span){(const char[]){'a', 0, 'b'}, 3}), &one);
    assert_ptr_equal(map_get(map, (struct span){key, 2}), &two);
    assert_ptr_equal(map_get(map, span_of("")), &empty);
}

struct visit {
    struct map *map;
    int next;
};

static void visit_in_order(struct span key, void *value, void *arg) {
    struct visit *visit = arg;
    char expected[16];

    (void)snprintf(expected, sizeof(expected), "%d", visit->next);
    assert_true(span_equals(key, expected));
    assert_ptr_equal(value, visit);
    if (visit->next % 2)
        assert_ptr_equal(map_take(visit->map, key), value);
    visit->next++;
}

static void visits_in_the_order_of_insertion_and_lets_the_visited_go(void **state) {
    CLEANUP(map_free) struct map *map = map_new();
    struct visit visit = {.map = map};
    char key[16];

    (void)state;
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(key, sizeof(key), "%d", i);
        assert_null(map_put(map, span_of(key), &visit));
    }
    map_each(map, visit_in_order, &visit);
    assert_int_equal(visit.next, 1000);
    assert_int_equal(map_count(map), 500);
    assert_null(map_get(map, span_of("999")));
    assert_non_null(map_get(map, span_of("998")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holds_one_value_for_each_key),
        cmocka_unit_test(takes_any_bytes_for_keys_and_copies_them),
        cmocka_unit_test(visits_in_the_order_of_insertion_and_lets_the_visited_go),
    };

    return cmocka_run_group_tests_name("base/map", tests, NULL, NULL);
}
