/* Service `restart_status`: the restart under way or the last one, and what the history has of those before. */
#include <stdlib.h>

#include "base/clock.h"
#include "server/facts.h"
#include "server/inner.h"
#include "server/restart.h"
#include "server/services.h"
#include "store/history.h"
#include "store/metrics.h"

enum { RECENT_RESTARTS = 20, WRITTEN_MS = 1000 };

static json_t *history_new(struct store *store, struct theseus_error *err) {
    const struct history_query query = {.restarts_only = true, .limit = RECENT_RESTARTS};
    const struct history_query crash_query = {.crashes_only = true, .limit = RECENT_RESTARTS};
    json_auto_t *recent = NULL, *crashes = NULL;
    CLEANUP(metrics_fini) struct metrics metrics = {0};
    struct history_sums sums;

    if (history_list(store, &query, &recent, err) < 0 || history_list(store, &crash_query, &crashes, err) < 0 ||
        history_sum(store, 0, &sums, err) < 0 || metrics_read(store, clock_wall_ms(), &metrics, err) < 0)
        return NULL;
    return json_pack("{s:O, s:O, s:I, s:I, s:I, s:I, s:o, s:O, s:O}", "recent_restarts", recent, "recent_crashes",
                     crashes, "total_restarts", (json_int_t)sums.restarts, "successful_restarts",
                     (json_int_t)sums.restarts_complete, "total_reloads", (json_int_t)sums.reloads, "total_crashes",
                     (json_int_t)sums.crashes, "last_successful_restart", facts_time_new(sums.last_complete_ms),
                     "metrics", metrics.values, "alerts", metrics.alerts);
}

json_t *status_gather(struct server *server, struct run *run, const json_t *args) {
    struct theseus_error err = {0};

    (void)run;
    if (!facts_wants(args, "include_history", false))
        return NULL;
    (void)chronicle_flush(server->upkeep.chronicle, WRITTEN_MS); /* what has just happened belongs to it */
    json_t *history = history_new(server->store, &err);
    return history ? history : json_pack("{s:s}", "error", err.message);
}

static void count_errors(json_t *object) {
    const json_t *errors = json_object_get(object, "errors");

    (void)json_object_set_new(object, "error_count", json_integer((json_int_t)json_array_size(errors)));
    (void)json_object_del(object, "errors");
}

static json_t *without_details_new(const json_t *facts) {
    json_t *history = json_deep_copy(facts), *event;
    size_t i;

    json_array_foreach (json_object_get(history, "recent_restarts"), i, event)
        count_errors(event);
    json_array_foreach (json_object_get(history, "recent_crashes"), i, event)
        count_errors(event);
    return history;
}

json_t *status_answer(struct server *server, struct run *run, const json_t *args, const json_t *facts) {
    bool details = facts_wants(args, "include_error_details", true);

    loop_enter();
    (void)run;
    json_t *current = restart_status_new(server);
    if (!details)
        count_errors(current);
    return json_pack("{s:o, s:o, s:o*}", "current_status", current, "timestamp", facts_now_new(), "history",
                     !facts    ? NULL
                     : details ? json_incref((json_t *)facts)
                               : without_details_new(facts));
}
