/*
 * `theseus status`: every server that runs with this configuration's runtime directory, what plugins have to say in
 * numbers, and the last restarts.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "server/commands.h"
#include "server/onlooker.h"
#include "server/rows.h"
#include "server/signs.h"
#include "server/status_server.h"
#include "store/figures.h"
#include "store/history.h"
#include "store/store.h"

enum { REFRESH_S = 2, RECENT = 5 };
#define CLEAR_SCREEN "\033[H\033[2J"

/* {servers[], figures{plugin{name{label: value}}}, last_restarts[]}: what is shown, in text or as it is. */
struct status {
    json_t *servers, *figures, *restarts; /* owned */
};

static void status_fini_cleanup(struct status *status) {
    json_decref(status->servers);
    json_decref(status->figures);
    json_decref(status->restarts);
}

static int status_read(struct status *status, const struct config *config, struct theseus_error *err) {
    CLEANUP(free) char *database = path_join(config->server.state_dir, "theseus.db");
    CLEANUP(store_free) struct store *store = store_new(database);
    const struct history_query query = {.restarts_only = true, .limit = RECENT};

    status->servers = signs_read(config->server.runtime_dir);
    int r = history_list(store, &query, &status->restarts, err);
    return figures_read(store, &status->figures, err) != 0 ? -1 : r; /* some may be there all the same */
}

/* ---- in text ---- */

static void print_figures(const json_t *figures) {
    const char *plugin, *name, *label;
    json_t *names, *labels, *value;

    json_object_foreach ((json_t *)figures, plugin, names) {
        json_object_foreach (names, name, labels) {
            CLEANUP(buf_fini) struct buf text = {0};
            json_object_foreach (labels, label, value)
                (void)!buf_printf(&text, NULL, "%s%.15g%s%s", text.len ? ", " : "", json_number_value(value),
                                  label[0] ? " " : "", label);
            CLEANUP(free) char *row = buf_take_string(&text);
            CLEANUP(free) char *both = strcmp(plugin, name) == 0 ? xstrdup(name) : xasprintf("%s %s", plugin, name);
            rows_print(stdout, both, "%s", row ? row : "");
        }
    }
}

static void print_restarts(const json_t *restarts) {
    const json_t *event;
    size_t i;

    json_array_foreach (restarts, i, event) {
        const json_t *blackout = json_object_get(event, "blackout_ms");
        CLEANUP(free)
        char *dark =
            json_is_number(blackout) ? xasprintf(", blackout %.1f ms", json_number_value(blackout)) : xstrdup("");
        rows_print(stdout, i ? NULL : "last restarts", "%.19sZ %s, %s%s",
                   json_string_value(json_object_get(event, "timestamp")),
                   json_string_value(json_object_get(event, "reason")),
                   json_is_true(json_object_get(event, "success")) ? "complete" : "failed", dark);
    }
    if (restarts && json_array_size(restarts) == 0)
        rows_print(stdout, "last restarts", "none");
}

static void print_text(const struct status *status, const struct config *config) {
    const json_t *sign;
    size_t i;

    json_array_foreach (status->servers, i, sign) {
        status_print_server(stdout, sign);
        (void)printf("\n");
    }
    if (i == 0)
        (void)printf("no server runs with %s\n\n", config->file);
    if (json_object_size(status->figures) > 0 || json_array_size(status->restarts) > 0 || i > 0)
        (void)printf("in %s\n", config->server.state_dir);
    print_figures(status->figures);
    print_restarts(status->restarts);
}

static int print_all(const struct config *config, bool as_json, struct theseus_error *err) {
    CLEANUP(status_fini) struct status status = {0};
    int r = status_read(&status, config, err);

    if (as_json) {
        json_auto_t *all = json_pack("{s:O, s:O?, s:O?}", "servers", status.servers, "figures", status.figures,
                                     "last_restarts", status.restarts);
        (void)json_dumpf(all, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(15));
        (void)printf("\n");
    } else {
        print_text(&status, config);
    }
    return r;
}

static int complain(const struct theseus_error *err) {
    (void)fprintf(stderr, "theseus: %s\n", err->message);
    return 1;
}

int command_status(const struct args *args, const struct config_source *source, const char *program) {
    CLEANUP(config_free) struct config *config = NULL;
    struct theseus_error err = {0};

    (void)program;
    if (onlooker_load(&config, source, &err) < 0)
        return complain(&err);
    for (;;) {
        if (args->watch && isatty(STDOUT_FILENO))
            (void)printf(CLEAR_SCREEN);
        int status = print_all(config, args->json, &err) < 0 ? complain(&err) : 0;
        err = (struct theseus_error){0};
        if (fflush(stdout) == EOF || !args->watch)
            return status;
        (void)sleep(REFRESH_S);
    }
}
