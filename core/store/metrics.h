/*
 * How well restarts go, from the history of the last 24 hours: the figures of the health tools, their targets, and the
 * thresholds beyond which there is an alert.
 *
 * Each metric is an object with unit, value, target, alert_threshold, verdict ("pass" when the target is met, else
 * "fail"), events, and what it was counted from. Without an event value and verdict are null: nothing is known, which
 * is not the same as good.
 *
 *   success_rate             restarts that reached complete, of those attempted; %
 *   restart_duration         the longest attempt; s (with p50 and p99)
 *   blackout                 p99 of the time in which nothing was handled; ms (with p50 and max)
 *   reconnection_rate        connections resumed, of those lost; %
 *   state_preservation_rate  restarts, graceful and meant to preserve state, after which every record read back equal,
 *                            no accepted request stayed unanswered and no call was lost, of those examined; %
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/error.h"

struct history_event;
struct store;

enum { METRICS_WINDOW_HOURS = 24 };

struct metrics {
    json_t *values; /* an object: window_hours, and one object per metric */
    json_t *alerts; /* an array of {metric, value, threshold, message}; empty: no alert */
};

/* As of `now_ms` (wall clock). New references in `ret_metrics`. Any thread; may wait for the database. */
MUST_CHECK int metrics_read(struct store *store, int64_t now_ms, struct metrics *ret_metrics,
                            struct theseus_error *err);
void metrics_fini(struct metrics *metrics);
void metrics_fini_cleanup(struct metrics *metrics);

/* Adds the connections that were lost by an event, and those of them that came back. */
void metrics_add_connections(const struct history_event *event, int64_t *lost, int64_t *resumed);

/*
 * The nearest-rank percentile: the smallest of the `count` (at least one) ascending values that `percent` (above 0, up
 * to 100) of them do not exceed.
 */
double metrics_percentile(const double *values, size_t count, int percent);
