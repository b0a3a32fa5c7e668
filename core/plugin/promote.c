/*
 * From a copy that the test-load found good to the serving generation: the second half of what loader.c describes. One
 * candidate at a time.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "plugin/claims.h"
#include "plugin/inner.h"
#include "plugin/migration.h"
#include "plugin/probation.h"

enum { RETRY_WAIT_MS = 200, RETRY_AFTER_MS = 30000 };

static void start(struct candidate *candidate) ON_LOOP;
static void started(struct candidate *candidate) ON_LOOP;

/* ---- load ---- */

void promote_load_run(void *job) {
    struct candidate *candidate = container_of((struct lane_job *)job, struct candidate, job);

    candidate->r = loader_load(candidate);
}

/* Whose name is it, and may this file have it? An earlier directory goes before a later one. */
static int claim(struct candidate *candidate) ON_LOOP {
    const struct theseus_plugin *slots = image_plugin(candidate->image);
    struct plugins *plugins = candidate->plugins;
    struct source *source = candidate->source;

    if (apart_check(*plugins->host->config, candidate->image, &candidate->err) < 0)
        return -1;
    if (config_matches((*plugins->host->config)->plugins.disable, slots->name))
        return fail(&candidate->err, ERR_BUSY, "plugin '%s' is disabled by plugins.disable", slots->name);
    candidate->plugin = plugins_find(plugins, slots->name, true);
    const struct source *serving = candidate->plugin->source;
    if (serving && serving != source && serving->present && serving->order <= source->order)
        return fail(&candidate->err, ERR_BUSY, "plugin '%s' is already served from '%s'", slots->name, serving->path);
    return 0;
}

static int make_generation(struct candidate *candidate) ON_LOOP {
    struct plugins *plugins = candidate->plugins;
    json_t *settings = NULL;

    candidate->settings_round = plugins->settings_round;
    if (claim(candidate) < 0 ||
        claims_settings_new(&settings, plugins, image_plugin(candidate->image), &candidate->err) < 0)
        return -1;
    candidate->next = generation_new(plugins->host, TAKE_PTR(candidate->image), candidate->number);
    candidate->next->config = settings;
    candidate->next->plugins = plugins;
    candidate->next->served = candidate->restored && !candidate->proposed;
    candidate->next->schema = candidate->schema;
    candidate->next->backup = TAKE_PTR(candidate->backup);
    atomic_store(&candidate->next->migrated, candidate->migrated);
    for (size_t i = 0; i < candidate->tool_count; i++) {
        if (registry_add(plugins->host->registry, candidate->next, candidate->tools[i], &candidate->err) < 0)
            return -1;
        candidate->tools[i] = NULL;
    }
    return 0;
}

/* Ends a candidate whose generation exists: it is stopped if it had been started, and unloaded. */
void promote_discard(struct candidate *candidate) {
    struct plugins *plugins = candidate->plugins;

    if (candidate->previous) {
        (void)registry_set_waiting(plugins->host->registry, candidate->previous, candidate->previous->over, false);
        run_release_held(candidate->previous);
    }
    if (candidate->next) {
        migration_note(candidate->next, &candidate->err);
        candidate->judged = banning_reason_against(plugins, image_hash(candidate->next->image), &candidate->has_good);
        retire(plugins, TAKE_PTR(candidate->next));
    }
    loader_refuse(candidate);
}

static void quiesce(struct candidate *candidate) ON_LOOP;

static void take_place(struct candidate *candidate) ON_LOOP {
    candidate->previous = candidate->plugin->active;
    if (candidate->previous && generation_keeps_state(candidate->previous))
        quiesce(candidate);
    else
        start(candidate);
}

/* ---- its schema: may it be started? ---- */

static void look_run(void *job) {
    struct candidate *candidate = container_of((struct lane_job *)job, struct candidate, job);

    candidate->r = migration_look(candidate->next, &candidate->err);
}

static void looked(struct candidate *candidate) ON_LOOP {
    if (candidate->r < 0)
        promote_discard(candidate);
    else if (candidate->next->outdated)
        proposal_add(candidate);
    else
        take_place(candidate);
}

/* Before anything of the one that serves is asked for. What is restored is found out by its start. */
static void look(struct candidate *candidate) ON_LOOP {
    if (candidate->next->slots.migrations && candidate->plugins->host->outdated && !candidate->restored)
        loader_on_lane(candidate, look_run, looked);
    else
        take_place(candidate);
}

/* ---- sections of the configuration that are the plugin's ---- */

static void ask(struct candidate *candidate) ON_LOOP;

static void ask_run(void *job) {
    struct candidate *candidate = container_of((struct lane_job *)job, struct candidate, job);

    candidate->r = generation_check(candidate->next, candidate->next->config, &candidate->err);
}

static void asked(struct candidate *candidate) ON_LOOP {
    struct plugins *plugins = candidate->plugins;
    struct settings_extra extra = apply_extra(plugins);
    json_t *settings = NULL;

    if (candidate->r == 0) {
        look(candidate);
        return;
    }
    (void)settings_blame(*plugins->host->config, &extra, &candidate->err);
    if (!apply_refuse_file(plugins, &candidate->err)) {
        promote_discard(candidate);
        return;
    }
    candidate->err = (struct theseus_error){0};
    if (claims_settings_new(&settings, plugins, &candidate->next->slots, &candidate->err) < 0) {
        promote_discard(candidate);
        return;
    }
    json_decref(atomic_exchange(&candidate->next->config, settings));
    ask(candidate);
}

/* One bad INI file in a plugin directory is refused alone; it does not cost the others their tools. */
static void ask(struct candidate *candidate) {
    if (candidate->next->slots.sections && candidate->next->slots.check)
        loader_on_lane(candidate, ask_run, asked);
    else
        look(candidate);
}

static void loaded(struct candidate *candidate) ON_LOOP {
    if (candidate->r < 0)
        loader_refuse(candidate);
    else if (make_generation(candidate) < 0)
        promote_discard(candidate);
    else
        ask(candidate);
}

/* A candidate that has waited was loaded before; the plugin may have been replaced, or be gone, meanwhile. */
void promote(struct candidate *candidate) {
    if (candidate->begun)
        started(candidate);
    else if (candidate->next)
        take_place(candidate);
    else if (candidate->loaded)
        loaded(candidate);
    else
        loader_on_lane(candidate, promote_load_run, loaded);
}

/* ---- wait for the calls of a generation that keeps state ---- */

static void on_patience_over(void *arg);

static void wait_aside(struct candidate *candidate) ON_LOOP {
    struct plugins *plugins = candidate->plugins;

    log_info("plugin '%s' waits for its running calls before it is replaced", candidate->plugin->name);
    (void)registry_set_waiting(plugins->host->registry, candidate->previous, true, false);
    run_release_held(candidate->previous);
    candidate->retried = true;
    plugins->loader.current = NULL;
    list_append(&plugins->loader.waiting, &candidate->link);
    timer_start(candidate->timer, RETRY_AFTER_MS, 0);
    loader_next(plugins);
    plugins_settled(plugins);
}

void promote_put_aside(struct candidate *candidate) {
    if (candidate->timer)
        wait_aside(candidate);
}

static void quiesce(struct candidate *candidate) {
    struct plugins *plugins = candidate->plugins;
    int task_suspension = (*plugins->host->config)->restart.task_suspension * 1000;

    (void)registry_set_waiting(plugins->host->registry, candidate->previous, true, true);
    run_hold_queued(candidate->previous);
    if (registry_pins(plugins->host->registry, candidate->previous) == 0) {
        loop_forget(plugins->host->loop, &candidate->previous->idle);
        candidate->timer = timer_free(candidate->timer);
        start(candidate);
        return;
    }
    if (!candidate->timer)
        candidate->timer = timer_new(plugins->host->loop, on_patience_over, candidate);
    timer_start(candidate->timer, candidate->retried ? RETRY_WAIT_MS : task_suspension, 0);
}

/* Tries again; the generation to be replaced may be another one by now. */
static void retry(struct candidate *candidate) ON_LOOP {
    struct plugins *plugins = candidate->plugins;

    timer_stop(candidate->timer);
    list_remove(&candidate->link);
    list_append(&plugins->loader.ready, &candidate->link);
    loader_next(plugins);
}

static void on_patience_over(void *arg) {
    struct candidate *candidate = arg;

    loop_enter();
    if (candidate->plugins->loader.current == candidate)
        wait_aside(candidate);
    else
        retry(candidate);
}

void promote_on_idle(struct generation *generation) {
    struct loader *loader = &generation->plugins->loader;
    struct candidate *current = loader->current;

    if (current && current->previous == generation && current->timer && generation->holding) {
        current->timer = timer_free(current->timer);
        start(current);
        return;
    }
    list_for_each (link, &loader->waiting) {
        struct candidate *candidate = list_entry(link, struct candidate, link);
        if (candidate->previous == generation) {
            retry(candidate);
            return;
        }
    }
}

void promote_on_removed(struct plugins *plugins, const struct generation *generation) {
    struct candidate *current = plugins->loader.current;

    if (!current || !current->timer || current->previous != generation)
        return;
    current->timer = timer_free(current->timer);
    take_place(current);
}

bool promote_forget(struct candidate *candidate) {
    struct plugins *plugins = candidate->plugins;

    if (!candidate->timer)
        return false;
    (void)registry_set_waiting(plugins->host->registry, candidate->previous, candidate->previous->over, false);
    run_release_held(candidate->previous);
    retire(plugins, TAKE_PTR(candidate->next));
    return true;
}

/* ---- start, swap, activate ---- */

static void start_run(void *job) {
    struct candidate *candidate = container_of((struct lane_job *)job, struct candidate, job);

    if (candidate->previous)
        candidate->next->saved = generation_save(candidate->previous);
    else if (candidate->restored)
        candidate->next->saved = restore_saved_new(candidate);
    candidate->r = generation_start(candidate->next, &candidate->err);
}

/* One with sections of the configuration is asked about them first, when the tools of the others are known. */
void promote_prepare(struct candidate *candidate) {
    const struct theseus_plugin *slots = image_plugin(candidate->image);

    if (slots->sections || plugins_find(candidate->plugins, slots->name, false))
        return;
    if (make_generation(candidate) < 0)
        promote_discard(candidate);
}

void promote_begin(struct candidate *candidate) {
    if (!candidate->next)
        return;
    start_run(&candidate->job);
    candidate->begun = true;
}

/* What was replaced goes. */
static void retire_before(struct candidate *candidate) ON_LOOP {
    struct plugins *plugins = candidate->plugins;

    if (candidate->previous) {
        (void)registry_set_waiting(plugins->host->registry, candidate->previous, false, false);
        run_release_held(candidate->previous);
        retire(plugins, candidate->previous);
    }
    if (candidate->displaced)
        plugins_remove(plugins, candidate->displaced);
}

/* The new generation serves for good. */
static void succeed(struct candidate *candidate) ON_LOOP {
    struct plugins *plugins = candidate->plugins;
    struct plugin *plugin = candidate->plugin;

    log_info("plugin '%s' %s: generation %u serves (swap in %.3f ms)", plugin->name, plugin->active->version,
             plugin->active->number, (double)plugin->swap_ns / 1e6);
    probation_begin(plugins, plugin->active, candidate->restored);
    plugins->promotions++;
    source_refuse(candidate->source, candidate->banned);
    if (candidate->banned)
        banning_serves(plugins, image_hash(plugin->active->image));
    else
        banning_lift(plugins, plugin);
    retire_before(candidate);
    if (candidate->settings_round != plugins->settings_round)
        apply_ini_files(plugins); /* settings went round while this one was not there to take them */
    candidate->next = NULL;
    loader_finish(candidate);
}

/* The server ended while it was being activated; it is on its way out already. */
static void be_gone(struct candidate *candidate) ON_LOOP {
    retire_before(candidate);
    candidate->next = NULL;
    loader_finish(candidate);
}

static void activate_run(void *job) {
    struct candidate *candidate = container_of((struct lane_job *)job, struct candidate, job);

    candidate->r = generation_activate(candidate->next, &candidate->err);
}

static void serve(struct plugin *plugin, struct generation *generation, struct source *source) {
    if (plugin->source && plugin->source != source)
        plugin->source->plugin = NULL;
    plugin->active = generation;
    plugin->source = source;
    if (source)
        source->plugin = plugin;
    if (generation) {
        generation->plugin = plugin;
        generation->state = GENERATION_ACTIVE;
    }
}

/* Whose tools the new generation may take: those of what it replaces, else of the plugin that the file held before. */
static struct generation *giver(const struct candidate *candidate) {
    if (candidate->previous || !candidate->displaced)
        return candidate->previous;
    return candidate->displaced->active;
}

/* The generation before takes its place again. */
static void take_back(struct candidate *candidate) {
    struct plugins *plugins = candidate->plugins;
    struct theseus_error err = {0};

    if (registry_swap(plugins->host->registry, candidate->next, giver(candidate), &err) < 0)
        log_error("plugin '%s': %s", candidate->plugin->name, err.message);
    serve(candidate->plugin, candidate->previous, candidate->previous ? candidate->replaced : NULL);
    if (!candidate->previous)
        candidate->source->plugin = NULL;
    if (candidate->displaced)
        serve(candidate->displaced, candidate->displaced->active, candidate->source);
    plugins->host->tools_touched(plugins->host->arg);
}

static void activated(struct candidate *candidate) ON_LOOP {
    struct plugins *plugins = candidate->plugins;
    struct generation *next = candidate->next;

    (void)registry_set_waiting(plugins->host->registry, next, next->over, false);
    if (candidate->plugin->active != candidate->next) {
        be_gone(candidate);
    } else if (candidate->r < 0) { /* what must happen outside the process did not */
        take_back(candidate);
        promote_discard(candidate);
    } else {
        run_release_held(next);
        succeed(candidate);
    }
}

/* State that was handed over may not change until it is certain that it will not be handed back. */
static bool holds_until_active(const struct candidate *candidate) {
    return candidate->next->slots.activate && !candidate->plugins->host->rehearsal && candidate->previous &&
           generation_keeps_state(candidate->previous);
}

static void swap(struct candidate *candidate) ON_LOOP {
    struct plugins *plugins = candidate->plugins;
    struct plugin *before = candidate->source->plugin;
    int64_t began = clock_now_ns();

    candidate->displaced = before != candidate->plugin ? before : NULL;
    candidate->next->plugin = candidate->plugin; /* before its tools are offered: runs count for it */
    if (holds_until_active(candidate))
        (void)registry_set_waiting(plugins->host->registry, candidate->next, false, true);
    if (registry_swap(plugins->host->registry, giver(candidate), candidate->next, &candidate->err) < 0) {
        promote_discard(candidate);
        return;
    }
    if (candidate->displaced)
        candidate->displaced->source = NULL; /* the file is another plugin's now */
    candidate->replaced = candidate->plugin->source;
    serve(candidate->plugin, candidate->next, candidate->source);
    candidate->plugin->swap_ns = clock_now_ns() - began;
    stats_add(&candidate->plugin->swaps, candidate->plugin->swap_ns, false);
    plugins->host->tools_touched(plugins->host->arg);
    if (candidate->next->slots.activate && !plugins->host->rehearsal)
        loader_on_lane(candidate, activate_run, activated);
    else
        succeed(candidate);
}

static void started(struct candidate *candidate) {
    candidate->begun = false;
    if (candidate->r < 0 && candidate->next->outdated && !candidate->previous)
        proposal_add(candidate);
    else if (candidate->r < 0)
        promote_discard(candidate);
    else
        swap(candidate);
}

static void start(struct candidate *candidate) {
    loader_on_lane(candidate, start_run, started);
}

bool promote_is_activating(const struct plugin *plugin) {
    const struct candidate *current = plugin->active ? plugin->active->plugins->loader.current : NULL;

    return current && current->next == plugin->active;
}

void promote_give_up(struct candidate *candidate) {
    struct plugins *plugins = candidate->plugins;

    candidate->timer = timer_free(candidate->timer);
    if (!candidate->next || candidate->next->over)
        return;
    if (candidate->plugin->active == candidate->next)
        take_back(candidate);
    if (candidate->previous) {
        (void)registry_set_waiting(plugins->host->registry, candidate->previous, candidate->previous->over, false);
        run_release_held(candidate->previous);
    }
    candidate->next->plugin = candidate->plugin;
    retire_stuck(plugins, candidate->next);
}
