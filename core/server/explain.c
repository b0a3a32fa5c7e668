#include "server/explain.h"

#include <stdlib.h>
#include <sys/wait.h>

#include "base/binary.h"
#include "base/hash.h"
#include "loop/child.h"
#include "server/facts.h"
#include "server/inner.h"
#include "store/history.h"
#include "store/metrics.h"
#include "store/migrate.h"
#include "store/schema.h"

/* ---- on the asking thread ---- */

struct blackouts {
    double *values; /* owned */
    size_t count;
};

static int by_value(const void *a, const void *b) {
    double first = *(const double *)a, second = *(const double *)b;

    return (first > second) - (first < second);
}

static void note_blackout(void *arg, const struct history_event *event) {
    struct blackouts *blackouts = arg;

    if (!event->success || event->blackout_ms < 0)
        return;
    blackouts->values = xreallocarray(blackouts->values, blackouts->count + 1, sizeof(double));
    blackouts->values[blackouts->count++] = event->blackout_ms;
}

static json_t *blackout_new(struct store *store) {
    const struct history_query query = {.restarts_only = true, .limit = 1000};
    struct blackouts blackouts = {0};
    json_t *median = NULL;

    if (history_each(store, &query, note_blackout, &blackouts, NULL) == 0 && blackouts.count > 0) {
        qsort(blackouts.values, blackouts.count, sizeof(double), by_value);
        median = json_real(metrics_percentile(blackouts.values, blackouts.count, 50));
    }
    free(blackouts.values);
    return median ? median : json_null();
}

static void note_version(void *arg, const char *component, int version) {
    (void)json_object_set_new(arg, component, json_integer(version));
}

/* Is the program behind the path another one than this? null: there is none. */
static json_t *changed_new(const char *path) {
    CLEANUP(binary_close) struct binary own = {.fd = -1}, candidate = {.fd = -1};
    char own_hash[HASH_TEXT_BYTES], hash[HASH_TEXT_BYTES];

    if (binary_open_own(&own, NULL) < 0 || binary_open(&candidate, path, NULL) < 0)
        return json_null();
    if (own.seen.st_dev == candidate.seen.st_dev && own.seen.st_ino == candidate.seen.st_ino)
        return json_false();
    if (hash_fd(own.fd, own_hash, NULL) < 0 || hash_fd(candidate.fd, hash, NULL) < 0)
        return json_null();
    return json_boolean(strcmp(own_hash, hash) != 0);
}

json_t *explain_gather_new(struct server *server) {
    char *path = server->started_by;
    json_t *versions = json_object();
    struct theseus_error err = {0};
    int r = store_each_version(server->store, note_version, versions, &err);

    return json_pack("{s:s, s:o, s:o, s:s?, s:o}", "path", path, "changed", changed_new(path), "versions", versions,
                     "database", r < 0 ? err.message : NULL, "blackout", blackout_new(server->store));
}

/* ---- on the loop ---- */

struct explain {
    struct asked *asked;
    json_t *answer, *calls; /* owned */
    struct child *child;    /* owned */
};

static void add_difference(void *arg, const char *name, bool in_place) {
    (void)json_array_append_new(arg, json_pack("{s:s, s:b}", "name", name, "in_place", in_place));
}

/* What only a new image takes is a difference for as long as this one runs. */
static void add_postponed(void *arg, const char *name, bool in_place) {
    if (!in_place)
        add_difference(arg, name, in_place);
}

static json_t *differences_new(struct server *server, json_t *problems) ON_LOOP {
    CLEANUP(config_free) struct config *next = NULL;
    struct theseus_error err = {0};
    json_t *differences = json_array();

    if (config_load(&next, &server->source, NULL, NULL, &err) < 0) {
        facts_add_text(problems, "configuration: %s", err.message);
        return differences;
    }
    config_diff(server->config, next, add_difference, differences);
    if (server->reconfigure.at_start)
        config_diff(server->reconfigure.at_start, server->config, add_postponed, differences);
    return differences;
}

static void add_migration(json_t *list, const char *component, json_int_t steps, const json_t *versions) {
    json_int_t applied = json_integer_value(json_object_get(versions, component));

    if (steps > applied)
        (void)json_array_append_new(
            list, json_pack("{s:s, s:I, s:I}", "component", component, "applied", applied, "pending", steps - applied));
}

/* A database in which nothing is has nothing to migrate: its tables are made when they are first used. */
static json_t *migrations_new(struct server *server, const json_t *versions) ON_LOOP {
    json_auto_t *schemas = plugins_schemas_new(server->plugins);
    json_t *list = json_array(), *steps;
    const char *plugin;
    json_int_t core = 0;

    while (schema_core_steps[core])
        core++;
    if (json_object_get(versions, SCHEMA_CORE))
        add_migration(list, SCHEMA_CORE, core, versions);
    json_object_foreach (schemas, plugin, steps)
        add_migration(list, plugin, json_integer_value(steps), versions);
    return list;
}

/* "theseus VERSION" */
static json_t *version_new(struct span output) {
    const char word[] = "theseus ";
    size_t skip = sizeof(word) - 1;

    if (output.len <= skip || memcmp(output.data, word, skip) != 0)
        return json_null();
    const char *end = memchr(output.data, '\n', output.len);
    return end ? json_stringn(output.data + skip, (size_t)(end - output.data) - skip) : json_null();
}

static void finish(struct explain *explain, json_t *version, const char *problem) ON_LOOP {
    struct server *server = explain->asked->server;
    const json_t *facts = explain->asked->facts, *database = json_object_get(facts, "database");
    json_t *problems = json_array(), *answer = TAKE_PTR(explain->answer);

    if (problem)
        facts_add_text(problems, "candidate: %s", problem);
    if (json_is_string(database))
        facts_add_text(problems, "database: %s", json_string_value(database));
    json_t *differences = differences_new(server, problems);
    json_t *report = json_pack("{s:{s:O, s:o, s:O}, s:o, s:o, s:o, s:O, s:O, s:o}", "candidate", "path",
                               json_object_get(facts, "path"), "version", version, "changed",
                               json_object_get(facts, "changed"), "configuration_differences", differences,
                               "plugins_that_would_change", plugins_changes_new(server->plugins), "migrations_pending",
                               migrations_new(server, json_object_get(facts, "versions")), "calls", explain->calls,
                               "expected_blackout_ms", json_object_get(facts, "blackout"), "problems", problems);
    if (json_object_set_new(answer, "explain", report) < 0)
        json_decref(TAKE_PTR(answer));
    control_answer(explain->asked, answer);
}

static void on_ended(void *arg, const struct child_result *result) {
    struct explain *explain = arg;
    const char *problem = NULL;

    loop_enter();
    if (control_is_closed(explain->asked)) {
        control_answer(explain->asked, NULL);
        return;
    }
    json_t *version = version_new(result->output);
    if (result->timed_out)
        problem = "it does not say its version in time";
    else if (result->wait_status != 0 || !json_is_string(version))
        problem = "it does not say its version";
    finish(explain, version, problem);
}

static void end(void *work) {
    struct explain *explain = work;

    loop_enter();
    explain->child = child_free(explain->child);
    json_decref(explain->answer);
    json_decref(explain->calls);
    free(explain);
}

static int ask_candidate(struct explain *explain, struct theseus_error *err) ON_LOOP {
    struct server *server = explain->asked->server;
    char *path = server->started_by;
    CLEANUP(binary_close) struct binary candidate = {.fd = -1};
    char *const argv[] = {path, (char[]){"--version"}, NULL};

    if (binary_open(&candidate, path, err) < 0)
        return -1;
    const struct child_spec spec = {.stdin_fd = -1,
                                    .stdout_fd = -1,
                                    .stderr_fd = -1,
                                    .exec_fd = candidate.fd,
                                    .path = path,
                                    .argv = argv,
                                    .time_limit_ms = server->config->restart.process_startup * 1000,
                                    .max_output = 4096};
    return child_start(&explain->child, server->loop, &spec, on_ended, explain, err);
}

void explain_begin(struct asked *asked, json_t *answer, json_t *calls) {
    struct explain *explain = xcalloc(1, sizeof(*explain));
    struct theseus_error err = {0};

    explain->asked = asked;
    explain->answer = answer;
    explain->calls = json_incref(calls);
    asked->work = explain;
    asked->end = end;
    if (ask_candidate(explain, &err) < 0)
        finish(explain, json_null(), err.message);
}
