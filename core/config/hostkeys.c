#include "config/hostkeys.h"

#include <stdlib.h>
#include <string.h>

#include "config/option.h"

enum { M = 1 << 20, DAY = 24 * 60 * 60 };

static const char *const isolations[] = {"none", "process", NULL}; /* as enum config_isolation */

/* Of struct config_section. */
static const struct option_def keys[] = {
    {"plugin:NAME", "isolation", OPT_ENUM, OPT_IN_PLACE, offsetof(struct config_section, isolation), .text = "none",
     .words = isolations},
    {"plugin:NAME", "memory", OPT_SIZE, OPT_IN_PLACE, offsetof(struct config_section, memory), .text = "512M",
     .min = 64 * (int64_t)M, .max = 1024 * 1024 * (int64_t)M},
    {"plugin:NAME", "call_timeout", OPT_SECONDS, OPT_IN_PLACE, offsetof(struct config_section, call_timeout),
     .text = "", .min = 1, .max = DAY},
};

static void set_default(const struct option_def *key, struct config_section *section) {
    int r = *key->text ? option_set_in(key, section, key->text, "/", NULL) : 0;

    if (r < 0)
        abort(); /* the table's own text */
}

static void refuse(const struct config_section *section, const char *key, struct problems *problems) {
    CLEANUP(free) char *written = xasprintf(".%s", key);
    const char *names[ARRAY_SIZE(keys)];

    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        names[i] = keys[i].key;
    const char *nearest = config_nearest(key, names, ARRAY_SIZE(keys));
    problems_add(problems, section->file, config_section_line(section, written),
                 "unknown key '.%s' in [plugin:%s]%s%s%s", key, section->name, nearest ? "; did you mean '." : "",
                 nearest ? nearest : "", nearest ? "'?" : "");
}

static void set(struct config_section *section, const char *key, const char *value, struct problems *problems) {
    CLEANUP(free) char *written = xasprintf(".%s", key);
    struct theseus_error err = {0};

    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        if (strcmp(keys[i].key, key) != 0)
            continue;
        if (option_set_in(&keys[i], section, value, "/", &err) < 0)
            problems_add(problems, section->file, config_section_line(section, written), "[plugin:%s] .%s: %s",
                         section->name, key, err.message);
        return;
    }
    refuse(section, key, problems);
}

void hostkeys_read(struct config_section *section, struct problems *problems) {
    const char *key;
    json_t *value;

    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        set_default(&keys[i], section);
    json_object_foreach (section->host, key, value)
        set(section, key, json_string_value(value), problems);
}

enum config_isolation config_isolation_of(const struct config *config, const char *plugin, size_t *ret_memory) {
    const struct config_section *section = config_section_find(config->plugin_sections, config->plugin_count, plugin);

    *ret_memory = section ? section->memory : 0;
    return section ? section->isolation : ISOLATION_NONE;
}

int config_plugin_call_timeout(const struct config *config, const char *plugin) {
    const struct config_section *section = config_section_find(config->plugin_sections, config->plugin_count, plugin);

    return section ? section->call_timeout : 0;
}
