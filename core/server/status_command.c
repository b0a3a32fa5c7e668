/* `theseus status`: every server that runs with this configuration's runtime directory, and the last restarts. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "server/commands.h"
#include "server/signs.h"
#include "store/history.h"
#include "store/store.h"

enum { REFRESH_S = 2, RECENT = 5 };
#define CLEAR_SCREEN "\033[H\033[2J"

static const char *text_of(const json_t *object, const char *name) {
    const char *text = json_string_value(json_object_get(object, name));

    return text ? text : "";
}

static json_int_t number_of(const json_t *object, const char *name) {
    return json_integer_value(json_object_get(object, name));
}

/* ---- one server ---- */

static void print_uptime(double seconds) {
    int minutes = (int)(seconds / 60);

    if (minutes >= 24 * 60)
        (void)printf("%d d %d h", minutes / (24 * 60), minutes / 60 % 24);
    else if (minutes >= 60)
        (void)printf("%d h %d min", minutes / 60, minutes % 60);
    else
        (void)printf("%d min %d s", minutes, (int)seconds % 60);
}

static void print_clients(const json_t *clients) {
    const json_t *session;
    size_t i;

    (void)printf("  clients        %zu\n", json_array_size(clients));
    json_array_foreach (clients, i, session) {
        const json_t *client = json_object_get(session, "client");
        const char *name = text_of(client, "name");
        (void)printf("                 %s %s, %s, %s\n", name[0] ? name : "(nameless)", text_of(client, "version"),
                     text_of(session, "transport"), text_of(session, "state"));
    }
}

static void print_plugins(const json_t *plugins) {
    const json_t *plugin;
    size_t i;

    json_array_foreach (plugins, i, plugin)
        (void)printf("%s%s %s, %s: %lld calls, %lld failed\n", i ? "                 " : "  plugins        ",
                     text_of(plugin, "name"), text_of(plugin, "version"), text_of(plugin, "state"),
                     (long long)number_of(json_object_get(plugin, "calls"), "served"),
                     (long long)number_of(json_object_get(plugin, "calls"), "failed"));
}

static void print_issues(const json_t *issues) {
    const json_t *issue;
    size_t i;

    json_array_foreach (issues, i, issue)
        (void)printf("%s%s\n", i ? "                 " : "  to be mended   ", json_string_value(issue));
}

static void print_server(const json_t *sign) {
    const json_t *health = json_object_get(sign, "health"), *restart = json_object_get(sign, "restart");
    const json_t *requests = json_object_get(sign, "requests");

    (void)printf("theseus %s, pid %lld, %s, up ", text_of(sign, "version"), (long long)number_of(sign, "pid"),
                 json_is_true(json_object_get(health, "healthy")) ? "healthy" : "NOT HEALTHY");
    print_uptime(json_number_value(json_object_get(health, "uptime_s")));
    (void)printf(" (as of %s)\n", text_of(sign, "written_at"));
    print_issues(json_object_get(health, "issues"));
    (void)printf("  directory      %s\n  configuration  %s\n", text_of(sign, "directory"), text_of(sign, "config"));
    print_clients(json_object_get(sign, "clients"));
    (void)printf("  requests       %lld worked on, %lld held\n", (long long)number_of(requests, "in_flight"),
                 (long long)number_of(requests, "held"));
    print_plugins(json_object_get(sign, "plugins"));
    (void)printf("  restarts       %lld; %s\n", (long long)number_of(sign, "restarts"), text_of(restart, "message"));
}

/* ---- the history ---- */

static void print_event(void *arg, const struct history_event *event) {
    char at[CLOCK_TEXT_BYTES];

    *(bool *)arg = true;
    (void)printf("  %s  %s, %s", clock_rfc3339(event->started_ms, at), event->reason,
                 event->success ? "complete" : "failed");
    if (event->blackout_ms >= 0)
        (void)printf(", blackout %.1f ms", event->blackout_ms);
    (void)printf("\n");
}

static int print_history(struct store *store, struct theseus_error *err) {
    const struct history_query query = {.restarts_only = true, .limit = RECENT};

    bool any = false;

    (void)printf("last restarts\n");
    if (history_each(store, &query, print_event, &any, err) < 0)
        return -1;
    if (!any)
        (void)printf("  none\n");
    return 0;
}

static int print_all(const struct config *config, bool as_json, struct theseus_error *err) {
    json_auto_t *signs = signs_read(config->server.runtime_dir);
    CLEANUP(free) char *database = path_join(config->server.state_dir, "theseus.db");
    CLEANUP(store_free) struct store *store = store_new(database);
    const json_t *sign;
    size_t i;

    if (as_json) {
        (void)json_dumpf(signs, stdout, JSON_INDENT(2));
        (void)printf("\n");
        return 0;
    }
    if (json_array_size(signs) == 0)
        (void)printf("no server runs with %s\n", config->file);
    json_array_foreach (signs, i, sign)
        print_server(sign);
    return print_history(store, err);
}

int command_status(const struct args *args, const struct config_source *source, const char *program) {
    CLEANUP(config_free) struct config *config = NULL;
    struct theseus_error err = {0};
    int r = config_load(&config, source, NULL, NULL, &err);

    (void)program;
    for (;;) {
        if (r == 0 && args->watch)
            (void)printf("%s", isatty(STDOUT_FILENO) ? CLEAR_SCREEN : "");
        if (r == 0)
            r = print_all(config, args->json, &err);
        if (r < 0 || !args->watch)
            break;
        (void)fflush(stdout);
        (void)sleep(REFRESH_S);
    }
    if (r < 0)
        (void)fprintf(stderr, "theseus: %s\n", err.message);
    return r < 0;
}
