#include "test.h"

#include "plugin/stats.h"

static struct stats stats; /* large: not on the stack */

static void counts_what_was_served_and_what_failed(void **state) {
    (void)state;
    memset(&stats, 0, sizeof(stats));
    assert_true(stats_mean_ms(&stats) == 0);
    assert_true(stats_percentile_ms(&stats, 99) == 0);
    stats_add(&stats, 1000000, false);
    stats_add(&stats, 3000000, true);
    assert_int_equal(atomic_load(&stats.served), 1);
    assert_int_equal(atomic_load(&stats.failed), 1);
    assert_true(stats_mean_ms(&stats) == 2.0);
}

/* The upper border of the bucket: at least the value, and at most a quarter more. */
static void is_right_within_a_quarter(void **state) {
    (void)state;
    for (int64_t ns = 4; ns < (int64_t)1 << 46; ns += ns / 3 + 1) {
        double ms = (double)ns / 1e6;
        memset(&stats, 0, sizeof(stats));
        stats_add(&stats, ns, false);
        assert_true(stats_percentile_ms(&stats, 50) >= ms);
        assert_true(stats_percentile_ms(&stats, 50) <= ms * 1.2501);
    }
}

static void finds_the_percentile(void **state) {
    (void)state;
    memset(&stats, 0, sizeof(stats));
    for (int i = 0; i < 99; i++)
        stats_add(&stats, 1000, false);
    stats_add(&stats, 1000000000, false);
    assert_true(stats_percentile_ms(&stats, 99) < 0.002);
    assert_true(stats_percentile_ms(&stats, 99.5) >= 1000);
    assert_true(stats_percentile_ms(&stats, 100) >= 1000);
}

static void counts_what_took_less(void **state) {
    (void)state;
    memset(&stats, 0, sizeof(stats));
    stats_add(&stats, 0, false);
    stats_add(&stats, 1023, false);
    stats_add(&stats, 1024, true);
    stats_add(&stats, INT64_MAX, false);
    assert_int_equal(stats_up_to(&stats, 9), 1);
    assert_int_equal(stats_up_to(&stats, 10), 2);
    assert_int_equal(stats_up_to(&stats, 11), 3);
    assert_int_equal(stats_up_to(&stats, STATS_BUCKETS), 4);
}

static void takes_any_number(void **state) {
    static const int64_t odd[] = {0, -5, 1, 2, 3, INT64_MAX, INT64_MIN};

    (void)state;
    memset(&stats, 0, sizeof(stats));
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
        stats_add(&stats, odd[i], i % 2);
    assert_true(stats_percentile_ms(&stats, 100) > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_what_was_served_and_what_failed),
        cmocka_unit_test(is_right_within_a_quarter),
        cmocka_unit_test(finds_the_percentile),
        cmocka_unit_test(counts_what_took_less),
        cmocka_unit_test(takes_any_number),
    };

    return cmocka_run_group_tests_name("plugin/stats", tests, NULL, NULL);
}
