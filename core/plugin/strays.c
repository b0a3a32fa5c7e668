#include "plugin/strays.h"

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "plugin/ban.h"
#include "plugin/inner.h"

/* ---- what plugins are called ---- */

static void add_name(json_t *names, const char *name) {
    (void)json_object_set_new(names, name, json_true());
}

static void add_file(json_t *names, const char *path) {
    const char *base = path_base(path), *end = strrchr(base, '.');
    CLEANUP(free) char *name = xstrndup(base, end ? (size_t)(end - base) : strlen(base));

    add_name(names, name);
}

static void add_banned(void *arg, const struct ban *ban) {
    add_name(arg, ban->plugin);
}

/* A file from which nothing is served may hold the plugin that is called like it. Names, as keys; new reference. */
static json_t *names_new(struct plugins *plugins) ON_LOOP {
    json_t *names = json_object(), *path;
    size_t i;

    list_for_each (link, &plugins->plugins) {
        const struct plugin *plugin = list_entry(link, struct plugin, link);
        if (plugin->active)
            add_name(names, plugin->name);
    }
    list_for_each (link, &plugins->sources) {
        const struct source *source = list_entry(link, struct source, link);
        if (!source->is_ini && !source->plugin)
            add_file(names, source->path);
    }
    json_array_foreach (plugins->disabled, i, path)
        add_file(names, json_string_value(path));
    ban_each(plugins->host->ledger, add_banned, names);
    return names;
}

/* ---- sections ---- */

static const char *nearest_of(const json_t *names, const char *name) {
    CLEANUP(free) const char **list = xcalloc(json_object_size(names) + 1, sizeof(char *));
    const char *known;
    size_t count = 0;
    json_t *value;

    json_object_foreach ((json_t *)(uintptr_t)names, known, value)
        list[count++] = known;
    return config_nearest(name, list, count);
}

static json_t *stray_new(const struct config_section *section, const char *nearest) {
    CLEANUP(free) char *hint = nearest ? xasprintf("; did you mean [plugin:%s]?", nearest) : xstrdup("");
    CLEANUP(free)
    char *text = xasprintf("[plugin:%s] is no plugin's that is there, so nothing in it is in force%s%s", section->name,
                           section->isolation == ISOLATION_PROCESS ? ", and no plugin is isolated by it" : "", hint);

    return json_pack("{s:s, s:i, s:s}", "file", section->file, "line", section->line, "text", text);
}

json_t *strays_new(struct plugins *plugins) {
    const struct config *config = *plugins->host->config;
    json_auto_t *names = names_new(plugins);
    json_t *strays = json_array();

    if (!plugins->loaded || restore_is_pending(plugins))
        return strays; /* nobody knows yet */
    for (size_t i = 0; i < config->plugin_count; i++) {
        const struct config_section *section = &config->plugin_sections[i];
        if (!json_object_get(names, section->name))
            (void)json_array_append_new(strays, stray_new(section, nearest_of(names, section->name)));
    }
    return strays;
}
