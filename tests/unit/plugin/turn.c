#include "test.h"

#include "plugin/turn.h"

static void gives_turns_in_order(void **state) {
    struct list second = {0}, third = {0};
    struct turn turn;

    (void)state;
    turn_init(&turn);
    assert_true(turn_enter(&turn, NULL));
    assert_false(turn_enter(&turn, &second));
    assert_false(turn_enter(&turn, &third));
    assert_false(turn_enter(&turn, NULL));
    assert_ptr_equal(turn_leave(&turn), &second);
    assert_ptr_equal(turn_leave(&turn), &third);
    assert_false(turn_enter(&turn, NULL));
    assert_null(turn_leave(&turn));
    assert_true(turn_enter(&turn, NULL));
}

static void passes_over_who_gave_up(void **state) {
    struct list second = {0}, third = {0};
    struct turn turn;

    (void)state;
    turn_init(&turn);
    assert_true(turn_enter(&turn, NULL));
    assert_false(turn_enter(&turn, &second));
    assert_false(turn_enter(&turn, &third));
    list_remove(&second);
    assert_ptr_equal(turn_leave(&turn), &third);
    assert_null(turn_leave(&turn));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_turns_in_order),
        cmocka_unit_test(passes_over_who_gave_up),
    };

    return cmocka_run_group_tests_name("plugin/turn", tests, NULL, NULL);
}
