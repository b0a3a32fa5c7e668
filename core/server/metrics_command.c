/* `theseus metrics`: the figures of every server that runs, and of the history, in the text format of Prometheus. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/fs.h"
#include "server/commands.h"
#include "server/onlooker.h"
#include "server/prometheus.h"
#include "server/signs.h"
#include "store/figures.h"
#include "store/history.h"
#include "store/metrics.h"
#include "store/store.h"

/* {restarts_complete, restarts_failed, reloads, crashes, metrics{…}, alerts[…], figures{…}}; new reference. Where `err`
 * is set all the same, some figures are missing. */
static json_t *history_new(const struct config *config, struct theseus_error *err) {
    CLEANUP(free) char *database = path_join(config->server.state_dir, "theseus.db");
    CLEANUP(store_free) struct store *store = store_new(database);
    CLEANUP(metrics_fini) struct metrics metrics = {0};
    struct history_sums sums;
    json_auto_t *figures = NULL;

    if (figures_read(store, &figures, err) < 0 || history_sum(store, 0, &sums, err) < 0 ||
        metrics_read(store, clock_wall_ms(), &metrics, err) < 0)
        return NULL;
    return json_pack("{s:I, s:I, s:I, s:I, s:O, s:O, s:O}", "restarts_complete", (json_int_t)sums.restarts_complete,
                     "restarts_failed", (json_int_t)(sums.restarts - sums.restarts_complete), "reloads",
                     (json_int_t)sums.reloads, "crashes", (json_int_t)sums.crashes, "metrics", metrics.values, "alerts",
                     metrics.alerts, "figures", figures);
}

int command_metrics(const struct args *args, const struct config_source *source, const char *program) {
    CLEANUP(config_free) struct config *config = NULL;
    struct theseus_error err = {0};

    (void)args, (void)program;
    if (onlooker_load(&config, source, &err) < 0) {
        (void)fprintf(stderr, "theseus: %s\n", err.message);
        return 1;
    }
    json_auto_t *signs = signs_read(config->server.runtime_dir);
    json_auto_t *history = history_new(config, &err);
    CLEANUP(free) char *text = prometheus_render_all(signs, history);
    if (text)
        (void)fputs(text, stdout);
    if (!history)
        (void)fprintf(stderr, "theseus: the history cannot be read: %s\n", err.message);
    else if (err.code)
        (void)fprintf(stderr, "theseus: %s\n", err.message);
    return !text || err.code;
}
