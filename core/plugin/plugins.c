#include "plugin/plugins.h"

#include <stdlib.h>

#include "base/limits.h"
#include "base/log.h"
#include "plugin/inner.h"
#include "plugin/probation.h"

enum { PATIENCE_MS = 3000 };

/* A task that somebody wants to have run at a certain event. */
struct waiter {
    struct list link;
    struct loop_task *task;
};

static void on_patience_over(void *arg) {
    struct plugins *plugins = arg;

    loop_enter();
    plugins->loaded = true;
    plugins_settled(plugins);
}

static void restore_counter(void *arg, const void *recorded) {
    const struct counter_record *record = recorded;
    struct plugins *plugins = arg;

    if (span_equals(record->name, "generation"))
        plugins->generation = (unsigned)record->value;
}

static void restore_good(void *arg, const void *recorded) {
    const struct image_record *record = recorded;
    struct plugins *plugins = arg;

    (void)map_put(plugins->loader.good, record->active_hash, plugins);
    if (record->good_hash.len > 0)
        (void)map_put(plugins->loader.good, record->good_hash, plugins);
}

static void on_hangs_looked(void *arg) {
    struct plugins *plugins = arg;

    loop_enter();
    if (plugins->host->stuck && !plugins->stopping)
        plugins->host->stuck(plugins->host->arg);
}

static void on_stalled(void *arg) {
    const struct plugins *plugins = arg;

    plugins->host->stalled(plugins->host->arg);
}

static void on_name_free(void *arg);

struct plugins *plugins_new(struct plugin_host *host, struct imagedir *dir, int exe_fd) {
    struct plugins *plugins = xcalloc(1, sizeof(*plugins));

    plugins->host = host;
    plugins->dir = dir;
    plugins->exe_fd = exe_fd;
    plugins->patience = timer_new(host->loop, on_patience_over, plugins);
    list_init(&plugins->plugins);
    list_init(&plugins->sources);
    list_init(&plugins->orphans);
    list_init(&plugins->when_loaded);
    list_init(&plugins->when_idle);
    list_init(&plugins->pause.runs);
    host->pause = &plugins->pause;
    plugins->hangs = host->hangs = hangs_new(&(struct hangs_spec){.loop = host->loop,
                                                                  .workers = host->workers,
                                                                  .stuck_ms = LIMIT_STUCK_MS,
                                                                  .looked = on_hangs_looked,
                                                                  .stalled = host->stalled ? on_stalled : NULL,
                                                                  .arg = plugins});
    loader_init(plugins);
    ledger_each(host->ledger, &counter_kind, restore_counter, plugins);
    ledger_each(host->ledger, &image_kind, restore_good, plugins);
    registry_hide(host->registry, (*host->config)->tools.hide);
    registry_set_access(host->registry, *host->config);
    plugins->disabled = json_array();
    plugins->name_free = (struct loop_task){.run = on_name_free, .arg = plugins};
    registry_on_free(host->registry, host->loop, &plugins->name_free);
    return plugins;
}

struct plugin *plugins_find(struct plugins *plugins, const char *name, bool make) {
    list_for_each (link, &plugins->plugins) {
        struct plugin *plugin = list_entry(link, struct plugin, link);
        if (strcmp(plugin->name, name) == 0)
            return plugin;
    }
    if (!make)
        return NULL;
    struct plugin *plugin = xcalloc(1, sizeof(*plugin));
    plugin->name = xstrdup(name);
    list_init(&plugin->old);
    list_append(&plugins->plugins, &plugin->link);
    return plugin;
}

/* Files that were refused for a name which is free now. */
static void retry_conflicts(struct plugins *plugins) ON_LOOP {
    list_for_each (link, &plugins->sources) {
        struct source *source = list_entry(link, struct source, link);
        if (source->conflict && source->present && source->candidates == 0)
            loader_add(plugins, source);
    }
}

/* Once for all names that became free in a turn; only those count for which something was refused. */
static void on_name_free(void *arg) {
    struct plugins *plugins = arg;

    loop_enter();
    registry_take_freed(plugins->host->registry);
    if (plugins->stopping)
        return;
    retry_conflicts(plugins);
    apply_ini_files(plugins);
    plugins_settled(plugins);
}

void plugins_remove(struct plugins *plugins, struct plugin *plugin) {
    struct image_record record = {.plugin = span_of(plugin->name)};
    struct theseus_error err = {0};

    if (plugin->source)
        plugin->source->plugin = NULL;
    plugin->source = NULL;
    if (!plugin->active)
        return;
    log_info("plugin '%s' is removed", plugin->name);
    if (ledger_drop(plugins->host->ledger, &image_kind, &record, &err) < 0)
        log_error("%s", err.message);
    struct generation *generation = TAKE_PTR(plugin->active);
    retire(plugins, generation);
    promote_on_removed(plugins, generation);
    plugins->host->tools_touched(plugins->host->arg);
    retry_conflicts(plugins); /* the plugin's own name is free, too */
}

/* ---- waiting ---- */

static void wait_for(struct list *waiters, struct loop_task *task) {
    struct waiter *waiter = xcalloc(1, sizeof(*waiter));

    waiter->task = task;
    list_append(waiters, &waiter->link);
}

static void tell(struct plugins *plugins, struct list *waiters) {
    list_for_each (link, waiters) {
        struct waiter *waiter = list_entry(link, struct waiter, link);
        list_remove(&waiter->link);
        loop_post_task(plugins->host->loop, waiter->task);
        free(waiter);
    }
}

void plugins_settled(struct plugins *plugins) {
    bool idle = plugins->began && loader_is_idle(plugins) && !plugins->applying.busy &&
                !registry_has_freed(plugins->host->registry);

    if (plugins->stopping)
        return; /* whoever waited may be gone already */
    saver_go_on(plugins);
    if (loader_is_idle(plugins))
        restore_settled(plugins);
    idle = idle && !restore_is_pending(plugins);
    if (idle && !plugins->loaded && list_empty(&plugins->loader.proposals)) {
        plugins->loaded = true;
        timer_stop(plugins->patience);
    }
    if (plugins->loaded)
        tell(plugins, &plugins->when_loaded);
    if (idle)
        tell(plugins, &plugins->when_idle);
    if (idle && plugins->host->settled)
        plugins->host->settled(plugins->host->arg);
}

void plugins_load(struct plugins *plugins) {
    plugins->wanted = true;
    if (plugins->began || plugins->held_back)
        return;
    plugins->began = true;
    timer_start(plugins->patience, PATIENCE_MS, 0);
    banning_read(plugins);
    scan_watch(plugins);
    scan_all(plugins, false);
}

void plugins_hold_back(struct plugins *plugins) {
    plugins->held_back = !plugins->began;
}

void plugins_let_begin(struct plugins *plugins) {
    plugins->held_back = false;
    if (!plugins->wanted)
        return;
    plugins_load(plugins);
    plugins_settled(plugins);
}

bool plugins_are_loaded(const struct plugins *plugins) {
    return plugins->loaded;
}

void plugins_when_loaded(struct plugins *plugins, struct loop_task *task) {
    wait_for(&plugins->when_loaded, task);
    plugins_load(plugins);
    plugins_settled(plugins);
}

void plugins_when_idle(struct plugins *plugins, struct loop_task *task) {
    wait_for(&plugins->when_idle, task);
    plugins_settled(plugins);
}

void plugins_rescan(struct plugins *plugins) {
    plugins_load(plugins);
    if (!plugins->began)
        return; /* all of it is looked at when loading begins */
    restore_look(plugins);
    scan_drop_missing(plugins);
    scan_all(plugins, true);
}

void plugins_look(struct plugins *plugins) {
    if (plugins->began && !restore_is_pending(plugins))
        scan_all(plugins, false);
}

static void add_name(struct buf *names, const char *name) {
    if (buf_printf(names, NULL, "%s%s", names->len ? ", " : "", name) < 0)
        abort(); /* no memory for a few names */
}

char *plugins_unknown(struct plugins *plugins, const char *name) {
    CLEANUP(buf_fini) struct buf names = {0};

    plugins_load(plugins);
    if (scan_find(plugins, name))
        return NULL;
    list_for_each (link, &plugins->plugins) {
        const struct plugin *plugin = list_entry(link, struct plugin, link);
        if (plugin->source)
            add_name(&names, plugin->name);
    }
    CLEANUP(free) char *list = buf_take_string(&names);
    return xasprintf("there is no plugin '%s'; there are: %s", name, list && *list ? list : "none");
}

void plugins_tools_changed(struct plugins *plugins) {
    probation_tools_changed(plugins);
}

void plugins_crash_rules(struct plugins *plugins) {
    probation_look(plugins);
}

void plugins_reload(struct plugins *plugins, const char *name) {
    struct source *source = scan_find(plugins, name);

    if (source)
        scan_again(plugins, source);
}

/* ---- the end ---- */

/* A thread is in its code and will use it, or a call that nobody can end: nobody owns it any more. */
static void abandon(struct generation *generation) {
    list_remove(&generation->link);
    generation->plugin = NULL;
    mem_abandon(generation);
}

static void free_generations(struct list *generations) {
    list_for_each (link, generations) {
        struct generation *generation = list_entry(link, struct generation, link);
        if (generation->stuck || registry_pins(generation->host->registry, generation) > 0)
            abandon(generation);
        else
            (void)generation_free(generation);
    }
}

static void free_waiters(struct list *waiters) {
    list_for_each (link, waiters)
        free(list_entry(link, struct waiter, link));
}

static void let_go(struct generation *generation) ON_LOOP {
    run_hold_queued(generation);
    run_release_held(generation);
}

void plugins_let_go(struct plugins *plugins) {
    atomic_store(&plugins->host->leaving, true);
    hangs_let_go(plugins->hangs);
    list_for_each (link, &plugins->plugins) {
        struct plugin *plugin = list_entry(link, struct plugin, link);
        if (plugin->active)
            let_go(plugin->active);
        list_for_each (old, &plugin->old)
            let_go(list_entry(old, struct generation, link));
    }
    list_for_each (orphan, &plugins->orphans)
        let_go(list_entry(orphan, struct generation, link));
    run_drop_paused(plugins->host);
}

static void pause_queued(struct plugin *plugin) ON_LOOP {
    if (plugin->active)
        run_pause_queued(plugin->active);
    list_for_each (old, &plugin->old)
        run_pause_queued(list_entry(old, struct generation, link));
}

void plugins_pause(struct plugins *plugins) {
    if (atomic_exchange(&plugins->pause.on, true))
        return;
    loader_pause(plugins);
    list_for_each (link, &plugins->plugins)
        pause_queued(list_entry(link, struct plugin, link));
    list_for_each (orphan, &plugins->orphans)
        run_pause_queued(list_entry(orphan, struct generation, link));
}

void plugins_pause_urgent(struct plugins *plugins) {
    atomic_store(&plugins->pause.all, true);
}

void plugins_resume(struct plugins *plugins) {
    atomic_store(&plugins->pause.all, false);
    if (!atomic_exchange(&plugins->pause.on, false))
        return;
    run_release_paused(plugins->host);
    loader_resume(plugins);
    plugins_settled(plugins);
}

static bool runs(const struct plugins *plugins, const struct generation *generation) {
    return generation && registry_pins(plugins->host->registry, generation) > 0;
}

bool plugins_can_save(const struct plugins *plugins) {
    list_for_each (link, &plugins->plugins) {
        const struct plugin *plugin = list_entry(link, struct plugin, link);
        if (plugin->active && plugin->active->slots.save && runs(plugins, plugin->active))
            return false;
    }
    return true;
}

bool plugins_have_runs(const struct plugins *plugins) {
    list_for_each (link, &plugins->plugins) {
        const struct plugin *plugin = list_entry(link, struct plugin, link);
        if (runs(plugins, plugin->active))
            return true;
        list_for_each (old, &plugin->old)
            if (runs(plugins, list_entry(old, struct generation, link)))
                return true;
    }
    return false;
}

/* Whatever is on the lane comes to its end, by itself or by its limit. */
static void drain(struct plugins *plugins) ON_LOOP {
    while (plugins->retiring > 0 || lane_pending(plugins->host->lane) > 0)
        (void)loop_turn(plugins->host->loop, 100);
}

struct plugins *plugins_free(struct plugins *plugins) {
    if (!plugins)
        return NULL;
    plugins->stopping = true;
    registry_on_free(plugins->host->registry, NULL, NULL);
    loop_forget(plugins->host->loop, &plugins->name_free);
    scan_watch(plugins);
    loader_stop(plugins);
    (void)loop_turn(plugins->host->loop, 0); /* what workers sent back is on its way to us */
    drain(plugins);
    list_for_each (link, &plugins->plugins) {
        struct plugin *plugin = list_entry(link, struct plugin, link);
        if (plugin->active)
            retire(plugins, TAKE_PTR(plugin->active));
    }
    drain(plugins);
    probation_fini(plugins);
    restore_fini(plugins);
    loader_fini(plugins);
    apply_fini(plugins);
    list_for_each (link, &plugins->plugins) {
        struct plugin *plugin = list_entry(link, struct plugin, link);
        free_generations(&plugin->old);
        free(plugin->name);
        free(plugin);
    }
    free_generations(&plugins->orphans);
    list_for_each (link, &plugins->sources)
        (void)source_free(list_entry(link, struct source, link));
    run_drop_paused(plugins->host);
    saver_fini(plugins);
    muster_fini(plugins);
    free_waiters(&plugins->when_loaded);
    free_waiters(&plugins->when_idle);
    plugins->host->hangs = NULL;
    plugins->hangs = hangs_free(plugins->hangs);
    plugins->patience = timer_free(plugins->patience);
    free(plugins->watched);
    json_decref(plugins->disabled);
    free(plugins);
    return NULL;
}

void plugins_on_idle(struct generation *generation) {
    if (generation->over)
        retire_when_idle(generation);
    else
        promote_on_idle(generation);
    saver_go_on(generation->plugins);
}
