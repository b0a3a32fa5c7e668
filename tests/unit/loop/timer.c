#include "test.h"

#include "loop/timer.h"

#include "base/mem.h"
#include "loop/until.h"

struct clockwork {
    struct timer *timer;
    int count;
    int64_t at_ns;
    bool free_it;
};

static void tick(void *arg) {
    struct clockwork *clockwork = arg;

    loop_enter();
    clockwork->count++;
    clockwork->at_ns = clock_now_ns();
    if (clockwork->free_it)
        clockwork->timer = timer_free(clockwork->timer);
}

static void fires_once_and_not_early(void **state) {
    CLEANUP(loop_free) struct loop *loop = loop_new();
    struct clockwork clockwork = {0};
    int64_t begin = clock_now_ns();

    (void)state;
    loop_enter();
    CLEANUP(timer_free) struct timer *timer = timer_new(loop, tick, &clockwork);
    timer_start(timer, 20, 0);
    until(loop, clockwork.count == 1);
    assert_true(clockwork.at_ns - begin >= 19 * 1000000);
    assert_false(loop_turn(loop, 40));
    assert_int_equal(clockwork.count, 1);
}

static void fires_again_until_it_is_stopped(void **state) {
    CLEANUP(loop_free) struct loop *loop = loop_new();
    struct clockwork clockwork = {0};

    (void)state;
    loop_enter();
    CLEANUP(timer_free) struct timer *timer = timer_new(loop, tick, &clockwork);
    timer_start(timer, 0, 1);
    until(loop, clockwork.count >= 3);
    timer_stop(timer);
    int count = clockwork.count;
    assert_false(loop_turn(loop, 10));
    assert_int_equal(clockwork.count, count);
}

static void may_be_freed_by_its_own_callback(void **state) {
    CLEANUP(loop_free) struct loop *loop = loop_new();
    struct clockwork clockwork = {.free_it = true};

    (void)state;
    loop_enter();
    clockwork.timer = timer_new(loop, tick, &clockwork);
    timer_start(clockwork.timer, -5, 1);
    until(loop, clockwork.count == 1);
    assert_false(loop_turn(loop, 10));
    assert_int_equal(clockwork.count, 1);
    assert_null(timer_free(NULL));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fires_once_and_not_early),
        cmocka_unit_test(fires_again_until_it_is_stopped),
        cmocka_unit_test(may_be_freed_by_its_own_callback),
    };

    return cmocka_run_group_tests_name("loop/timer", tests, NULL, NULL);
}
