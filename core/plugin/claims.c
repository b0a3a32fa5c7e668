#include "plugin/claims.h"

#include <stdlib.h>

#include "base/log.h"

/* The name's other owner, unless the configuration switches that off. Owned; NULL: none. */
static char *owner_of(struct plugins *plugins, const struct theseus_plugin *slots, const struct config *config,
                      const char *name) ON_LOOP {
    char *owner = registry_other_owner(plugins->host->registry, name, slots->name);

    if (owner && config_matches(config->plugins.disable, owner))
        free(TAKE_PTR(owner));
    return owner;
}

/* The reason, with the section's file and line in front. Returns -1. */
static int refuse(struct plugins *plugins, const struct config *config, const char *name, const char *owner,
                  struct theseus_error *err) ON_LOOP {
    struct settings_extra extra = apply_extra(plugins);

    (void)fail(err, ERR_BUSY, "[tool:%s] tool '%s' is already offered by plugin '%s'", name, name, owner);
    (void)settings_blame(config, &extra, err);
    return -1;
}

static bool is_in_force(const struct plugins *plugins, const struct config *config, const char *name) ON_LOOP {
    const struct config *present = *plugins->host->config;
    const struct config_section *asked = config_section_find(config->tool_sections, config->tool_count, name);
    const struct config_section *now = config_section_find(present->tool_sections, present->tool_count, name);

    return asked && now && config_section_same(asked, now);
}

struct telling {
    struct plugin_host *host;
    const char *plugin;
};

static void tell_secret(void *arg, const char *key, const json_t *value) {
    const struct telling *telling = arg;

    telling->host->secret(telling->host->arg, telling->plugin, key, value);
}

/* Before the plugin sees them: what it does with them is known to be one by then. */
static void tell_secrets(struct plugins *plugins, const struct theseus_plugin *slots, const struct config *config,
                         const json_t *settings) ON_LOOP {
    struct settings_extra extra = apply_extra(plugins);
    struct telling telling = {plugins->host, slots->name};

    if (plugins->host->secret)
        settings_each_secret(settings, slots, config, &extra, tell_secret, &telling);
}

int claims_settle(struct plugins *plugins, const struct theseus_plugin *slots, const struct config *config,
                  json_t *settings, struct theseus_error *err) {
    json_t *tools = slots->sections ? json_object_get(settings, slots->sections) : NULL, *tool;
    const char *name;
    void *next;

    tell_secrets(plugins, slots, config, settings);
    json_object_foreach_safe (tools, next, name, tool) {
        CLEANUP(free) char *owner = owner_of(plugins, slots, config, name);
        if (!owner)
            continue;
        if (!is_in_force(plugins, config, name))
            return refuse(plugins, config, name, owner, err);
        log_warning("[tool:%s] is left out: plugin '%s' offers a tool of that name", name, owner);
        (void)json_object_del(tools, name);
    }
    return 0;
}

int claims_settings_new(json_t **ret_settings, struct plugins *plugins, const struct theseus_plugin *slots,
                        struct theseus_error *err) {
    const struct config *config = *plugins->host->config;

    for (;;) {
        struct settings_extra extra = apply_extra(plugins);
        json_t *settings = NULL;
        if (settings_new(&settings, slots, config, &extra, err) < 0)
            return -1;
        if (claims_settle(plugins, slots, config, settings, err) == 0) {
            *ret_settings = settings;
            return 0;
        }
        json_decref(settings);
        if (!apply_refuse_file(plugins, err))
            return -1;
        *err = (struct theseus_error){0};
    }
}

static void report_of(struct plugins *plugins, const struct theseus_plugin *slots, json_t *refused) ON_LOOP {
    const struct config *config = *plugins->host->config;

    for (size_t i = 0; i < config->tool_count; i++) {
        const struct config_section *section = &config->tool_sections[i];
        CLEANUP(free) char *owner = owner_of(plugins, slots, config, section->name);
        struct theseus_error err = {0};
        if (!owner)
            continue;
        (void)refuse(plugins, config, section->name, owner, &err);
        (void)json_array_append_new(refused, json_pack("{s:s, s:s}", "file", section->file, "reason", err.message));
    }
}

void claims_report(struct plugins *plugins, json_t *refused) {
    list_for_each (link, &plugins->plugins) {
        const struct generation *active = list_entry(link, struct plugin, link)->active;
        if (active && active->slots.sections)
            report_of(plugins, &active->slots, refused);
    }
}
