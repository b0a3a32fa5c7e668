#include "config/hostkey.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { DAY = 24 * 60 * 60 };

static int check_call_timeout(const char *value, struct theseus_error *err) {
    char *end;

    errno = 0;
    long seconds = strtol(value, &end, 10);
    if (errno || end == value || *end || seconds < 1 || seconds > DAY)
        return fail(err, ERR_INVALID, "'%.60s' is not a whole number of seconds, 1 to %d", value, DAY);
    return 0;
}

static const struct host_key {
    const char *name;
    int (*check)(const char *value, struct theseus_error *err);
} host_keys[] = {
    {"call_timeout", check_call_timeout},
};

static const struct host_key *find(const char *name) {
    for (size_t i = 0; i < ARRAY_SIZE(host_keys); i++)
        if (strcmp(host_keys[i].name, name) == 0)
            return &host_keys[i];
    return NULL;
}

static void refuse(const struct document_section *section, const struct document_entry *entry, const char *file,
                   struct problems *problems) {
    const char *names[ARRAY_SIZE(host_keys)];

    for (size_t i = 0; i < ARRAY_SIZE(host_keys); i++)
        names[i] = host_keys[i].name;
    const char *nearest = config_nearest(entry->key + 1, names, ARRAY_SIZE(host_keys));
    if (nearest)
        problems_add(problems, file, entry->line, "unknown key '%s' in [%s]; did you mean '.%s'?", entry->key,
                     section->name, nearest);
    else
        problems_add(problems, file, entry->line, "unknown key '%s' in [%s]", entry->key, section->name);
}

void hostkey_check(const struct document_section *section, const char *file, struct problems *problems) {
    for (const struct document_entry *entry = section->entries; entry < section->entries + section->count; entry++) {
        struct theseus_error err = {0};
        if (entry->key[0] != '.')
            continue;
        const struct host_key *key = find(entry->key + 1);
        if (!key)
            refuse(section, entry, file, problems);
        else if (key->check(entry->value, &err) < 0)
            problems_add(problems, file, entry->line, "[%s] %s: %s", section->name, entry->key, err.message);
    }
}

int config_plugin_call_timeout(const struct config *config, const char *plugin) {
    const struct config_section *section = config_section_find(config->plugin_sections, config->plugin_count, plugin);
    const char *value = section ? json_string_value(json_object_get(section->host, "call_timeout")) : NULL;

    return value ? (int)strtol(value, NULL, 10) : 0;
}
