/*
 * How a file becomes the serving generation.
 *
 *     copy (lane) → test-load (child) → load and check (lane) → wait for calls, if the old one keeps state
 *         → save of the old, start and selftest of the new (lane) → swap (one turn of the loop) → activate (lane)
 *
 * Invariant: the plugin's active generation answers calls at every moment, whatever fails here. Until the swap the old
 * one has noticed nothing but a `save`; a failure ends the candidate, with its reason kept at the source.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "plugin/contract.h"
#include "plugin/inner.h"

enum { RETRY_WAIT_MS = 200, RETRY_AFTER_MS = 30000 };

static void next(struct plugins *plugins) ON_LOOP;
static void start(struct candidate *candidate) ON_LOOP;

static int limit_ms(const struct plugins *plugins) {
    return (*plugins->host->config)->restart.process_startup * 1000;
}

/* ---- life ---- */

static void candidate_free(struct candidate *candidate) {
    list_remove(&candidate->link);
    candidate->source->candidates--;
    candidate->timer = timer_free(candidate->timer);
    contract_tools_free(candidate->tools, candidate->tool_count);
    candidate->image = image_free(candidate->image);
    free(candidate);
}

/* The source of a candidate may have vanished while it was on its way. */
static void finish(struct candidate *candidate) {
    struct plugins *plugins = candidate->plugins;
    struct source *source = candidate->source;

    if (plugins->loader.current == candidate)
        plugins->loader.current = NULL;
    candidate_free(candidate);
    if (source->candidates == 0 && !source->present && !source->plugin && !source->gone)
        (void)source_free(source);
    next(plugins);
    plugins_settled(plugins);
}

/* Ends a candidate that was not started. */
static void refuse(struct candidate *candidate) {
    const struct plugin *plugin = candidate->source->plugin;
    const char *reason = candidate->err.message;
    bool conflict = candidate->err.code == ERR_BUSY;

    log_warning("plugin file '%s' is refused: %s%s", candidate->source->path, reason,
                plugin && plugin->active ? "; the one before goes on serving" : "");
    source_refuse(candidate->source, reason);
    candidate->source->conflict = conflict;
    finish(candidate);
}

static void on_done(struct lane_job *job, bool timed_out) {
    struct candidate *candidate = container_of(job, struct candidate, job);

    loop_enter();
    if (!timed_out) {
        candidate->then(candidate);
        return;
    }
    /* The thread is stuck in the plugin's code. The candidate stays in memory for it; nothing else waits. */
    struct plugins *plugins = candidate->plugins;
    (void)fail(&candidate->err, ERR_TIMEOUT, "it did not come back within %d ms from its own code", limit_ms(plugins));
    log_warning("plugin file '%s' is refused: %s", candidate->source->path, candidate->err.message);
    source_refuse(candidate->source, candidate->err.message);
    if (candidate->previous) {
        (void)registry_set_waiting(plugins->host->registry, candidate->previous, false, false);
        run_release_held(candidate->previous);
    }
    candidate->source->candidates--;
    list_remove(&candidate->link);
    if (plugins->loader.current == candidate)
        plugins->loader.current = NULL;
    next(plugins);
    plugins_settled(plugins);
}

static void on_lane(struct candidate *candidate, work_fn *run, void (*then)(struct candidate *)) {
    candidate->job = (struct lane_job){.run = run, .done = on_done, .limit_ms = limit_ms(candidate->plugins)};
    candidate->then = then;
    lane_submit(candidate->plugins->host->lane, &candidate->job);
}

/* ---- copy and test ---- */

static void test_next(struct plugins *plugins) ON_LOOP;

static unsigned next_generation(struct plugins *plugins) {
    struct counter_record record = {span_of("generation"), ++plugins->generation};
    struct theseus_error err = {0};

    if (ledger_put(plugins->host->ledger, &counter_kind, &record, &err) < 0)
        log_error("%s", err.message);
    return plugins->generation;
}

static void copy_run(void *job) {
    struct candidate *candidate = container_of((struct lane_job *)job, struct candidate, job);

    candidate->r = image_copy(&candidate->image, candidate->plugins->dir, candidate->source->path, candidate->number,
                              &candidate->err);
}

static void copied(struct candidate *candidate) {
    struct loader *loader = &candidate->plugins->loader;

    list_remove(&candidate->link);
    if (candidate->r < 0) {
        refuse(candidate);
        return;
    }
    bool good = map_get(loader->good, span_of(image_hash(candidate->image)));
    list_append(good ? &loader->ready : &loader->to_test, &candidate->link);
    test_next(candidate->plugins);
    next(candidate->plugins);
}

void loader_add(struct plugins *plugins, struct source *source) {
    struct candidate *candidate = xcalloc(1, sizeof(*candidate));

    loader_forget_source(plugins, source);
    candidate->plugins = plugins;
    candidate->source = source;
    candidate->number = next_generation(plugins);
    source->candidates++;
    list_append(&plugins->loader.copying, &candidate->link);
    on_lane(candidate, copy_run, copied);
}

static struct candidate *tested_one(struct loader *loader, const char *path) {
    list_for_each (link, &loader->testing) {
        struct candidate *candidate = list_entry(link, struct candidate, link);
        if (strcmp(image_path(candidate->image), path) == 0)
            return candidate;
    }
    return NULL;
}

static void on_tested(void *arg, const char *file, const char *name, const struct theseus_error *err) {
    struct plugins *plugins = arg;
    struct candidate *candidate = tested_one(&plugins->loader, file);

    loop_enter();
    (void)name;
    if (!candidate)
        return;
    list_remove(&candidate->link);
    if (err) {
        candidate->err = *err;
        refuse(candidate);
        return;
    }
    (void)map_put(plugins->loader.good, span_of(image_hash(candidate->image)), plugins);
    list_append(&plugins->loader.ready, &candidate->link);
    next(plugins);
}

static void on_all_tested(void *arg) {
    struct plugins *plugins = arg;

    loop_enter();
    plugins->loader.testload = testload_free(plugins->loader.testload);
    test_next(plugins);
    plugins_settled(plugins);
}

static void refuse_all(struct list *candidates, const struct theseus_error *err) {
    list_for_each (link, candidates) {
        struct candidate *candidate = list_entry(link, struct candidate, link);
        candidate->err = *err;
        refuse(candidate);
    }
}

/* One child tests all that are waiting, once nothing is being copied any more. */
static void test_next(struct plugins *plugins) {
    struct loader *loader = &plugins->loader;
    struct theseus_error err = {0};
    size_t count = 0, i = 0;

    if (loader->testload || !list_empty(&loader->copying) || list_empty(&loader->to_test))
        return;
    list_splice(&loader->testing, &loader->to_test);
    list_for_each (link, &loader->testing)
        count++;
    CLEANUP(free) char **files = xcalloc(count + 1, sizeof(char *));
    list_for_each (link, &loader->testing)
        files[i++] = (char *)(uintptr_t)image_path(list_entry(link, struct candidate, link)->image);
    if (testload_start(&loader->testload, plugins->host->loop, plugins->exe_fd, files, count, limit_ms(plugins),
                       on_tested, plugins, on_all_tested, &err) < 0)
        refuse_all(&loader->testing, &err);
}

/* ---- load ---- */

static void load_run(void *job) {
    struct candidate *candidate = container_of((struct lane_job *)job, struct candidate, job);

    candidate->r = image_load(candidate->image, &candidate->err);
    if (candidate->r == 0)
        candidate->r =
            contract_check(image_plugin(candidate->image), &candidate->tools, &candidate->tool_count, &candidate->err);
}

/* Whose name is it, and may this file have it? An earlier directory goes before a later one. */
static int claim(struct candidate *candidate) {
    const struct theseus_plugin *slots = image_plugin(candidate->image);
    struct plugins *plugins = candidate->plugins;
    struct source *source = candidate->source;

    if (config_matches((*plugins->host->config)->plugins.disable, slots->name))
        return fail(&candidate->err, ERR_ACCESS, "plugin '%s' is disabled by plugins.disable", slots->name);
    candidate->plugin = plugins_find(plugins, slots->name, true);
    const struct source *serving = candidate->plugin->source;
    if (serving && serving != source && serving->present && serving->order <= source->order)
        return fail(&candidate->err, ERR_BUSY, "plugin '%s' is already served from '%s'", slots->name, serving->path);
    if (source->plugin && source->plugin != candidate->plugin)
        plugins_remove(plugins, source->plugin); /* the file holds another plugin now */
    candidate->previous = candidate->plugin->active;
    return 0;
}

static int make_generation(struct candidate *candidate) {
    struct plugins *plugins = candidate->plugins;
    struct settings_extra extra = apply_extra(plugins);
    json_t *settings = NULL;

    if (claim(candidate) < 0 ||
        settings_new(&settings, image_plugin(candidate->image), *plugins->host->config, &extra, &candidate->err) < 0)
        return -1;
    candidate->next = generation_new(plugins->host, TAKE_PTR(candidate->image), candidate->number);
    candidate->next->config = settings;
    candidate->next->plugins = plugins;
    for (size_t i = 0; i < candidate->tool_count; i++) {
        if (registry_add(plugins->host->registry, candidate->next, candidate->tools[i], &candidate->err) < 0)
            return -1;
        candidate->tools[i] = NULL;
    }
    return 0;
}

/* Ends a candidate whose generation exists: it is stopped if it had been started, and unloaded. */
static void discard(struct candidate *candidate) {
    struct plugins *plugins = candidate->plugins;

    if (candidate->previous) {
        (void)registry_set_waiting(plugins->host->registry, candidate->previous, candidate->previous->over, false);
        run_release_held(candidate->previous);
    }
    if (candidate->next)
        retire(plugins, TAKE_PTR(candidate->next));
    refuse(candidate);
}

static void quiesce(struct candidate *candidate) ON_LOOP;

static void loaded(struct candidate *candidate) {
    if (candidate->r < 0)
        refuse(candidate);
    else if (make_generation(candidate) < 0)
        discard(candidate);
    else if (candidate->previous && generation_keeps_state(candidate->previous))
        quiesce(candidate);
    else
        start(candidate);
}

/* ---- wait for the calls of a generation that keeps state ---- */

static void on_patience_over(void *arg);

static void wait_aside(struct candidate *candidate) {
    struct plugins *plugins = candidate->plugins;

    log_info("plugin '%s' waits for its running calls before it is replaced", candidate->plugin->name);
    (void)registry_set_waiting(plugins->host->registry, candidate->previous, true, false);
    run_release_held(candidate->previous);
    candidate->retried = true;
    plugins->loader.current = NULL;
    list_append(&plugins->loader.waiting, &candidate->link);
    timer_start(candidate->timer, RETRY_AFTER_MS, 0);
    next(plugins);
    plugins_settled(plugins);
}

static void quiesce(struct candidate *candidate) {
    struct plugins *plugins = candidate->plugins;
    int task_suspension = (*plugins->host->config)->restart.task_suspension * 1000;

    if (registry_set_waiting(plugins->host->registry, candidate->previous, true, true) == 0) {
        start(candidate);
        return;
    }
    if (!candidate->timer)
        candidate->timer = timer_new(plugins->host->loop, on_patience_over, candidate);
    timer_start(candidate->timer, candidate->retried ? RETRY_WAIT_MS : task_suspension, 0);
}

/* Tries again; the generation to be replaced may be another one by now. */
static void retry(struct candidate *candidate) {
    struct plugins *plugins = candidate->plugins;

    timer_stop(candidate->timer);
    list_remove(&candidate->link);
    list_append(&plugins->loader.ready, &candidate->link);
    next(plugins);
}

static void on_patience_over(void *arg) {
    struct candidate *candidate = arg;

    loop_enter();
    if (candidate->plugins->loader.current == candidate)
        wait_aside(candidate);
    else
        retry(candidate);
}

void loader_on_idle(struct generation *generation) {
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

/* ---- start, swap, activate ---- */

static void start_run(void *job) {
    struct candidate *candidate = container_of((struct lane_job *)job, struct candidate, job);

    if (candidate->previous)
        candidate->next->saved = generation_save(candidate->previous);
    candidate->r = generation_start(candidate->next, &candidate->err);
}

static void record_image(const struct candidate *candidate) {
    const struct image *image = candidate->plugin->active->image;
    struct image_record record = {.plugin = span_of(candidate->plugin->name),
                                  .file = span_of(image_file(image)),
                                  .active_path = span_of(image_path(image)),
                                  .active_hash = span_of(image_hash(image)),
                                  .good_path = span_of(image_path(image)),
                                  .good_hash = span_of(image_hash(image)),
                                  .generation = candidate->plugin->active->number};
    struct theseus_error err = {0};

    if (ledger_put(candidate->plugins->host->ledger, &image_kind, &record, &err) < 0)
        log_error("an image could not be recorded: %s", err.message);
}

/* The new generation serves for good. */
static void succeed(struct candidate *candidate) {
    struct plugin *plugin = candidate->plugin;
    struct plugins *plugins = candidate->plugins;

    log_info("plugin '%s' %s: generation %u serves (swap in %.3f ms)", plugin->name, plugin->active->version,
             plugin->active->number, (double)plugin->swap_ns / 1e6);
    record_image(candidate);
    source_refuse(candidate->source, NULL);
    if (candidate->previous) {
        (void)registry_set_waiting(plugins->host->registry, candidate->previous, false, false);
        run_release_held(candidate->previous);
        retire(plugins, candidate->previous);
    }
    candidate->next = NULL;
    finish(candidate);
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

/* What must happen outside the process did not: the generation before takes its place again. */
static void swap_back(struct candidate *candidate) {
    struct plugins *plugins = candidate->plugins;
    struct theseus_error err = {0};

    if (registry_swap(plugins->host->registry, candidate->next, candidate->previous, &err) < 0)
        log_error("plugin '%s': %s", candidate->plugin->name, err.message);
    serve(candidate->plugin, candidate->previous, candidate->previous ? candidate->replaced : NULL);
    if (!candidate->previous)
        candidate->source->plugin = NULL;
    plugins->host->tools_touched(plugins->host->arg);
    discard(candidate);
}

static void activated(struct candidate *candidate) {
    if (candidate->r < 0)
        swap_back(candidate);
    else
        succeed(candidate);
}

static void swap(struct candidate *candidate) {
    struct plugins *plugins = candidate->plugins;
    int64_t began = clock_now_ns();

    if (registry_swap(plugins->host->registry, candidate->previous, candidate->next, &candidate->err) < 0) {
        discard(candidate);
        return;
    }
    candidate->replaced = candidate->plugin->source;
    serve(candidate->plugin, candidate->next, candidate->source);
    candidate->plugin->swap_ns = clock_now_ns() - began;
    stats_add(&candidate->plugin->swaps, candidate->plugin->swap_ns, false);
    plugins->host->tools_touched(plugins->host->arg);
    if (candidate->next->slots.activate)
        on_lane(candidate, activate_run, activated);
    else
        succeed(candidate);
}

static void started(struct candidate *candidate) {
    if (candidate->r < 0)
        discard(candidate);
    else
        swap(candidate);
}

static void start(struct candidate *candidate) {
    on_lane(candidate, start_run, started);
}

/* ---- the queue ---- */

static void next(struct plugins *plugins) {
    struct loader *loader = &plugins->loader;

    if (loader->current || plugins->stopping || list_empty(&loader->ready))
        return;
    struct candidate *candidate = list_first(&loader->ready, struct candidate, link);
    list_remove(&candidate->link);
    loader->current = candidate;
    if (!candidate->next) {
        on_lane(candidate, load_run, loaded);
    } else { /* has waited; the plugin may have been replaced, or be gone, meanwhile */
        candidate->previous = candidate->plugin->active;
        if (candidate->previous && generation_keeps_state(candidate->previous))
            quiesce(candidate);
        else
            start(candidate);
    }
}

/* A newer file, or none: the candidate that waits for calls is not wanted any more. */
void loader_forget_source(struct plugins *plugins, struct source *source) {
    list_for_each (link, &plugins->loader.waiting) {
        struct candidate *candidate = list_entry(link, struct candidate, link);
        if (candidate->source != source)
            continue;
        retire(plugins, TAKE_PTR(candidate->next));
        candidate_free(candidate);
    }
}

bool loader_is_idle(const struct plugins *plugins) {
    const struct loader *loader = &plugins->loader;

    return !loader->current && !loader->testload && list_empty(&loader->copying) && list_empty(&loader->to_test) &&
           list_empty(&loader->testing) && list_empty(&loader->ready);
}

void loader_init(struct plugins *plugins) {
    struct loader *loader = &plugins->loader;

    list_init(&loader->copying);
    list_init(&loader->to_test);
    list_init(&loader->testing);
    list_init(&loader->ready);
    list_init(&loader->waiting);
    loader->good = map_new();
}

static void free_all(struct plugins *plugins, struct list *candidates) {
    list_for_each (link, candidates) {
        struct candidate *candidate = list_entry(link, struct candidate, link);
        if (candidate->next)
            retire(plugins, TAKE_PTR(candidate->next));
        candidate_free(candidate);
    }
}

void loader_fini(struct plugins *plugins) {
    struct loader *loader = &plugins->loader;

    loader->testload = testload_free(loader->testload);
    free_all(plugins, &loader->to_test);
    free_all(plugins, &loader->testing);
    free_all(plugins, &loader->ready);
    free_all(plugins, &loader->waiting);
    loader->good = map_free(loader->good);
}
