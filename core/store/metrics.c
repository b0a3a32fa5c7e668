#include "store/metrics.h"

#include <stdbool.h>
#include <stdlib.h>

#include "base/mem.h"
#include "store/history.h"

#define WINDOW_MS (METRICS_WINDOW_HOURS * INT64_C(3600000))

/* A target or threshold; `alert` is crossed when the value is worse, not when it is reached. */
struct rule {
    const char *name, *unit, *alert_text;
    double target;
    bool at_target;  /* reaching the target is meeting it */
    bool lower_good; /* a time; else a rate */
    double alert;    /* negative: there is no alert */
};

enum metric { SUCCESS, DURATION, BLACKOUT, RECONNECTION, PRESERVATION, METRICS };

static const struct rule rules[METRICS] = {
    [SUCCESS] = {"success_rate", "%", "fewer than 95 % of the restarts of the last 24 hours succeeded", 99,
                 .alert = 95},
    [DURATION] = {"restart_duration", "s", "a restart of the last 24 hours took more than 60 s", 30, .lower_good = true,
                  .alert = 60},
    [BLACKOUT] = {"blackout", "ms", NULL, 15, .lower_good = true, .alert = -1},
    [RECONNECTION] = {"reconnection_rate", "%", "fewer than 95 % of the lost connections came back", 99, .alert = 95},
    [PRESERVATION] = {"state_preservation_rate", "%", "a graceful restart of the last 24 hours lost state", 100,
                      .at_target = true, .alert = 100},
};

/* Measured values, in any order. */
struct series {
    double *values; /* owned */
    size_t count, capacity;
};

struct tally {
    int64_t attempted, complete;
    int64_t lost, resumed;
    int64_t examined, preserved, interrupted;
    struct series durations, blackouts;
    bool failed; /* no memory for a value */
};

static void tally_fini_cleanup(struct tally *tally) {
    free(tally->durations.values);
    free(tally->blackouts.values);
}

static bool add_value(struct series *series, double value) {
    if (series->count == series->capacity) {
        size_t capacity = series->capacity ? 2 * series->capacity : 64;
        double *values = try_realloc(series->values, capacity * sizeof(*values));
        if (!values)
            return false;
        series->values = values;
        series->capacity = capacity;
    }
    series->values[series->count++] = value;
    return true;
}

static void count_state(struct tally *tally, const struct history_event *event) {
    if (!event->graceful || !event->preserve_state || event->records_differing < 0 || event->requests_unanswered < 0 ||
        event->calls_lost < 0)
        return;
    tally->examined++;
    tally->preserved += event->records_differing + event->requests_unanswered + event->calls_lost == 0;
    tally->interrupted += event->calls_interrupted > 0 ? event->calls_interrupted : 0;
}

void metrics_add_connections(const struct history_event *event, int64_t *lost, int64_t *resumed) {
    if (event->connections_lost <= 0)
        return;
    *lost += event->connections_lost;
    *resumed += event->connections_resumed > 0 ? event->connections_resumed : 0;
}

static void count_event(void *arg, const struct history_event *event) {
    struct tally *tally = arg;

    metrics_add_connections(event, &tally->lost, &tally->resumed);
    if (event->kind != HISTORY_RESTART)
        return;
    tally->attempted++;
    tally->complete += event->success;
    count_state(tally, event);
    if (event->duration_ms >= 0 && !add_value(&tally->durations, event->duration_ms))
        tally->failed = true;
    if (event->blackout_ms >= 0 && !add_value(&tally->blackouts, event->blackout_ms))
        tally->failed = true;
}

static int by_value(const void *a, const void *b) {
    double one = *(const double *)a, other = *(const double *)b;

    return one < other ? -1 : one > other;
}

double metrics_percentile(const double *values, size_t count, int percent) {
    size_t rank = (count * (size_t)percent + 99) / 100;

    return values[rank > 0 ? rank - 1 : 0];
}

static bool is_met(const struct rule *rule, double value) {
    if (rule->at_target && value == rule->target)
        return true;
    return rule->lower_good ? value < rule->target : value > rule->target;
}

static bool is_alert(const struct rule *rule, double value) {
    if (rule->alert < 0)
        return false;
    return rule->lower_good ? value > rule->alert : value < rule->alert;
}

/* Adds a metric; steals `details`, an object. `events` 0: nothing is known. */
static int add_metric(const struct metrics *metrics, enum metric which, int64_t events, double value, json_t *details) {
    const struct rule *rule = &rules[which];
    json_auto_t *metric = details;
    json_auto_t *common = json_pack(
        "{s:s, s:o, s:f, s:o, s:s?, s:I}", "unit", rule->unit, "value", events ? json_real(value) : json_null(),
        "target", rule->target, "alert_threshold", rule->alert < 0 ? json_null() : json_real(rule->alert), "verdict",
        events ? (is_met(rule, value) ? "pass" : "fail") : NULL, "events", (json_int_t)events);

    if (!metric || !common || json_object_update(metric, common) < 0 ||
        json_object_set(metrics->values, rule->name, metric) < 0)
        return -1;
    if (events == 0 || !is_alert(rule, value))
        return 0;
    return json_array_append_new(metrics->alerts,
                                 json_pack("{s:s, s:f, s:f, s:s}", "metric", rule->name, "value", value, "threshold",
                                           rule->alert, "message", rule->alert_text));
}

static double percent(int64_t part, int64_t whole) {
    return whole ? 100.0 * (double)part / (double)whole : 0;
}

static int add_rates(const struct metrics *metrics, const struct tally *tally) {
    if (add_metric(metrics, SUCCESS, tally->attempted, percent(tally->complete, tally->attempted),
                   json_pack("{s:I, s:I}", "complete", (json_int_t)tally->complete, "attempted",
                             (json_int_t)tally->attempted)) < 0 ||
        add_metric(metrics, RECONNECTION, tally->lost, percent(tally->resumed, tally->lost),
                   json_pack("{s:I, s:I}", "resumed", (json_int_t)tally->resumed, "lost", (json_int_t)tally->lost)) < 0)
        return -1;
    return add_metric(metrics, PRESERVATION, tally->examined, percent(tally->preserved, tally->examined),
                      json_pack("{s:I, s:I, s:I}", "preserved", (json_int_t)tally->preserved, "examined",
                                (json_int_t)tally->examined, "calls_interrupted", (json_int_t)tally->interrupted));
}

/* A time, of which `judged` per cent must be good; sorts the series. */
static int add_time(const struct metrics *metrics, enum metric which, struct series *series, double unit_ms,
                    int judged) {
    const size_t n = series->count;

    if (n == 0)
        return add_metric(metrics, which, 0, 0, json_pack("{s:n, s:n, s:n}", "p50", "p99", "max"));
    qsort(series->values, n, sizeof(*series->values), by_value);
    return add_metric(metrics, which, (int64_t)n, metrics_percentile(series->values, n, judged) / unit_ms,
                      json_pack("{s:f, s:f, s:f}", "p50", metrics_percentile(series->values, n, 50) / unit_ms, "p99",
                                metrics_percentile(series->values, n, 99) / unit_ms, "max",
                                series->values[n - 1] / unit_ms));
}

void metrics_fini(struct metrics *metrics) {
    json_decref(metrics->values);
    json_decref(metrics->alerts);
    *metrics = (struct metrics){0};
}

void metrics_fini_cleanup(struct metrics *metrics) {
    metrics_fini(metrics);
}

int metrics_read(struct store *store, int64_t now_ms, struct metrics *ret_metrics, struct theseus_error *err) {
    CLEANUP(metrics_fini)
    struct metrics metrics = {.values = json_pack("{s:i}", "window_hours", METRICS_WINDOW_HOURS),
                              .alerts = json_array()};
    CLEANUP(tally_fini) struct tally tally = {0};
    const struct history_query query = {.since_ms = now_ms - WINDOW_MS};

    if (history_each(store, &query, count_event, &tally, err) < 0)
        return -1;
    if (tally.failed || !metrics.values || !metrics.alerts || add_rates(&metrics, &tally) < 0 ||
        add_time(&metrics, DURATION, &tally.durations, 1000, 100) < 0 ||
        add_time(&metrics, BLACKOUT, &tally.blackouts, 1, 99) < 0)
        return fail(err, ERR_MEMORY, "no memory for the metrics");
    *ret_metrics = metrics;
    metrics = (struct metrics){0};
    return 0;
}
