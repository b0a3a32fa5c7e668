/* What there is to be seen of the plugins. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "plugin/ban.h"
#include "plugin/claims.h"
#include "plugin/guest.h"
#include "plugin/inner.h"
#include "plugin/probation.h"

static const char *const state_names[] = {"new", "active", "draining", "quarantined"};

static bool is_waiting(const struct plugins *plugins, const struct plugin *plugin) {
    list_for_each (link, &plugins->loader.waiting)
        if (list_entry(link, struct candidate, link)->plugin == plugin)
            return true;
    return false;
}

static json_t *calls_new(const struct stats *stats) {
    return json_pack("{s:I, s:I, s:f, s:f}", "served", (json_int_t)atomic_load(&stats->served), "failed",
                     (json_int_t)atomic_load(&stats->failed), "mean_ms", stats_mean_ms(stats), "p99_ms",
                     stats_percentile_ms(stats, 99));
}

static void read_total(void *arg, const void *recorded) {
    *(json_int_t *)arg = (json_int_t)((const struct crash_record *)recorded)->total;
}

/* Of this image, in this process. */
static json_int_t crashes_of(struct plugins *plugins, const char *hash) {
    const struct crash_record record = {.hash = span_of(hash)};
    json_int_t total = 0;

    (void)ledger_find(plugins->host->ledger, &crash_kind, &record, read_total, &total);
    return total;
}

static bool is_waited_for(const struct plugin *plugin, const struct generation *generation) {
    return generation == plugin->active && generation->since_ns > 0;
}

static json_t *time_new(int64_t wall_ms) {
    char text[CLOCK_TEXT_BYTES];

    return json_string(clock_rfc3339(wall_ms, text));
}

/* Since when the image serves: across restarts, too. */
static json_t *since_new(const struct generation *generation) {
    return time_new(clock_wall_ms() - (clock_now_ns() - generation->since_ns) / 1000000);
}

/* The version that should serve, and why it does not. NULL: it is not known any more. */
static json_t *instead_new(struct plugins *plugins, const char *plugin) {
    CLEANUP(ban_fini) struct ban ban = {0};

    if (!ban_of_plugin(plugins->host->ledger, plugin, &ban))
        return NULL;
    CLEANUP(free) char *reason = ban_crash(&ban);
    return json_pack("{s:s, s:s, s:s, s:s, s:o}", "version", ban.version, "file", ban.file, "hash", ban.hash, "reason",
                     reason, "since", time_new(ban.at_ms));
}

/* What it has crashed, whether it may, and what it stands in for. Steals `report`. */
static json_t *add_crashes(struct plugins *plugins, const struct plugin *plugin, const struct generation *generation,
                           const char *banned, json_t *report) ON_LOOP {
    if (banned) {
        (void)json_object_set_new(report, "state", json_string("reverted"));
        (void)json_object_set_new(report, "reason", json_string(banned));
        (void)json_object_set_new(report, "instead_of", instead_new(plugins, plugin->name));
    }
    if (is_waited_for(plugin, generation))
        (void)json_object_set_new(report, "since", since_new(generation));
    (void)json_object_set_new(report, "crashes", json_integer(crashes_of(plugins, image_hash(generation->image))));
    (void)json_object_set_new(report, "good", json_boolean(generation->good));
    (void)json_object_set_new(report, "probation",
                              json_boolean(is_waited_for(plugin, generation) && probation_is_on(plugins, generation)));
    return report;
}

static json_t *generation_new_report(struct plugins *plugins, const struct plugin *plugin,
                                     const struct generation *generation) ON_LOOP {
    const char *reason = generation->quarantined;
    CLEANUP(free)
    char *banned =
        generation == plugin->active ? banning_reason_of(plugins, plugin->name, image_hash(generation->image)) : NULL;

    if (!reason)
        reason = generation->trouble;
    if (!reason && generation == plugin->active && is_waiting(plugins, plugin))
        reason = "a new version waits until no call of this one runs";
    struct guest *guest = image_guest(generation->image);
    json_t *report = json_pack(
        "{s:s, s:s, s:s, s:s, s:i, s:s, s:s*, s:s, s:o*, s:o, s:i, s:o, s:{s:I, s:f}}", "name", plugin->name, "version",
        generation->version, "file", image_file(generation->image), "hash", image_hash(generation->image), "generation",
        (int)generation->number, "state", state_names[generation->state], "reason", reason, "isolation",
        guest ? "process" : "none", "process", guest ? guest_report_new(guest) : NULL, "tools",
        registry_names_new(plugins->host->registry, generation), "in_flight",
        registry_pins(plugins->host->registry, generation), "calls", calls_new(&plugin->stats), "swaps", "count",
        (json_int_t)atomic_load(&plugin->swaps.served), "p99_ms", stats_percentile_ms(&plugin->swaps, 99));
    return add_crashes(plugins, plugin, generation, banned, report);
}

struct unloaded {
    struct plugins *plugins;
    json_t *list; /* borrowed */
};

/* Nothing serves of a plugin whose file is there, because it crashed. */
static void add_unloaded(void *arg, const struct ban *ban) ON_LOOP {
    const struct unloaded *unloaded = arg;
    struct plugins *plugins = unloaded->plugins;
    const struct plugin *plugin = plugins_find(plugins, ban->plugin, false);
    CLEANUP(free) char *reason = ban_reason(ban);
    const struct stats none = {0};

    if ((plugin && plugin->active) || access(ban->file, F_OK) < 0 ||
        config_matches((*plugins->host->config)->plugins.disable, ban->plugin))
        return;
    (void)json_array_append_new(unloaded->list,
                                json_pack("{s:s, s:s, s:s, s:s, s:i, s:s, s:s, s:[], s:i, s:o, s:I, s:b, s:b}", "name",
                                          ban->plugin, "version", ban->version, "file", ban->file, "hash", ban->hash,
                                          "generation", 0, "state", "unloaded", "reason", reason, "tools", "in_flight",
                                          0, "calls", calls_new(plugin ? &plugin->stats : &none), "crashes",
                                          crashes_of(plugins, ban->hash), "probation", 0, "good", 0));
}

json_t *plugins_refused_files_new(const struct plugins *plugins) {
    json_t *refused = json_array();

    list_for_each (link, &plugins->sources) {
        const struct source *source = list_entry(link, struct source, link);
        if (source->refused)
            (void)json_array_append_new(refused,
                                        json_pack("{s:s, s:s}", "file", source->path, "reason", source->refused));
    }
    return refused;
}

json_t *plugins_refused_new(struct plugins *plugins) {
    json_t *refused = plugins_refused_files_new(plugins);

    claims_report(plugins, refused);
    return refused;
}

/* What is being looked at, and of which nothing serves, or not what it holds: it may well be the same again. */
static bool is_pending(const struct plugins *plugins, const struct source *source) {
    return source->candidates > 0 && !source->refused && (!source->plugin || is_waiting(plugins, source->plugin));
}

json_t *plugins_not_serving_new(struct plugins *plugins) {
    json_t *report = plugins_refused_new(plugins);

    list_for_each (link, &plugins->sources) {
        const struct source *source = list_entry(link, struct source, link);
        if (is_pending(plugins, source))
            (void)json_array_append_new(
                report, json_pack("{s:s, s:s}", "file", source->path, "reason",
                                  "it is still being tried, or waits until no call of the version that serves runs"));
    }
    return report;
}

json_t *plugins_report_new(struct plugins *plugins) {
    json_t *list = json_array();

    list_for_each (link, &plugins->plugins) {
        struct plugin *plugin = list_entry(link, struct plugin, link);
        if (plugin->active)
            (void)json_array_append_new(list, generation_new_report(plugins, plugin, plugin->active));
        list_for_each (old, &plugin->old)
            (void)json_array_append_new(
                list, generation_new_report(plugins, plugin, list_entry(old, struct generation, link)));
    }
    struct unloaded unloaded = {plugins, list};
    ban_each(plugins->host->ledger, add_unloaded, &unloaded);
    return json_pack("{s:o, s:o, s:o, s:o}", "plugins", list, "refused", plugins_refused_new(plugins), "disabled",
                     json_deep_copy(plugins->disabled), "stuck", hangs_report_new(plugins->hangs));
}

/* From 65 µs to 69 s, each four times the one before. */
static json_t *durations_new(const struct stats *stats) {
    json_t *borders = json_array();
    uint64_t count = stats_up_to(stats, STATS_BUCKETS);

    for (int power = 16; power <= 36; power += 2) {
        uint64_t below = stats_up_to(stats, power);
        (void)json_array_append_new(
            borders, json_pack("[f, I]", (double)(1ull << power) / 1e9, (json_int_t)(below < count ? below : count)));
    }
    return json_pack("{s:f, s:o, s:I}", "sum", (double)atomic_load(&stats->total_ns) / 1e9, "up_to", borders, "count",
                     (json_int_t)count);
}

json_t *plugins_durations_new(struct plugins *plugins) {
    json_t *durations = json_object();

    list_for_each (link, &plugins->plugins) {
        const struct plugin *plugin = list_entry(link, struct plugin, link);
        if (plugin->active)
            (void)json_object_set_new(durations, plugin->name, durations_new(&plugin->stats));
    }
    return durations;
}

json_t *plugins_generations_new(struct plugins *plugins) {
    json_t *generations = json_object();

    list_for_each (link, &plugins->plugins) {
        const struct plugin *plugin = list_entry(link, struct plugin, link);
        if (plugin->active)
            (void)json_object_set_new(generations, plugin->name, json_integer(plugin->active->number));
    }
    return generations;
}

json_t *plugins_waiting_new(struct plugins *plugins) {
    json_t *waiting = json_array();

    list_for_each (link, &plugins->loader.waiting) {
        const struct candidate *candidate = list_entry(link, struct candidate, link);
        (void)json_array_append_new(waiting,
                                    json_pack("{s:s, s:o}", "plugin", candidate->plugin->name, "calls",
                                              registry_busy_names_new(plugins->host->registry, candidate->previous)));
    }
    return waiting;
}

json_t *plugins_schemas_new(struct plugins *plugins) {
    json_t *schemas = json_object();

    list_for_each (link, &plugins->plugins) {
        const struct plugin *plugin = list_entry(link, struct plugin, link);
        bool waits = plugin->active && atomic_load(&plugin->active->awaits_schema);
        const char *const *steps = plugin->active && !waits ? plugin->active->slots.migrations : NULL;
        json_int_t count = 0;
        while (steps && steps[count])
            count++;
        if (count > 0)
            (void)json_object_set_new(schemas, plugin->name, json_integer(count));
    }
    return schemas;
}
