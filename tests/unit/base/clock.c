#include "test.h"

#include "base/clock.h"

#include <time.h>

static void never_goes_back(void **state) {
    int64_t before = clock_now_ns();

    (void)state;
    for (int i = 0; i < 10000; i++) {
        int64_t now = clock_now_ns();
        assert_true(now >= before);
        before = now;
    }
}

/* Not time(), which is behind by up to a tick of the kernel. */
static int64_t calendar_ms(void) {
    struct timespec now;

    assert_int_equal(clock_gettime(CLOCK_REALTIME, &now), 0);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void agrees_with_the_calendar(void **state) {
    int64_t before = calendar_ms(), now = clock_wall_ms();

    (void)state;
    assert_true(now >= before);
    assert_true(now <= calendar_ms());
}

static void says_when_a_wait_ends(void **state) {
    int64_t before = clock_now_ns();
    const struct timespec at = clock_in_ms(2750);
    int64_t ns = (int64_t)at.tv_sec * 1000000000 + at.tv_nsec;

    (void)state;
    assert_true(at.tv_nsec >= 0 && at.tv_nsec < 1000000000);
    assert_true(ns >= before + INT64_C(2750) * 1000000);
    assert_true(ns <= clock_now_ns() + INT64_C(2750) * 1000000);
}

static void is(int64_t wall_ms, const char *expected) {
    char text[CLOCK_TEXT_BYTES];

    assert_string_equal(clock_rfc3339(wall_ms, text), expected);
}

static void is_written_in_utc_with_milliseconds(void **state) {
    (void)state;
    is(0, "1970-01-01T00:00:00.000Z");
    is(1, "1970-01-01T00:00:00.001Z");
    is(951782400125, "2000-02-29T00:00:00.125Z");
    is(4102444799999, "2099-12-31T23:59:59.999Z");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(never_goes_back),
        cmocka_unit_test(agrees_with_the_calendar),
        cmocka_unit_test(says_when_a_wait_ends),
        cmocka_unit_test(is_written_in_utc_with_milliseconds),
    };

    return cmocka_run_group_tests_name("base/clock", tests, NULL, NULL);
}
