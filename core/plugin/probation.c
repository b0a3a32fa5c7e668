#include "plugin/probation.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "plugin/inner.h"
#include "plugin/shelf.h"

/* Calls are recorded that many times on the way to what is wanted: a crash loses the count of the last ones. */
enum { CALL_STEPS = 8, KEEP_LIMIT_MS = 30000 };

static const struct config *config_of(const struct plugins *plugins) {
    return *plugins->host->config;
}

/* ---- the record ---- */

/* What the ledger knew of the plugin. */
struct known {
    char *good_path, *good_hash, *active_hash; /* owned */
    int64_t since_ns;
    uint64_t calls;
};

static void read_known(void *arg, const void *recorded) {
    const struct image_record *record = recorded;
    struct known *known = arg;

    known->good_path = xstrndup(record->good_path.data, record->good_path.len);
    known->good_hash = xstrndup(record->good_hash.data, record->good_hash.len);
    known->active_hash = xstrndup(record->active_hash.data, record->active_hash.len);
    known->since_ns = (int64_t)record->since_ns;
    known->calls = record->calls;
}

static void known_fini_cleanup(struct known *known) {
    free(known->good_path);
    free(known->good_hash);
    free(known->active_hash);
}

static void find_known(struct known *known, const struct plugins *plugins, const char *name) {
    struct image_record record = {.plugin = span_of(name)};

    (void)ledger_find(plugins->host->ledger, &image_kind, &record, read_known, known);
}

/* Their names, with a newline behind each. Owned. */
static char *tools_of(const struct plugins *plugins, const struct generation *generation) {
    json_auto_t *names = registry_names_new(plugins->host->registry, generation);
    CLEANUP(buf_fini) struct buf text = {0};
    json_t *name;
    size_t i;

    json_array_foreach (names, i, name)
        if (buf_printf(&text, NULL, "%s\n", json_string_value(name)) < 0)
            abort(); /* no memory for a few names */
    char *list = buf_take_string(&text);
    return list ? list : xstrdup("");
}

void probation_record(struct plugins *plugins, const struct plugin *plugin) {
    struct generation *active = plugin->active;
    const struct image *image = active->image;
    CLEANUP(known_fini) struct known known = {0};
    CLEANUP(free) char *tools = tools_of(plugins, active);
    CLEANUP(free) char *kept = shelf_path(config_of(plugins)->server.state_dir, image_hash(image));
    struct theseus_error err = {0};

    find_known(&known, plugins, plugin->name);
    const struct image_record record = {.plugin = span_of(plugin->name),
                                        .file = span_of(image_file(image)),
                                        .active_path = span_of(image_path(image)),
                                        .active_hash = span_of(image_hash(image)),
                                        .good_path = span_of(active->good ? kept : known.good_path),
                                        .good_hash = span_of(active->good ? image_hash(image) : known.good_hash),
                                        .generation = active->number,
                                        .since_ns = (uint64_t)active->since_ns,
                                        .calls = atomic_load(&active->calls),
                                        .version = span_of(active->version),
                                        .tools = span_of(tools)};
    if (ledger_put(plugins->host->ledger, &image_kind, &record, &err) < 0)
        log_error("an image could not be recorded: %s", err.message);
    free(active->recorded_tools);
    active->recorded_tools = TAKE_PTR(tools);
}

void probation_tools_changed(struct plugins *plugins) {
    list_for_each (link, &plugins->plugins) {
        const struct plugin *plugin = list_entry(link, struct plugin, link);
        if (!plugin->active || !plugin->active->recorded_tools)
            continue;
        CLEANUP(free) char *tools = tools_of(plugins, plugin->active);
        if (strcmp(tools, plugin->active->recorded_tools) != 0)
            probation_record(plugins, plugin);
    }
}

/* ---- on the shelf; on the lane ---- */

struct keeping {
    struct lane_job job;
    struct plugins *plugins;
    char *state_dir, *name, *file, *version, *hash, *path; /* owned */
    int r;
    struct theseus_error err;
};

static void keep_run(void *job) {
    struct keeping *keeping = container_of((struct lane_job *)job, struct keeping, job);
    const struct shelf_image image = {.plugin = keeping->name,
                                      .file = keeping->file,
                                      .version = keeping->version,
                                      .hash = keeping->hash,
                                      .path = keeping->path};

    keeping->r = shelf_keep(keeping->state_dir, &image, &keeping->err);
}

static void keeping_free(struct keeping *keeping) {
    free(keeping->state_dir);
    free(keeping->name);
    free(keeping->file);
    free(keeping->version);
    free(keeping->hash);
    free(keeping->path);
    free(keeping);
}

static void on_kept(struct lane_job *job, bool timed_out) {
    struct keeping *keeping = container_of(job, struct keeping, job);
    struct plugins *plugins = keeping->plugins;

    loop_enter();
    const struct plugin *plugin = plugins_find(plugins, keeping->name, false);
    if (timed_out || keeping->r < 0)
        log_warning("version %s of plugin '%s' is good, but cannot be kept for a bad day: %s", keeping->version,
                    keeping->name, timed_out ? "the disk does not answer" : keeping->err.message);
    else
        log_info("version %s of plugin '%s' is known to be good from here on", keeping->version, keeping->name);
    if (!timed_out && keeping->r == 0 && !plugins->stopping && plugin && plugin->active &&
        strcmp(image_hash(plugin->active->image), keeping->hash) == 0) {
        plugin->active->good = true;
        probation_record(plugins, plugin);
    }
    if (!timed_out)
        keeping_free(keeping);
}

static void on_kept_late(struct lane_job *job) {
    keeping_free(container_of(job, struct keeping, job));
}

static void keep(struct plugins *plugins, struct generation *generation) ON_LOOP {
    struct keeping *keeping = xcalloc(1, sizeof(*keeping));

    generation->keeping = true;
    keeping->plugins = plugins;
    keeping->state_dir = xstrdup(config_of(plugins)->server.state_dir);
    keeping->name = xstrdup(generation->name);
    keeping->file = xstrdup(image_file(generation->image));
    keeping->version = xstrdup(generation->version);
    keeping->hash = xstrdup(image_hash(generation->image));
    keeping->path = xstrdup(image_path(generation->image));
    keeping->job = (struct lane_job){.run = keep_run, .done = on_kept, .late = on_kept_late, .limit_ms = KEEP_LIMIT_MS};
    lane_submit(plugins->host->lane, &keeping->job);
}

/* ---- waiting ---- */

static int64_t age_ms(const struct generation *generation) {
    return (clock_now_ns() - generation->since_ns) / 1000000;
}

bool probation_is_on(const struct plugins *plugins, const struct generation *generation) {
    const struct config *config = config_of(plugins);

    return !generation->good && age_ms(generation) < config->crash.probation * INT64_C(1000) &&
           atomic_load(&generation->calls) < (uint64_t)config->crash.probation_calls;
}

/* The number of calls at which to look again; 0: none. */
static uint64_t next_mark(uint64_t calls, uint64_t wanted) {
    const uint64_t step = wanted / CALL_STEPS ? wanted / CALL_STEPS : 1;

    return calls >= wanted ? 0 : calls + step < wanted ? calls + step : wanted;
}

/* Returns for how long there is nothing to do but wait; negative: no time is waited for. */
static int64_t look_at(struct plugins *plugins, const struct plugin *plugin) ON_LOOP {
    const struct config *config = config_of(plugins);
    struct generation *active = plugin->active;
    const uint64_t wanted = (uint64_t)config->crash.probation_calls;

    atomic_store(&active->calls_mark, next_mark(atomic_load(&active->calls), wanted));
    const uint64_t calls = atomic_load(&active->calls); /* afterwards: none is missed */
    const int64_t left_ms = config->crash.probation * INT64_C(1000) - age_ms(active);
    if (calls >= wanted && left_ms <= 0)
        keep(plugins, active);
    return left_ms;
}

static bool is_waited_for(const struct plugin *plugin) {
    const struct generation *active = plugin->active;

    return active && active->since_ns > 0 && !active->good && !active->keeping;
}

static void on_time(void *arg) {
    loop_enter();
    probation_look(arg);
}

static void look(struct plugins *plugins, bool record) ON_LOOP {
    int64_t soonest_ms = -1;

    if (plugins->stopping || plugins->host->rehearsal)
        return;
    list_for_each (link, &plugins->plugins) {
        const struct plugin *plugin = list_entry(link, struct plugin, link);
        if (!is_waited_for(plugin))
            continue;
        if (record)
            probation_record(plugins, plugin);
        int64_t left_ms = look_at(plugins, plugin);
        if (left_ms > 0 && (soonest_ms < 0 || left_ms < soonest_ms))
            soonest_ms = left_ms;
    }
    if (!plugins->proving)
        plugins->proving = timer_new(plugins->host->loop, on_time, plugins);
    timer_stop(plugins->proving);
    if (soonest_ms > 0)
        timer_start(plugins->proving, soonest_ms, 0);
}

void probation_look(struct plugins *plugins) {
    look(plugins, true);
}

void probation_begin(struct plugins *plugins, struct generation *generation, bool restored) {
    CLEANUP(known_fini) struct known known = {0};
    const char *hash = image_hash(generation->image);

    find_known(&known, plugins, generation->name);
    bool same = known.active_hash && strcmp(known.active_hash, hash) == 0;
    generation->since_ns = restored && same && known.since_ns > 0 ? known.since_ns : clock_now_ns();
    if (restored && same)
        atomic_store(&generation->calls, known.calls);
    generation->good = (same && known.good_hash && strcmp(known.good_hash, hash) == 0) ||
                       shelf_has(config_of(plugins)->server.state_dir, hash);
    probation_record(plugins, generation->plugin);
    look(plugins, false);
}

void probation_fini(struct plugins *plugins) {
    plugins->proving = timer_free(plugins->proving);
}
