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

static int64_t ms_since(int64_t begin_ns) {
    return (clock_now_ns() - begin_ns) / 1000000;
}

/* Code that runs on until it was told so often, or for so long. */
static void stay(int times, int64_t most_ms) {
    int64_t begin = clock_now_ns();

    while (atomic_load(&told) < times && ms_since(begin) < most_ms)
        (void)usleep(1000);
}

static void tells_once_of_a_stay_that_is_too_long(void **state) {
    CLEANUP(stall_free) struct stall *stall = stall_made();

    (void)state;
    for (int i = 1; i <= 2; i++) {
        int64_t begin = clock_now_ns();
        stall_enter(stall, 300);
        stay(i, 20000);
        assert_true(ms_since(begin) >= 300);
        assert_int_equal(atomic_load(&told), i);
        stay(i + 1, 1000);
        stall_leave(stall);
        assert_int_equal(atomic_load(&told), i);
    }
}

/* Unless the machine makes a long one of it: what lasts from one look to the next may be told. */
static void is_silent_about_many_short_ones(void **state) {
    CLEANUP(stall_free) struct stall *stall = stall_made();
    int64_t begin = clock_now_ns(), before = begin, longest = 0;

    (void)state;
    for (int i = 0; before - begin < INT64_C(1500000000); i++) {
        stall_enter(stall, 500);
        if (i % 1000 == 0)
            (void)usleep(1000);
        stall_leave(stall);
        int64_t now = clock_now_ns();
        longest = now - before > longest ? now - before : longest;
        before = now;
    }
    assert_true(atomic_load(&told) == 0 || longest >= INT64_C(200000000));
}

static void wakes_again_after_it_has_slept(void **state) {
    CLEANUP(stall_free) struct stall *stall = stall_made();

    (void)state;
    stall_enter(stall, 10);
    stall_leave(stall);
    (void)usleep(800000); /* several looks: nobody is inside, and it sleeps */
    int before = atomic_load(&told);
    stall_enter(stall, 10);
    stay(before + 1, 20000);
    stall_leave(stall);
    assert_int_equal(atomic_load(&told), before + 1);
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
