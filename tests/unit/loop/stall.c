#include "test.h"

#include "loop/stall.h"

#include <stdatomic.h>
#include <unistd.h>

#include "base/clock.h"

static atomic_int told;

static void on_stall(void *arg) {
    (void)arg;
    (void)atomic_fetch_add(&told, 1);
}

static struct stall *stall_made(void) {
    struct stall *stall = NULL;

    atomic_store(&told, 0);
    assert_int_equal(stall_new(&stall, on_stall, NULL, NULL), 0);
    return stall;
}

/* Code that runs on until it is told, or for so long. */
static int64_t stay_ms(int64_t most_ms) {
    int64_t begin = clock_now_ns(), ms = 0;
    int before = atomic_load(&told);

    while (atomic_load(&told) == before && (ms = (clock_now_ns() - begin) / 1000000) < most_ms)
        (void)usleep(1000);
    return ms;
}

static void tells_once_of_a_stay_that_is_too_long(void **state) {
    CLEANUP(stall_free) struct stall *stall = stall_made();

    (void)state;
    for (int i = 1; i <= 2; i++) {
        stall_enter(stall, 300);
        assert_true(stay_ms(20000) >= 300);
        assert_int_equal(atomic_load(&told), i);
        (void)stay_ms(1000);
        stall_leave(stall);
        assert_int_equal(atomic_load(&told), i);
    }
}

static void is_silent_about_many_short_ones(void **state) {
    CLEANUP(stall_free) struct stall *stall = stall_made();
    int64_t end = clock_now_ns() + INT64_C(1500000000);

    (void)state;
    for (int i = 0; clock_now_ns() < end; i++) {
        stall_enter(stall, 500);
        if (i % 1000 == 0)
            (void)usleep(1000);
        stall_leave(stall);
    }
    assert_int_equal(atomic_load(&told), 0);
}

static void wakes_again_after_it_has_slept(void **state) {
    CLEANUP(stall_free) struct stall *stall = stall_made();

    (void)state;
    stall_enter(stall, 10);
    stall_leave(stall);
    (void)usleep(800000); /* several looks: nobody is inside, and it sleeps */
    stall_enter(stall, 10);
    (void)stay_ms(20000);
    stall_leave(stall);
    assert_int_equal(atomic_load(&told), 1);
}

static void can_go_in_the_middle(void **state) {
    struct stall *stall = stall_made();

    (void)state;
    stall_enter(stall, 60000);
    assert_null(stall_free(stall));
    assert_null(stall_free(NULL));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_once_of_a_stay_that_is_too_long),
        cmocka_unit_test(is_silent_about_many_short_ones),
        cmocka_unit_test(wakes_again_after_it_has_slept),
        cmocka_unit_test(can_go_in_the_middle),
    };

    return cmocka_run_group_tests_name("loop/stall", tests, NULL, NULL);
}
