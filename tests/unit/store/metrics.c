#include "test.h"

#include "store/metrics.h"

#include "scratch.h"
#include "store/history.h"

enum { VALUES_MAX = 250 };

#define NOW INT64_C(1763800000000)
#define HOUR INT64_C(3600000)

/* A restart with nothing wrong. */
static struct history_event good(void) {
    struct history_event event = history_event_of(HISTORY_RESTART, "manual_request", NOW - HOUR);

    event.success = event.graceful = event.preserve_state = true;
    event.duration_ms = 50;
    event.blackout_ms = 4;
    event.records_differing = event.requests_unanswered = event.calls_lost = event.calls_interrupted = 0;
    return event;
}

static void add(struct store *store, const struct history_event *event, int times) {
    for (int i = 0; i < times; i++)
        assert_int_equal(history_add(store, event, NULL), 0);
}

static struct metrics read_all(struct store *store) {
    struct metrics metrics = {0};

    assert_int_equal(metrics_read(store, NOW, &metrics, NULL), 0);
    return metrics;
}

static json_t *part(const struct metrics *metrics, const char *name, const char *key) {
    json_t *value = json_object_get(json_object_get(metrics->values, name), key);

    assert_non_null(value);
    return value;
}

static double number(const struct metrics *metrics, const char *name, const char *key) {
    assert_true(json_is_number(part(metrics, name, key)));
    return json_number_value(part(metrics, name, key));
}

static const char *verdict(const struct metrics *metrics, const char *name) {
    return json_string_value(part(metrics, name, "verdict"));
}

/* The one alert there is, about `name`. */
static void assert_alert(const struct metrics *metrics, const char *name, double threshold) {
    const json_t *alert = json_array_get(metrics->alerts, 0);

    assert_int_equal(json_array_size(metrics->alerts), 1);
    assert_string_equal(json_string_value(json_object_get(alert, "metric")), name);
    assert_true(json_number_value(json_object_get(alert, "threshold")) == threshold);
    assert_true(json_number_value(json_object_get(alert, "value")) == number(metrics, name, "value"));
    assert_true(json_is_string(json_object_get(alert, "message")));
}

static void assert_quiet(const struct metrics *metrics) {
    assert_int_equal(json_array_size(metrics->alerts), 0);
}

static const char *const names[] = {"success_rate", "restart_duration", "blackout", "reconnection_rate",
                                    "state_preservation_rate"};

static void knows_nothing_without_events(void **state) {
    struct scratch *scratch = *state;
    CLEANUP(metrics_fini) struct metrics metrics = read_all(scratch->store);

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        assert_true(json_is_null(part(&metrics, names[i], "value")));
        assert_true(json_is_null(part(&metrics, names[i], "verdict")));
        assert_true(json_is_number(part(&metrics, names[i], "target")));
        assert_true(json_is_string(part(&metrics, names[i], "unit")));
        assert_true(number(&metrics, names[i], "events") == 0);
        (void)part(&metrics, names[i], "alert_threshold");
    }
    assert_true(json_is_null(part(&metrics, "blackout", "p50")));
    assert_quiet(&metrics);
    assert_int_equal(access(scratch->path, F_OK), -1);
}

static void passes_when_all_is_well(void **state) {
    struct history_event event = good();

    event.connections_lost = event.connections_resumed = 2;
    add(store_of(state), &event, 3);
    CLEANUP(metrics_fini) struct metrics metrics = read_all(store_of(state));
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        assert_string_equal(verdict(&metrics, names[i]), "pass");
    assert_true(number(&metrics, "success_rate", "value") == 100);
    assert_true(number(&metrics, "restart_duration", "value") == 0.05);
    assert_true(number(&metrics, "blackout", "value") == 4);
    assert_true(number(&metrics, "reconnection_rate", "events") == 6);
    assert_quiet(&metrics);
}

/* Of `count` restarts one fails. */
static void check_success(void **state, int count, const char *want, bool alert) {
    struct history_event event = good();

    assert_int_equal(make_scratch(state), 0);
    add(store_of(state), &event, count - 1);
    event.success = false;
    add(store_of(state), &event, 1);
    CLEANUP(metrics_fini) struct metrics metrics = read_all(store_of(state));
    assert_string_equal(verdict(&metrics, "success_rate"), want);
    assert_true(number(&metrics, "success_rate", "attempted") == count);
    assert_true(number(&metrics, "success_rate", "complete") == count - 1);
    if (alert)
        assert_alert(&metrics, "success_rate", 95);
    else
        assert_quiet(&metrics);
    assert_int_equal(remove_scratch(state), 0);
}

static void judges_the_success_rate(void **state) {
    check_success(state, 101, "pass", false);
    check_success(state, 100, "fail", false); /* 99 % is not more than 99 % */
    check_success(state, 20, "fail", false);  /* 95 % is not less than 95 % */
    check_success(state, 19, "fail", true);
    check_success(state, 1, "fail", true);
}

static void check_duration(void **state, double ms, const char *want, bool alert) {
    struct history_event event = good();

    assert_int_equal(make_scratch(state), 0);
    add(store_of(state), &event, 3);
    event.duration_ms = ms;
    add(store_of(state), &event, 1);
    CLEANUP(metrics_fini) struct metrics metrics = read_all(store_of(state));
    assert_string_equal(verdict(&metrics, "restart_duration"), want);
    assert_true(number(&metrics, "restart_duration", "max") == ms / 1000);
    assert_true(number(&metrics, "restart_duration", "p50") == 0.05);
    if (alert)
        assert_alert(&metrics, "restart_duration", 60);
    else
        assert_quiet(&metrics);
    assert_int_equal(remove_scratch(state), 0);
}

static void judges_the_longest_restart(void **state) {
    check_duration(state, 29999, "pass", false);
    check_duration(state, 30000, "fail", false);
    check_duration(state, 60000, "fail", false);
    check_duration(state, 60001, "fail", true);
}

static void judges_the_reconnection_rate(void **state) {
    struct history_event event = history_event_of(HISTORY_CRASH, "error_recovery", NOW - HOUR);

    event.connections_lost = 100;
    event.connections_resumed = 95;
    add(store_of(state), &event, 1);
    CLEANUP(metrics_fini) struct metrics at = read_all(store_of(state));
    assert_true(number(&at, "reconnection_rate", "value") == 95);
    assert_string_equal(verdict(&at, "reconnection_rate"), "fail");
    assert_quiet(&at);
    event.connections_resumed = 94;
    add(store_of(state), &event, 1);
    CLEANUP(metrics_fini) struct metrics below = read_all(store_of(state));
    assert_true(number(&below, "reconnection_rate", "value") == 94.5);
    assert_alert(&below, "reconnection_rate", 95);
}

/* One of a hundred restarts, graceful and examined, changed by `spoil`. */
static void check_state_lost(void **state, void (*spoil)(struct history_event *event), bool counts) {
    struct history_event event = good();

    assert_int_equal(make_scratch(state), 0);
    add(store_of(state), &event, 99);
    spoil(&event);
    add(store_of(state), &event, 1);
    CLEANUP(metrics_fini) struct metrics metrics = read_all(store_of(state));
    if (counts) {
        assert_true(number(&metrics, "state_preservation_rate", "value") == 99);
        assert_string_equal(verdict(&metrics, "state_preservation_rate"), "fail");
        assert_alert(&metrics, "state_preservation_rate", 100);
    } else {
        assert_string_equal(verdict(&metrics, "state_preservation_rate"), "pass");
        assert_quiet(&metrics);
    }
    assert_int_equal(remove_scratch(state), 0);
}

static void lose_a_record(struct history_event *event) {
    event->records_differing = 1;
}

static void leave_unanswered(struct history_event *event) {
    event->requests_unanswered = 1;
}

static void lose_a_call(struct history_event *event) {
    event->calls_lost = 1;
}

static void interrupt_a_call(struct history_event *event) {
    event->calls_interrupted = 1;
}

static void lose_without_grace(struct history_event *event) {
    event->graceful = false;
    event->calls_lost = 1;
}

static void lose_on_purpose(struct history_event *event) {
    event->preserve_state = false;
    event->records_differing = 5;
}

static void examine_nothing(struct history_event *event) {
    event->records_differing = HISTORY_UNKNOWN;
}

static void counts_every_loss_in_a_graceful_restart(void **state) {
    check_state_lost(state, lose_a_record, true);
    check_state_lost(state, leave_unanswered, true);
    check_state_lost(state, lose_a_call, true);
    check_state_lost(state, interrupt_a_call, false);
    check_state_lost(state, lose_without_grace, false);
    check_state_lost(state, lose_on_purpose, false);
    check_state_lost(state, examine_nothing, false);
}

static void counts_interrupted_calls_apart(void **state) {
    struct history_event event = good();

    event.calls_interrupted = 3;
    add(store_of(state), &event, 2);
    CLEANUP(metrics_fini) struct metrics metrics = read_all(store_of(state));
    assert_true(number(&metrics, "state_preservation_rate", "calls_interrupted") == 6);
    assert_true(number(&metrics, "state_preservation_rate", "value") == 100);
}

static void looks_back_one_day_and_no_further(void **state) {
    struct history_event event = good();

    event.success = false;
    event.started_ms = NOW - 24 * HOUR - 1;
    add(store_of(state), &event, 5);
    CLEANUP(metrics_fini) struct metrics before = read_all(store_of(state));
    assert_true(json_is_null(part(&before, "success_rate", "value")));
    assert_quiet(&before);
    event.started_ms++;
    add(store_of(state), &event, 1);
    CLEANUP(metrics_fini) struct metrics within = read_all(store_of(state));
    assert_true(number(&within, "success_rate", "value") == 0);
    assert_alert(&within, "success_rate", 95);
}

static void leaves_reloads_and_crashes_out_of_the_restarts(void **state) {
    struct history_event event = good();

    event.success = false;
    event.kind = HISTORY_RELOAD;
    add(store_of(state), &event, 1);
    event.kind = HISTORY_CRASH;
    add(store_of(state), &event, 1);
    CLEANUP(metrics_fini) struct metrics metrics = read_all(store_of(state));
    assert_true(json_is_null(part(&metrics, "success_rate", "value")));
    assert_true(json_is_null(part(&metrics, "restart_duration", "value")));
}

/* The definition, word for word: the smallest value such that so many per cent do not exceed it. */
static double by_definition(const double *values, size_t count, int percent) {
    double best = values[count - 1];

    for (size_t i = 0; i < count; i++) {
        size_t not_above = 0;
        for (size_t k = 0; k < count; k++)
            not_above += values[k] <= values[i];
        if (not_above * 100 >= count * (size_t)percent && values[i] < best)
            best = values[i];
    }
    return best;
}

static void finds_percentiles_as_defined(void **state) {
    double values[VALUES_MAX];
    unsigned random = 12345;
    (void)state;

    for (size_t count = 1; count <= VALUES_MAX; count++) {
        double value = 0;
        for (size_t i = 0; i < count; i++) {
            random = random * 1103515245 + 12345;
            value += (random >> 16) % 3; /* some are equal */
            values[i] = value;
        }
        for (int percent = 1; percent <= 100; percent++)
            assert_true(metrics_percentile(values, count, percent) == by_definition(values, count, percent));
    }
}

static void sorts_what_comes_in_any_order(void **state) {
    struct history_event event = good();

    for (int i = 0; i < 200; i++) {
        event.duration_ms = event.blackout_ms = (i * 77) % 200 + 1;
        event.started_ms = NOW - HOUR + i;
        add(store_of(state), &event, 1);
    }
    CLEANUP(metrics_fini) struct metrics metrics = read_all(store_of(state));
    assert_true(number(&metrics, "blackout", "p50") == 100);
    assert_true(number(&metrics, "blackout", "p99") == 198);
    assert_true(number(&metrics, "blackout", "max") == 200);
    assert_true(number(&metrics, "blackout", "value") == 198);
    assert_string_equal(verdict(&metrics, "blackout"), "fail");
    assert_true(number(&metrics, "restart_duration", "value") == 0.2);
    assert_quiet(&metrics); /* a blackout has a target and no threshold */
    assert_true(json_is_null(part(&metrics, "blackout", "alert_threshold")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_SCRATCH(knows_nothing_without_events),
        WITH_SCRATCH(passes_when_all_is_well),
        cmocka_unit_test(judges_the_success_rate),
        cmocka_unit_test(judges_the_longest_restart),
        WITH_SCRATCH(judges_the_reconnection_rate),
        cmocka_unit_test(counts_every_loss_in_a_graceful_restart),
        WITH_SCRATCH(counts_interrupted_calls_apart),
        WITH_SCRATCH(looks_back_one_day_and_no_further),
        WITH_SCRATCH(leaves_reloads_and_crashes_out_of_the_restarts),
        cmocka_unit_test(finds_percentiles_as_defined),
        WITH_SCRATCH(sorts_what_comes_in_any_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
