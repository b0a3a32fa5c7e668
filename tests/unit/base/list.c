#include "test.h"

#include "base/list.h"

struct item {
    int number;
    struct list link;
};

static int numbers(const struct list *head) {
    int all = 0;

    for (struct list *link = head->next; link != head; link = link->next) {
        assert_ptr_equal(link->next->prev, link);
        all = 10 * all + list_entry(link, struct item, link)->number;
    }
    return all;
}

static void keeps_the_order_of_appending(void **state) {
    struct item one = {.number = 1}, two = {.number = 2}, three = {.number = 3};
    struct list head;

    (void)state;
    list_init(&head);
    assert_true(list_empty(&head));
    assert_null(list_first(&head, struct item, link));
    list_append(&head, &one.link);
    list_append(&head, &two.link);
    list_append(&head, &three.link);
    assert_int_equal(numbers(&head), 123);
    assert_ptr_equal(list_first(&head, struct item, link), &one);
    list_remove(&two.link);
    assert_int_equal(numbers(&head), 13);
}

static void removes_twice_without_harm(void **state) {
    struct item one = {.number = 1}, never = {.number = 0};
    struct list head;

    (void)state;
    list_init(&head);
    list_remove(&never.link); /* zeroed memory */
    assert_false(list_is_linked(&never.link));
    list_append(&head, &one.link);
    assert_true(list_is_linked(&one.link));
    list_remove(&one.link);
    list_remove(&one.link);
    assert_false(list_is_linked(&one.link));
    assert_true(list_empty(&head));
}

static void moves_all_elements(void **state) {
    struct item one = {.number = 1}, two = {.number = 2}, three = {.number = 3};
    struct list from, to;

    (void)state;
    list_init(&from);
    list_init(&to);
    list_splice(&to, &from);
    assert_true(list_empty(&to));
    list_append(&to, &one.link);
    list_append(&from, &two.link);
    list_append(&from, &three.link);
    list_splice(&to, &from);
    assert_int_equal(numbers(&to), 123);
    assert_true(list_empty(&from));
}

static void lets_the_visited_one_be_removed(void **state) {
    struct item items[5];
    struct list head;
    int seen = 0;

    (void)state;
    list_init(&head);
    for (int i = 0; i < 5; i++) {
        items[i].number = i + 1;
        list_append(&head, &items[i].link);
    }
    list_for_each (link, &head) {
        seen = 10 * seen + list_entry(link, struct item, link)->number;
        if (list_entry(link, struct item, link)->number % 2)
            list_remove(link);
    }
    assert_int_equal(seen, 12345);
    assert_int_equal(numbers(&head), 24);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_the_order_of_appending),
        cmocka_unit_test(removes_twice_without_harm),
        cmocka_unit_test(moves_all_elements),
        cmocka_unit_test(lets_the_visited_one_be_removed),
    };

    return cmocka_run_group_tests_name("base/list", tests, NULL, NULL);
}
