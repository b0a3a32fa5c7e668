/* What there is to be seen of the plugins. */
#include <stdlib.h>

#include "plugin/claims.h"
#include "plugin/guest.h"
#include "plugin/inner.h"

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

static json_t *generation_new_report(struct plugins *plugins, const struct plugin *plugin,
                                     const struct generation *generation) {
    const char *reason = generation->quarantined;

    if (!reason)
        reason = generation->trouble;
    if (!reason && generation == plugin->active && is_waiting(plugins, plugin))
        reason = "a new version waits until no call of this one runs";
    struct guest *guest = image_guest(generation->image);
    return json_pack(
        "{s:s, s:s, s:s, s:s, s:i, s:s, s:s*, s:s, s:o*, s:o, s:i, s:o, s:{s:I, s:f}}", "name", plugin->name, "version",
        generation->version, "file", image_file(generation->image), "hash", image_hash(generation->image), "generation",
        (int)generation->number, "state", state_names[generation->state], "reason", reason, "isolation",
        guest ? "process" : "none", "process", guest ? guest_report_new(guest) : NULL, "tools",
        registry_names_new(plugins->host->registry, generation), "in_flight",
        registry_pins(plugins->host->registry, generation), "calls", calls_new(&plugin->stats), "swaps", "count",
        (json_int_t)atomic_load(&plugin->swaps.served), "p99_ms", stats_percentile_ms(&plugin->swaps, 99));
}

json_t *plugins_refused_new(struct plugins *plugins) {
    json_t *refused = json_array();

    list_for_each (link, &plugins->sources) {
        const struct source *source = list_entry(link, struct source, link);
        if (source->refused)
            (void)json_array_append_new(refused,
                                        json_pack("{s:s, s:s}", "file", source->path, "reason", source->refused));
    }
    claims_report(plugins, refused);
    return refused;
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
    return json_pack("{s:o, s:o, s:O}", "plugins", list, "refused", plugins_refused_new(plugins), "disabled",
                     plugins->disabled);
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
        const char *const *steps = plugin->active ? plugin->active->slots.migrations : NULL;
        json_int_t count = 0;
        while (steps && steps[count])
            count++;
        if (count > 0)
            (void)json_object_set_new(schemas, plugin->name, json_integer(count));
    }
    return schemas;
}
