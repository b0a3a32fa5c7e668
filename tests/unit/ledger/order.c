#include "test.h"

#include "ledger/order.h"

#include <stdlib.h>

enum { MANY = 5000, KEY_MAX = 64 };

struct keys {
    struct item items[MANY];
    char bytes[MANY][KEY_MAX];
};

static uint64_t next_random(uint64_t *seed) {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static void set_key(struct keys *keys, size_t i, size_t len) {
    keys->items[i] = (struct item){{keys->bytes[i], len}, i};
}

static void assert_in_order(const struct item *items, size_t count) {
    CLEANUP(free) bool *seen = xcalloc(count, sizeof(*seen));

    for (size_t i = 0; i < count; i++) {
        assert_false(seen[items[i].place]);
        seen[items[i].place] = true;
        if (i == 0)
            continue;
        struct span a = items[i - 1].key, b = items[i].key;
        int order = memcmp(a.data, b.data, a.len < b.len ? a.len : b.len);
        assert_true(order < 0 || (order == 0 && a.len <= b.len));
    }
}

static void orders_keys_of_every_length(void **state) {
    CLEANUP(free) struct keys *keys = xcalloc(1, sizeof(*keys));
    uint64_t seed = 88172645463325252u;

    (void)state;
    for (size_t i = 0; i < MANY; i++) {
        size_t len = next_random(&seed) % KEY_MAX;
        for (size_t k = 0; k < len; k++)
            keys->bytes[i][k] = (char)(next_random(&seed) % 3 + 254); /* few values, beyond the sign too */
        set_key(keys, i, len);
    }
    order_items(keys->items, MANY);
    assert_in_order(keys->items, MANY);
}

static void orders_numbers_with_a_long_beginning_in_common(void **state) {
    CLEANUP(free) struct keys *keys = xcalloc(1, sizeof(*keys));

    (void)state;
    for (size_t i = 0; i < MANY; i++) {
        size_t number = i * 7919 % MANY;
        keys->bytes[i][30] = (char)(number >> 8);
        keys->bytes[i][31] = (char)number;
        set_key(keys, i, 32);
    }
    order_items(keys->items, MANY);
    assert_in_order(keys->items, MANY);
}

/* Each key begins with all the shorter ones: as many levels as there are keys. */
static void orders_keys_that_begin_with_each_other(void **state) {
    CLEANUP(free) char *bytes = xcalloc(1, MANY);
    CLEANUP(free) struct item *items = xcalloc(MANY, sizeof(*items));

    (void)state;
    for (size_t i = 0; i < MANY; i++)
        items[i] = (struct item){{bytes, MANY - 1 - i}, i};
    order_items(items, MANY);
    assert_in_order(items, MANY);
}

static void orders_few_and_none(void **state) {
    CLEANUP(free) struct keys *keys = xcalloc(1, sizeof(*keys));

    (void)state;
    order_items(keys->items, 0);
    for (size_t count = 1; count < 40; count++) {
        for (size_t i = 0; i < count; i++) {
            keys->bytes[i][0] = (char)(count - i);
            set_key(keys, i, 1);
        }
        order_items(keys->items, count);
        assert_in_order(keys->items, count);
    }
}

static void orders_numbers(void **state) {
    CLEANUP(free) uint64_t *numbers = xcalloc(MANY, sizeof(*numbers));
    uint64_t seed = 1234567;

    (void)state;
    for (size_t i = 0; i < MANY; i++)
        numbers[i] = next_random(&seed) >> (i % 5 * 13);
    order_numbers(numbers, MANY);
    for (size_t i = 1; i < MANY; i++)
        assert_true(numbers[i - 1] <= numbers[i]);
    order_numbers(numbers, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(orders_keys_of_every_length),
        cmocka_unit_test(orders_numbers_with_a_long_beginning_in_common),
        cmocka_unit_test(orders_keys_that_begin_with_each_other),
        cmocka_unit_test(orders_few_and_none),
        cmocka_unit_test(orders_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
