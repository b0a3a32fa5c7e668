/*
 * How a file becomes the serving generation.
 *
 *     copy (lane) → test-load (child) → load and check (lane) → wait for calls, if the old one keeps state
 *         → save of the old, start and selftest of the new (lane) → swap (one turn of the loop) → activate (lane)
 *
 * Invariant: the plugin's active generation answers calls at every moment, whatever fails here. Until the swap the old
 * one has noticed nothing but a `save`; a failure ends the candidate, with its reason kept at the source.
 *
 * This file has the queues and the steps up to the test-load; promote.c has the rest.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "plugin/contract.h"
#include "plugin/guest.h"
#include "plugin/inner.h"
#include "plugin/migration.h"
#include "plugin/shelf.h"
#include "store/store.h"

static void test_next(struct plugins *plugins) ON_LOOP;
static void drop_waiting(struct plugins *plugins, const struct source *source) ON_LOOP;

static int limit_ms(const struct plugins *plugins) {
    return (*plugins->host->config)->restart.process_startup * 1000;
}

/* ---- life ---- */

struct candidate *loader_candidate_new(struct plugins *plugins, struct source *source) {
    struct candidate *candidate = xcalloc(1, sizeof(*candidate));

    candidate->plugins = plugins;
    candidate->source = source;
    candidate->schema = -1;
    candidate->apart = apart_of_file(*plugins->host->config, source->path);
    list_init(&candidate->link);
    source->candidates++;
    return candidate;
}

/* With what it owns. It is in no list any more, and its source may have gone. */
static void release(struct candidate *candidate) ON_LOOP {
    candidate->timer = timer_free(candidate->timer);
    contract_tools_free(candidate->tools, candidate->tool_count);
    candidate->image = image_free(candidate->image);
    free(candidate->adopt);
    free(candidate->backup);
    free(candidate->judged);
    free(candidate->banned);
    free(candidate);
}

static void candidate_free(struct candidate *candidate) ON_LOOP {
    struct plugins *plugins = candidate->plugins;
    const struct plugin *plugin = candidate->source->plugin;
    const unsigned stands_for = candidate->stands_for;

    list_remove(&candidate->link);
    candidate->source->candidates--;
    release(candidate);
    if (stands_for > 0 && plugin)
        banning_give_up(plugins, plugin->name, stands_for);
}

/* The source of a candidate may have vanished while it was on its way. */
void loader_finish(struct candidate *candidate) {
    struct plugins *plugins = candidate->plugins;
    struct source *source = candidate->source;

    if (plugins->loader.current == candidate)
        plugins->loader.current = NULL;
    candidate_free(candidate);
    if (source->candidates == 0 && !source->present && !source->plugin && !source->gone)
        (void)source_free(source);
    loader_next(plugins);
    plugins_settled(plugins);
}

/* What served before a restart and cannot go on with what it had is not begun with nothing instead, unless the file
 * changes or somebody asks for it. */
static void refuse_source(const struct candidate *candidate, const char *reason) {
    source_refuse(candidate->source, reason);
    if (candidate->restored)
        (void)source_look(candidate->source);
}

/* Where the file itself is banned, what was to serve in its place is no better, and the ban says so from here on. */
static char *reason_of(const struct candidate *candidate, const struct theseus_error *err) ON_LOOP {
    const char *message = candidate->judged ? candidate->judged : err->message;
    char *reason = candidate->banned ? banning_failed(candidate->plugins, candidate->adopt_hash, message) : NULL;

    return reason ? reason : xstrdup(message);
}

/* Ends a candidate that was not started. */
void loader_refuse(struct candidate *candidate) {
    const struct plugin *plugin = candidate->source->plugin;
    CLEANUP(free) char *reason = reason_of(candidate, &candidate->err);
    enum errc code = (enum errc)candidate->err.code;

    muster_note_refused(candidate);
    log_warning("plugin file '%s' is refused: %s%s", candidate->source->path, reason,
                plugin && plugin->active ? "; the one before goes on serving" : "");
    refuse_source(candidate, reason);
    candidate->source->conflict = code == ERR_BUSY;
    candidate->source->untrusted = code == ERR_ACCESS;
    if (candidate->has_good && !(plugin && plugin->active))
        loader_add(candidate->plugins, candidate->source); /* which finds the good one, for the file is banned */
    loader_finish(candidate);
}

/* The server ends: the candidate goes no further. One that serves already is its plugin's to end. */
static void abandon(struct candidate *candidate) ON_LOOP {
    struct plugins *plugins = candidate->plugins;
    bool serves = candidate->plugin && candidate->next && candidate->plugin->active == candidate->next;

    if (serves && candidate->previous)
        retire(plugins, candidate->previous);
    else if (candidate->next && !serves)
        retire(plugins, candidate->next);
    candidate->next = NULL;
    if (plugins->loader.current == candidate)
        plugins->loader.current = NULL;
    candidate_free(candidate);
}

/* In which code it is: of the generation to be, or in the `save` of the one before. */
static void note_hang(struct candidate *candidate) ON_LOOP {
    const struct generation *next = candidate->next, *previous = candidate->previous;
    const char *slot = next ? atomic_load(&next->slot) : "load";

    if (!slot && previous)
        slot = atomic_load(&previous->slot);
    candidate->hang = hangs_add_slot(candidate->plugins->hangs, next ? next->name : path_base(candidate->source->path),
                                     slot ? slot : "start");
}

/* Code in a process of its own comes back when that is ended: nothing keeps the generation then. */
static void on_late(struct lane_job *job) {
    struct candidate *candidate = container_of(job, struct candidate, job);
    const struct image *image = candidate->next ? candidate->next->image : candidate->image;

    loop_enter();
    hangs_slot_returned(candidate->plugins->hangs, candidate->hang);
    if (candidate->plugins->stopping || !image || !image_spec(image))
        return;
    if (candidate->next)
        retire_returned(TAKE_PTR(candidate->next));
    release(candidate);
}

static void on_done(struct lane_job *job, bool timed_out) {
    struct candidate *candidate = container_of(job, struct candidate, job);

    loop_enter();
    if (!timed_out && candidate->plugins->stopping) {
        abandon(candidate);
        return;
    }
    if (!timed_out) {
        candidate->then(candidate);
        return;
    }
    /* The thread is stuck in the plugin's code. The candidate stays in memory for it, which may write its own error into
     * it at any moment; nothing else waits. */
    struct plugins *plugins = candidate->plugins;
    struct theseus_error err = {0};
    note_hang(candidate);
    (void)fail(&err, ERR_TIMEOUT, "it did not come back within %d ms from its own code", limit_ms(plugins));
    if (candidate->next)
        migration_note(candidate->next, &err);
    CLEANUP(free) char *reason = reason_of(candidate, &err);
    log_warning("plugin file '%s' is refused: %s", candidate->source->path, reason);
    refuse_source(candidate, reason);
    promote_give_up(candidate);
    candidate->source->candidates--;
    list_remove(&candidate->link);
    if (plugins->loader.current == candidate)
        plugins->loader.current = NULL;
    test_next(plugins);
    loader_next(plugins);
    plugins_settled(plugins);
}

void loader_on_lane(struct candidate *candidate, work_fn *run, void (*then)(struct candidate *)) {
    candidate->job =
        (struct lane_job){.run = run, .done = on_done, .late = on_late, .limit_ms = limit_ms(candidate->plugins)};
    candidate->then = then;
    lane_submit(candidate->plugins->host->lane, &candidate->job);
}

/* ---- copy and test ---- */

unsigned loader_next_generation(struct plugins *plugins) {
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

/* What is kept, in place of what the file holds. */
static void copy_kept_run(void *job) {
    struct candidate *candidate = container_of((struct lane_job *)job, struct candidate, job);

    candidate->r = image_copy_kept(&candidate->image, candidate->plugins->dir, candidate->adopt, candidate->adopt_hash,
                                   candidate->source->path, candidate->number, &candidate->err);
}

static bool serves(const struct source *source, const char *hash) {
    const struct plugin *plugin = source->plugin;

    return plugin && plugin->source == source && plugin->active && strcmp(image_hash(plugin->active->image), hash) == 0;
}

/* The file is not loaded, whatever happens: its content is banned. What serves instead may serve already. */
static void end_banned(struct candidate *candidate) ON_LOOP {
    struct plugins *plugins = candidate->plugins;

    candidate->source->restored = false;
    source_refuse(candidate->source, candidate->banned);
    drop_waiting(plugins, candidate->source);
    loader_finish(candidate);
    test_next(plugins);
}

static void copied(struct candidate *candidate) ON_LOOP;

/* True: the candidate is another one from here on, or none any more. */
static bool is_banned(struct candidate *candidate) ON_LOOP {
    CLEANUP(ban_fini) struct ban ban = {0};
    struct plugins *plugins = candidate->plugins;

    if (candidate->banned || !ban_find(plugins->host->ledger, image_hash(candidate->image), &ban))
        return false;
    if (!*ban.file) {
        free(ban.file);
        ban.file = xstrdup(candidate->source->path);
    }
    banning_follow(plugins, &ban);
    candidate->banned = ban_reason(&ban);
    log_warning("plugin file '%s' is not loaded: %s", candidate->source->path, candidate->banned);
    if (!*ban.good_hash || serves(candidate->source, ban.good_hash)) {
        end_banned(candidate);
        return true;
    }
    candidate->image = image_free(candidate->image);
    candidate->adopt = shelf_path((*plugins->host->config)->server.state_dir, ban.good_hash);
    (void)snprintf(candidate->adopt_hash, sizeof(candidate->adopt_hash), "%s", ban.good_hash);
    list_append(&plugins->loader.copying, &candidate->link);
    loader_on_lane(candidate, copy_kept_run, copied);
    return true;
}

static void copied(struct candidate *candidate) {
    struct plugins *plugins = candidate->plugins;
    struct loader *loader = &plugins->loader;

    list_remove(&candidate->link);
    if (candidate->r < 0) {
        loader_refuse(candidate);
        test_next(plugins); /* the others may have waited for this copy alone */
        return;
    }
    if (is_banned(candidate))
        return;
    bool good = map_get(loader->good, span_of(image_hash(candidate->image)));
    good = good || candidate->apart.wanted; /* it is tried out where it will run */
    list_append(good ? &loader->ready : &loader->to_test, &candidate->link);
    test_next(plugins);
    loader_next(plugins);
}

void loader_copy(struct candidate *candidate) {
    struct plugins *plugins = candidate->plugins;

    if (atomic_load(&plugins->pause.on) || plugins->adoptees) {
        list_append(&plugins->loader.later, &candidate->link);
        return;
    }
    candidate->number = loader_next_generation(plugins);
    list_append(&plugins->loader.copying, &candidate->link);
    loader_on_lane(candidate, copy_run, copied);
}

static void add(struct plugins *plugins, struct source *source, bool forced, unsigned stands_for) ON_LOOP {
    if (plugins->stopping)
        return;
    loader_forget_source(plugins, source);
    struct candidate *candidate = loader_candidate_new(plugins, source);
    candidate->forced = forced;
    candidate->stands_for = stands_for;
    loader_copy(candidate);
}

void loader_add(struct plugins *plugins, struct source *source) {
    add(plugins, source, false, 0);
}

void loader_force(struct plugins *plugins, struct source *source) {
    add(plugins, source, true, 0);
}

void loader_revert(struct plugins *plugins, struct source *source) {
    add(plugins, source, true, source->plugin->active->number);
}

static void set_apart(struct candidate *candidate) {
    const struct plugins *plugins = candidate->plugins;
    const struct store *store = plugins->host->store;
    CLEANUP(free) char *dir = store ? apart_dir(store_path(store), candidate->source->path) : NULL;
    const struct guest_spec spec = {
        .exe_fd = plugins->exe_fd,
        .dir = dir,
        .memory = candidate->apart.memory,
        .limit_ms = candidate->apart.limit_ms,
    };

    image_set_apart(candidate->image, &spec);
}

int loader_load(struct candidate *candidate) {
    struct image *image = candidate->image;

    if (candidate->apart.wanted)
        set_apart(candidate);
    if (image_load(image, &candidate->err) < 0)
        return -1;
    /* What was found good before is read when it is wanted; but a process may say another thing each time. */
    return (candidate->adopt && !candidate->apart.wanted ? contract_take : contract_check)(
        image_plugin(image), &candidate->tools, &candidate->tool_count, &candidate->err);
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
    if (!candidate)
        return;
    list_remove(&candidate->link);
    if (err) {
        candidate->err = *err;
        loader_refuse(candidate);
        return;
    }
    candidate->schema = testload_schema(plugins->loader.testload, name);
    (void)map_put(plugins->loader.good, span_of(image_hash(candidate->image)), plugins);
    list_append(&plugins->loader.ready, &candidate->link);
    loader_next(plugins);
}

static void on_all_tested(void *arg) {
    struct plugins *plugins = arg;

    loop_enter();
    plugins->loader.testload = testload_free(plugins->loader.testload);
    test_next(plugins);
    plugins_settled(plugins);
}

static void refuse_all(struct list *candidates, const struct theseus_error *err) ON_LOOP {
    list_for_each (link, candidates) {
        struct candidate *candidate = list_entry(link, struct candidate, link);
        candidate->err = *err;
        loader_refuse(candidate);
    }
}

/* One child tests all that are waiting, once nothing is being copied any more. */
static void test_next(struct plugins *plugins) {
    struct loader *loader = &plugins->loader;
    struct theseus_error err = {0};
    size_t count = 0, i = 0;

    if (loader->testload || !list_empty(&loader->copying) || list_empty(&loader->to_test) ||
        atomic_load(&plugins->pause.on))
        return;
    list_splice(&loader->testing, &loader->to_test);
    list_for_each (link, &loader->testing)
        count++;
    CLEANUP(free) char **files = xcalloc(count + 1, sizeof(char *));
    list_for_each (link, &loader->testing)
        files[i++] = (char *)(uintptr_t)image_path(list_entry(link, struct candidate, link)->image);
    const struct testload_spec spec = {.exe_fd = plugins->exe_fd,
                                       .files = files,
                                       .count = count,
                                       .database = plugins->host->store ? store_path(plugins->host->store) : NULL,
                                       .limit_ms = limit_ms(plugins)};
    if (testload_start(&loader->testload, plugins->host->loop, &spec, on_tested, on_all_tested, plugins, &err) < 0)
        refuse_all(&loader->testing, &err);
}

/* ---- the queue ---- */

static void drop_waiting(struct plugins *plugins, const struct source *source) {
    list_for_each (proposal, &plugins->loader.proposals) {
        struct candidate *candidate = list_entry(proposal, struct candidate, link);
        if (candidate->source != source)
            continue;
        proposal_forget(candidate);
        candidate_free(candidate);
    }
    list_for_each (link, &plugins->loader.waiting) {
        struct candidate *candidate = list_entry(link, struct candidate, link);
        if (candidate->source != source)
            continue;
        retire(plugins, TAKE_PTR(candidate->next));
        candidate_free(candidate);
    }
}

/* Looked at for the first time behind a restart, the file holds what it held before. */
static bool serves_already(const struct candidate *candidate) {
    const struct plugin *plugin = candidate->source->plugin;
    const struct generation *active = plugin && plugin->source == candidate->source ? plugin->active : NULL;

    return active && candidate->source->restored && !candidate->restored && !candidate->forced && !candidate->next &&
           strcmp(image_hash(active->image), image_hash(candidate->image)) == 0;
}

/* One that is not needed goes also while nothing is begun: else its copy would be left behind by a restart. */
static struct candidate *take_next(struct plugins *plugins) ON_LOOP {
    struct candidate *candidate = list_first(&plugins->loader.ready, struct candidate, link);
    bool may_begin = !plugins->saver && !atomic_load(&plugins->pause.on);

    if (!candidate || (!may_begin && !serves_already(candidate)))
        return NULL;
    list_remove(&candidate->link);
    return candidate;
}

void loader_next(struct plugins *plugins) {
    struct loader *loader = &plugins->loader;
    struct candidate *candidate;
    bool dropped = false;

    if (muster_holds(plugins))
        return;
    while (!loader->current && !plugins->stopping && (candidate = take_next(plugins))) {
        bool needless = serves_already(candidate);
        candidate->source->restored = candidate->source->restored && candidate->restored;
        if (needless) {
            source_refuse(candidate->source, candidate->banned);
            drop_waiting(plugins, candidate->source); /* for what the file held meanwhile */
            candidate_free(candidate);
            dropped = true;
            continue;
        }
        loader->current = candidate;
        promote(candidate);
    }
    if (dropped)
        plugins_settled(plugins);
}

void loader_pause(struct plugins *plugins) {
    struct loader *loader = &plugins->loader;

    loader->testload = testload_free(loader->testload); /* no child of ours is left to the next image */
    list_splice(&loader->testing, &loader->to_test);
    list_splice(&loader->to_test, &loader->testing);
    if (loader->current)
        promote_put_aside(loader->current);
}

void loader_resume(struct plugins *plugins) {
    struct list later;

    list_init(&later);
    list_splice(&later, &plugins->loader.later);
    list_for_each (link, &later) {
        struct candidate *candidate = list_entry(link, struct candidate, link);
        list_remove(link);
        loader_copy(candidate);
    }
    test_next(plugins);
    loader_next(plugins);
}

bool loader_is_between(const struct plugins *plugins) {
    return !plugins->loader.current;
}

/* A newer file, or none: a candidate that waits for calls is not wanted any more. */
void loader_forget_source(struct plugins *plugins, struct source *source) {
    struct candidate *current = plugins->loader.current;

    if (current && current->source == source && promote_forget(current)) {
        plugins->loader.current = NULL;
        candidate_free(current);
        loader_next(plugins);
    }
    drop_waiting(plugins, source);
}

bool loader_is_idle(const struct plugins *plugins) {
    const struct loader *loader = &plugins->loader;

    return !plugins->muster.holds && !loader->current && !loader->testload && list_empty(&loader->copying) &&
           list_empty(&loader->to_test) && list_empty(&loader->testing) && list_empty(&loader->ready) &&
           list_empty(&loader->later);
}

void loader_init(struct plugins *plugins) {
    struct loader *loader = &plugins->loader;

    list_init(&loader->copying);
    list_init(&loader->to_test);
    list_init(&loader->testing);
    list_init(&loader->ready);
    list_init(&loader->waiting);
    list_init(&loader->later);
    list_init(&loader->proposals);
    loader->good = map_new();
}

static void free_all(struct plugins *plugins, struct list *candidates) ON_LOOP {
    list_for_each (link, candidates) {
        struct candidate *candidate = list_entry(link, struct candidate, link);
        if (candidate->next)
            retire(plugins, TAKE_PTR(candidate->next));
        candidate_free(candidate);
    }
}

void loader_stop(struct plugins *plugins) {
    struct loader *loader = &plugins->loader;

    loader->testload = testload_free(loader->testload);
    free_all(plugins, &loader->to_test);
    free_all(plugins, &loader->testing);
    free_all(plugins, &loader->ready);
    free_all(plugins, &loader->waiting);
    free_all(plugins, &loader->later);
    free_all(plugins, &loader->proposals);
}

void loader_drop_copying(struct plugins *plugins) {
    free_all(plugins, &plugins->loader.copying);
}

void loader_fini(struct plugins *plugins) {
    struct loader *loader = &plugins->loader;

    loader->good = map_free(loader->good);
}
