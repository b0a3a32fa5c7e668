/* Which files there are in the plugin directories, and which of them have changed. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/log.h"
#include "plugin/inner.h"

enum { GONE_AFTER_MS = 1000 };

static bool ends_with(const char *name, const char *end) {
    size_t len = strlen(name), end_len = strlen(end);

    return len > end_len && strcmp(name + len - end_len, end) == 0;
}

static const struct config *config_of(const struct plugins *plugins) {
    return *plugins->host->config;
}

bool scan_is_disabled(const struct plugins *plugins, const char *name) {
    CLEANUP(free) char *base = xstrndup(name, strlen(name) - strlen(".so"));

    return config_matches(config_of(plugins)->plugins.disable, base);
}

static struct source *find(struct plugins *plugins, const char *path) {
    list_for_each (link, &plugins->sources) {
        struct source *source = list_entry(link, struct source, link);
        if (strcmp(source->path, path) == 0)
            return source;
    }
    return NULL;
}

/* A file of one directory: known from here on, and present. */
static void note(struct plugins *plugins, const char *dir, int order, const char *name) ON_LOOP {
    bool is_ini = ends_with(name, ".ini");

    if (name[0] == '.' || (!is_ini && !ends_with(name, ".so")))
        return;
    CLEANUP(free) char *path = path_join(dir, name);
    if (!is_ini && scan_is_disabled(plugins, name)) {
        (void)json_array_append_new(plugins->disabled, json_string(path));
        return;
    }
    struct source *source = find(plugins, path);
    if (!source) {
        source = source_new(path, order, is_ini);
        list_append(&plugins->sources, &source->link);
    }
    source->order = order;
    source->present = true;
    source->gone = timer_free(source->gone);
}

/* A directory that cannot be read at this moment says nothing of its files: those that were there are. */
static void keep_dir(struct plugins *plugins, const char *dir) {
    list_for_each (link, &plugins->sources) {
        struct source *source = list_entry(link, struct source, link);
        CLEANUP(free) char *own = path_dir(source->path);
        if (strcmp(own, dir) == 0)
            source->present = source->looked_at || source->plugin;
    }
}

static bool is_unreadable(const char *dir) {
    if (errno == ENOENT || errno == ENOTDIR || errno == EACCES)
        return false; /* it is not there for us */
    log_warning("plugin directory '%s' cannot be read now (%s); its plugins stay as they are", dir, strerror(errno));
    return true;
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void list_dir(struct plugins *plugins, const char *dir, int order) ON_LOOP {
    struct dirent **entries = NULL;
    int count = scandir(dir, &entries, NULL, NULL);

    if (count < 0 && is_unreadable(dir))
        keep_dir(plugins, dir);
    CLEANUP(free) char **names = xcalloc((size_t)(count > 0 ? count : 0) + 1, sizeof(char *));

    for (int i = 0; i < count; i++)
        names[i] = entries[i]->d_name;
    if (count > 0)
        qsort(names, (size_t)count, sizeof(char *), by_name);
    for (int i = 0; i < count; i++)
        note(plugins, dir, order, names[i]);
    for (int i = 0; i < count; i++)
        free(entries[i]);
    free(entries);
}

static void on_gone(void *arg);

/* A file is missing: perhaps it is just being replaced. */
static void miss(struct plugins *plugins, struct source *source) ON_LOOP {
    if (source->gone)
        return;
    source->gone = timer_new(plugins->host->loop, on_gone, plugins);
    source->gone_due_ms = loop_now_ms(plugins->host->loop) + GONE_AFTER_MS;
    timer_start(source->gone, GONE_AFTER_MS, 0);
}

static void drop(struct plugins *plugins, struct source *source) ON_LOOP {
    if (source->plugin && promote_is_activating(source->plugin)) {
        miss(plugins, source); /* its code runs: asked again when that is over */
        return;
    }
    log_info("plugin file '%s' is gone", source->path);
    loader_forget_source(plugins, source);
    if (source->plugin)
        plugins_remove(plugins, source->plugin);
    if (source->candidates == 0)
        (void)source_free(source);
}

/* The file may be called something else than the plugin. */
static void disable(struct plugins *plugins, struct source *source) ON_LOOP {
    CLEANUP(free) char *reason = xasprintf("plugin '%s' is disabled by plugins.disable", source->plugin->name);

    if (promote_is_activating(source->plugin)) {
        miss(plugins, source);
        return;
    }
    loader_forget_source(plugins, source);
    plugins_remove(plugins, source->plugin);
    source_refuse(source, reason);
    source->conflict = true;
}

/* What cannot be told now is not gone. */
static bool is_gone(const struct source *source) {
    return access(source->path, F_OK) < 0 && (errno == ENOENT || errno == ENOTDIR || errno == EACCES);
}

/* Disabled plugins go at once: the file is there, but not wanted. */
static bool is_over(const struct source *source) {
    return access(source->path, F_OK) == 0;
}

static void look_at(struct plugins *plugins, struct source *source, bool forced, bool *ini_changed) ON_LOOP {
    if (source->is_ini) {
        source_read_ini(source);
        *ini_changed = true;
    } else if (forced) {
        loader_force(plugins, source);
    } else {
        loader_add(plugins, source);
    }
}

/* What to do with a file that looks as it did. */
enum again { ONLY_CHANGED, AGAIN, FORCED };

static void look(struct plugins *plugins, struct source *source, enum again again, bool *ini_changed) ON_LOOP {
    if (!source->present && is_over(source)) {
        drop(plugins, source);
        return;
    }
    if (!source->present) {
        miss(plugins, source);
        return;
    }
    if (source->plugin && config_matches(config_of(plugins)->plugins.disable, source->plugin->name)) {
        disable(plugins, source);
        return;
    }
    bool differs = source_look(source) || source_is_mended(source);
    if (differs || again != ONLY_CHANGED)
        look_at(plugins, source, again == FORCED, ini_changed);
}

/* Which files there are; what is in them is not looked at. */
static void list_all(struct plugins *plugins) ON_LOOP {
    int order = 0;

    (void)json_array_clear(plugins->disabled);
    list_for_each (link, &plugins->sources)
        list_entry(link, struct source, link)->present = false;
    for (char **dir = config_of(plugins)->plugins.path; *dir; dir++)
        list_dir(plugins, *dir, order++);
}

void scan_list(struct plugins *plugins) {
    list_all(plugins);
    list_for_each (link, &plugins->sources) {
        struct source *source = list_entry(link, struct source, link);
        if (source->is_ini && source_look(source))
            source_read_ini(source);
    }
    apply_gather(plugins);
}

struct source *scan_source(struct plugins *plugins, const char *path) {
    struct source *source = find(plugins, path);

    if (source)
        return source;
    source = source_new(path, INT_MAX, false); /* in a directory that is not named any more: all others go first */
    list_append(&plugins->sources, &source->link);
    return source;
}

/* Somebody asked what there is now: a file that is missing is not waited for. */
void scan_drop_missing(struct plugins *plugins) {
    bool ini_changed = false;

    list_all(plugins);
    list_for_each (link, &plugins->sources) {
        struct source *source = list_entry(link, struct source, link);
        if (source->present)
            continue;
        ini_changed |= source->is_ini;
        drop(plugins, source);
    }
    if (ini_changed)
        apply_ini_files(plugins);
}

void scan_all(struct plugins *plugins, bool refused_too) {
    bool ini_changed = false;

    list_all(plugins);
    list_for_each (link, &plugins->sources) {
        struct source *source = list_entry(link, struct source, link);
        look(plugins, source, refused_too && source->refused ? AGAIN : ONLY_CHANGED, &ini_changed);
    }
    if (ini_changed)
        apply_ini_files(plugins);
    plugins_settled(plugins);
}

/* A plugin that does not serve, because its file is new or was refused, is known by the name of that. */
static bool is_called(const struct source *source, const char *name) {
    CLEANUP(free) char *file = xasprintf("%s.so", name);

    return source->present && !source->plugin && strcmp(path_base(source->path), file) == 0;
}

struct source *scan_find(struct plugins *plugins, const char *name) {
    const struct plugin *plugin = plugins_find(plugins, name, false);

    if (plugin && plugin->source)
        return plugin->source;
    list_all(plugins);
    list_for_each (link, &plugins->sources) {
        struct source *source = list_entry(link, struct source, link);
        if (is_called(source, name))
            return source;
    }
    return NULL;
}

void scan_again(struct plugins *plugins, struct source *source) {
    bool ini_changed = false;

    list_all(plugins);
    look(plugins, source, FORCED, &ini_changed);
    plugins_settled(plugins);
}

/* Behind a restart the file was not looked at yet: is it what serves? */
static bool serves_already(const struct source *source) {
    const struct plugin *plugin = source->restored ? source->plugin : NULL;
    char hash[HASH_TEXT_BYTES];

    if (!plugin || plugin->source != source || !plugin->active)
        return false;
    CLEANUP(fd_close) int fd = open(source->path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    return fd >= 0 && hash_fd(fd, hash, NULL) == 0 && strcmp(hash, image_hash(plugin->active->image)) == 0;
}

static const char *change_of(const struct source *source) {
    if (!source->present)
        return source->plugin ? "removed" : NULL;
    if (!source->looked_at && source->plugin)
        return serves_already(source) ? NULL : "changed";
    return !source->looked_at ? "new" : source_differs(source) ? "changed" : NULL;
}

json_t *plugins_changes_new(struct plugins *plugins) {
    json_t *changes = plugins_waiting_new(plugins), *waiting;
    size_t i;

    json_array_foreach (changes, i, waiting)
        (void)json_object_set_new(waiting, "change", json_string("waiting"));
    list_all(plugins);
    list_for_each (link, &plugins->sources) {
        const struct source *source = list_entry(link, struct source, link);
        const char *change = change_of(source);
        if (change)
            (void)json_array_append_new(changes, json_pack("{s:s*, s:s, s:s}", "plugin",
                                                           source->plugin ? source->plugin->name : NULL, "file",
                                                           source->path, "change", change));
    }
    return changes;
}

/* A second after a file went: is it still missing? */
static void on_gone(void *arg) {
    struct plugins *plugins = arg;
    bool ini_changed = false;

    loop_enter();
    list_for_each (link, &plugins->sources) {
        struct source *source = list_entry(link, struct source, link);
        if (!source->gone || loop_now_ms(plugins->host->loop) < source->gone_due_ms)
            continue;
        source->gone = timer_free(source->gone);
        if (!is_gone(source))
            continue; /* it came back, and its event tells */
        ini_changed |= source->is_ini;
        drop(plugins, source);
    }
    if (ini_changed)
        apply_ini_files(plugins);
    scan_all(plugins, false);
}

static void on_change(void *arg, const char *dir, const char *name) ON_LOOP {
    (void)dir;
    (void)name;
    scan_all(arg, false);
}

static void free_watched(struct plugins *plugins) ON_LOOP {
    for (char **dir = plugins->watched; dir && *dir; dir++) {
        if (plugins->watch)
            watch_remove_dir(plugins->watch, *dir);
        free(*dir);
    }
    free(TAKE_PTR(plugins->watched));
}

void scan_watch(struct plugins *plugins) {
    const struct config *config = config_of(plugins);
    size_t count = 0;

    free_watched(plugins);
    if (!config->plugins.watch || plugins->stopping) {
        plugins->watch = watch_free(plugins->watch);
        return;
    }
    if (!plugins->watch)
        plugins->watch = watch_new(plugins->host->loop, config->plugins.settle_ms, on_change, plugins);
    watch_set_settle(plugins->watch, config->plugins.settle_ms);
    while (config->plugins.path[count])
        count++;
    plugins->watched = xcalloc(count + 1, sizeof(char *));
    for (size_t i = 0; i < count; i++) {
        struct theseus_error err = {0};
        plugins->watched[i] = xstrdup(config->plugins.path[i]);
        if (watch_add_dir(plugins->watch, plugins->watched[i], &err) < 0)
            log_warning("plugin directory '%s' is not watched: %s", plugins->watched[i], err.message);
    }
}
