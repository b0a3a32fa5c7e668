/*
 * What happened to this server: every restart, reload and crash, with what it cost.
 *
 * Measured values are negative where nothing was measured, and null in JSON: a zero is a measurement. Every function is
 * for any thread and may wait for the database; reading one that does not exist finds nothing and makes nothing.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/error.h"
#include "store/asker.h"

struct store;

enum history_kind { HISTORY_RESTART, HISTORY_RELOAD, HISTORY_CRASH };
enum { HISTORY_UNKNOWN = -1 }; /* not measured, not counted */

struct history_event {
    int64_t id; /* given by history_add() */
    enum history_kind kind;
    const char *reason, *mechanism;
    const char *phase;   /* the last that was reached */
    const char *subject; /* the plugin, tool or file concerned; NULL: the server */
    bool success, graceful, preserve_state;
    struct asker by;
    const char *boot_before, *boot_after, *version_before, *version_after;
    int64_t started_ms; /* wall clock */
    double duration_ms, blackout_ms, held_ms, suspend_ms;
    int64_t requests_held, calls_resumed, calls_interrupted, bytes_carried;
    int64_t records_differing; /* ledger records that did not read back equal */
    int64_t requests_unanswered, calls_lost;
    int64_t connections_lost, connections_resumed;
    json_t *errors; /* borrowed array; NULL: none */
};

/* One in which nothing was measured yet. */
struct history_event history_event_of(enum history_kind kind, const char *reason, int64_t started_ms);

MUST_CHECK int history_add(struct store *store, const struct history_event *event, struct theseus_error *err);

/* The same, unless there is one of that kind, time and image: it may have been written already. */
MUST_CHECK int history_add_once(struct store *store, const struct history_event *event, struct theseus_error *err);

/* All of it, for history_add_once() later. New reference, NULL: no memory; what is unpacked borrows from `packed`. */
json_t *history_event_keep_new(const struct history_event *event);
void history_event_unpack(struct history_event *ret_event, const json_t *packed);

struct history_query {
    int64_t since_ms;   /* started then or later; 0: all */
    bool restarts_only; /* else reloads and crashes as well */
    bool crashes_only;  /* else restarts and reloads as well */
    int limit;          /* 0: no limit */
};

/* Visits the youngest first. What `event` points to is good until `visit` returns. */
typedef void history_visit_fn(void *arg, const struct history_event *event);
MUST_CHECK int history_each(struct store *store, const struct history_query *query, history_visit_fn *visit, void *arg,
                            struct theseus_error *err);

/* New reference; NULL: no memory. */
json_t *history_event_pack(const struct history_event *event);

/* An array of packed events, the youngest first. New reference in `ret_list`. */
MUST_CHECK int history_list(struct store *store, const struct history_query *query, json_t **ret_list,
                            struct theseus_error *err);

struct history_sums {
    int64_t restarts, restarts_complete, reloads, crashes;
    int64_t requests_held, calls_resumed, calls_interrupted, bytes_carried;
    int64_t last_complete_ms; /* end of the last restart that succeeded; negative: none */
};

MUST_CHECK int history_sum(struct store *store, int64_t since_ms, struct history_sums *ret_sums,
                           struct theseus_error *err);

/* Removes what began before; `ret_removed` counts it. */
MUST_CHECK int history_sweep(struct store *store, int64_t before_ms, int *ret_removed, struct theseus_error *err);
