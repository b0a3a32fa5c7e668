/*
 * In a process image that follows another: the plugins are those that served, from the very copies that the ledger
 * names. No copy is made and none is tried out again; all of them are mapped in one go on the lane, and started in
 * another, so that no plugin waits for the way to the lane and back of those before it. They are promoted in the order
 * of their generations as every candidate is. One whose copy is not what was recorded begins anew with its file.
 *
 * Until the restart is known to have succeeded (plugins_drop_saved()) the image before may come back: no copy and no
 * record of what served there goes, whatever becomes of it here.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/log.h"
#include "plugin/inner.h"
#include "rpc/jsontext.h"

/* The directories are looked at when the clients have been served again: this costs a copy of every file. */
enum { LOOK_AFTER_MS = 20 };

static void adopt(struct candidate *candidate) {
    if (candidate->stored)
        candidate->r =
            image_copy_kept(&candidate->image, candidate->plugins->dir, candidate->adopt, candidate->adopt_hash,
                            candidate->source->path, candidate->number, &candidate->err);
    else
        candidate->r = image_adopt(&candidate->image, candidate->adopt, candidate->source->path, candidate->adopt_hash,
                                   &candidate->err);
    if (candidate->r < 0)
        return;
    image_keep_file(candidate->image);
    candidate->r = loader_load(candidate);
}

static void adopt_run(void *job) {
    adopt(container_of((struct lane_job *)job, struct candidate, job));
}

static void take(struct candidate *candidate) ON_LOOP {
    struct plugins *plugins = candidate->plugins;

    list_remove(&candidate->link);
    if (candidate->r < 0 && !candidate->begun) {
        log_warning("plugin file '%s': the image that served cannot be taken over: %s; the file is loaded instead",
                    candidate->source->path, candidate->err.message);
        free(TAKE_PTR(candidate->banned));
        free(TAKE_PTR(candidate->adopt));
        candidate->stored = false;
        candidate->err = (struct theseus_error){0};
        candidate->image = image_free(candidate->image);
        loader_copy(candidate);
        return;
    }
    candidate->loaded = true;
    list_append(&plugins->loader.ready, &candidate->link);
}

static void adopted(struct candidate *candidate) ON_LOOP {
    struct plugins *plugins = candidate->plugins;

    take(candidate);
    loader_next(plugins);
}

static bool is_wanted(const struct plugins *plugins, struct span plugin, const char *file) ON_LOOP {
    CLEANUP(free) char *name = xstrndup(plugin.data, plugin.len);
    size_t len = strlen(path_base(file));

    return len > strlen(".so") && !config_matches((*plugins->host->config)->plugins.disable, name) &&
           !scan_is_disabled(plugins, path_base(file));
}

struct restore {
    struct plugins *plugins;
    struct list candidates; /* candidate::link, in the order of their numbers */
    size_t records;
};

/* What either kind of record says of an image. */
struct wanted {
    struct span plugin, file, path, hash;
    uint64_t generation;
    bool stored;
};

static void collect(struct restore *restore, const struct wanted *wanted) ON_LOOP {
    CLEANUP(free) char *file = xstrndup(wanted->file.data, wanted->file.len);
    CLEANUP(free) char *name = xstrndup(wanted->plugin.data, wanted->plugin.len);

    restore->records++;
    if (!is_wanted(restore->plugins, wanted->plugin, file))
        return;
    struct candidate *candidate = loader_candidate_new(restore->plugins, scan_source(restore->plugins, file));
    candidate->restored = true;
    candidate->source->restored = true;
    candidate->stored = wanted->stored;
    candidate->number = wanted->stored ? loader_next_generation(restore->plugins) : (unsigned)wanted->generation;
    candidate->adopt = xstrndup(wanted->path.data, wanted->path.len);
    (void)snprintf(candidate->adopt_hash, sizeof(candidate->adopt_hash), "%.*s", (int)wanted->hash.len,
                   wanted->hash.data);
    candidate->banned = banning_reason_of(restore->plugins, name, candidate->adopt_hash);
    struct list *before = restore->candidates.prev;
    while (before != &restore->candidates && list_entry(before, struct candidate, link)->number > candidate->number)
        before = before->prev;
    list_append(before->next, &candidate->link); /* in front of what follows */
}

static void collect_served(void *arg, const void *recorded) ON_LOOP {
    const struct image_record *record = recorded;
    struct restore *restore = arg;

    if (!proposal_stands_for(restore->plugins, record->plugin))
        collect(restore, &(struct wanted){record->plugin, record->file, record->active_path, record->active_hash,
                                          record->generation, record->stored});
}

static void collect_proposed(void *arg, const void *recorded) ON_LOOP {
    const struct proposal_record *record = recorded;

    collect(arg, &(struct wanted){record->plugin, record->file, record->path, record->hash, record->generation, false});
}

/* What served, on its way. False: nothing did. */
static bool begin(struct plugins *plugins) ON_LOOP {
    struct restore restore = {.plugins = plugins};

    list_init(&restore.candidates);
    scan_list(plugins);
    banning_refuse(plugins);
    ledger_each(plugins->host->ledger, &image_kind, collect_served, &restore);
    if (plugins->takes_proposals)
        ledger_each(plugins->host->ledger, &proposal_kind, collect_proposed, &restore);
    if (restore.records == 0)
        return false;
    plugins->began = true;
    list_splice(&plugins->loader.copying, &restore.candidates);
    return true;
}

/* ---- all on the lane in one go, beside what the loop does ---- */

static void adopt_all_run(void *job) {
    struct plugins *plugins = container_of((struct lane_job *)job, struct plugins, adoption);

    list_for_each (link, &plugins->loader.copying) /* which nobody touches until this is over */
        adopt(list_entry(link, struct candidate, link));
}

static void begin_all_run(void *job) {
    struct plugins *plugins = container_of((struct lane_job *)job, struct plugins, adoption);

    list_for_each (link, &plugins->loader.copying)
        promote_begin(list_entry(link, struct candidate, link));
}

static void take_all(struct plugins *plugins) ON_LOOP {
    struct list all;

    plugins->adoptees = false;
    list_init(&all);
    list_splice(&all, &plugins->loader.copying);
    list_for_each (link, &all) /* before the first one is promoted: all have come when the last one is */
        take(list_entry(link, struct candidate, link));
    loader_resume(plugins); /* and what others wanted meanwhile */
    plugins_settled(plugins);
}

static void on_all_begun(struct lane_job *job, bool timed_out) {
    struct plugins *plugins = container_of(job, struct plugins, adoption);

    loop_enter();
    (void)timed_out; /* it has no limit */
    if (plugins->stopping)
        loader_drop_copying(plugins);
    else
        take_all(plugins);
}

/* Both have come: the images, and the wish to have them serve. */
static void take_adopted(struct plugins *plugins) ON_LOOP {
    if (!plugins->adopted || !plugins->restoring)
        return;
    plugins->adopted = false;
    if (plugins->muster.holds) { /* none is to be started yet */
        take_all(plugins);
        return;
    }
    list_for_each (link, &plugins->loader.copying) {
        struct candidate *candidate = list_entry(link, struct candidate, link);
        if (candidate->r == 0)
            promote_prepare(candidate);
    }
    plugins->adoption = (struct lane_job){.run = begin_all_run, .done = on_all_begun};
    lane_submit(plugins->host->lane, &plugins->adoption);
}

static void on_all_adopted(struct lane_job *job, bool timed_out) {
    struct plugins *plugins = container_of(job, struct plugins, adoption);

    loop_enter();
    (void)timed_out; /* it has no limit */
    plugins->adopted = true;
    if (plugins->stopping)
        loader_drop_copying(plugins);
    else
        take_adopted(plugins);
}

void plugins_restore_early(struct plugins *plugins) {
    if (plugins->began || !begin(plugins))
        return;
    plugins->adopting = plugins->adoptees = true;
    plugins->adoption = (struct lane_job){.run = adopt_all_run, .done = on_all_adopted};
    lane_submit(plugins->host->lane, &plugins->adoption);
}

void plugins_restore(struct plugins *plugins, struct loop_task *done) {
    bool begun = plugins->adopting || (!plugins->began && begin(plugins));

    if (!begun) { /* nothing was loaded: that is done when it is wanted */
        if (!muster_keeps(plugins, done))
            loop_post_task(plugins->host->loop, done);
        return;
    }
    plugins->restoring = true;
    plugins->done = done;
    if (plugins->adopting) {
        plugins->adopting = false;
        take_adopted(plugins);
        return;
    }
    list_for_each (link, &plugins->loader.copying)
        loader_on_lane(list_entry(link, struct candidate, link), adopt_run, adopted);
    plugins_settled(plugins);
}

/* ---- when all have settled ---- */

static void look(struct plugins *plugins) ON_LOOP {
    plugins->look = timer_free(plugins->look);
    scan_watch(plugins);
    scan_all(plugins, false);
}

static void on_look(void *arg) {
    loop_enter();
    look(arg);
}

void restore_look(struct plugins *plugins) {
    if (plugins->look)
        look(plugins);
}

bool restore_is_pending(const struct plugins *plugins) {
    return plugins->restoring || plugins->look;
}

void restore_settled(struct plugins *plugins) {
    if (!plugins->restoring)
        return;
    plugins->restoring = false;
    plugins->loaded = true;
    loop_post_task(plugins->host->loop, TAKE_PTR(plugins->done));
    plugins->look = timer_new(plugins->host->loop, on_look, plugins);
    timer_start(plugins->look, LOOK_AFTER_MS, 0);
}

void restore_fini(struct plugins *plugins) {
    if (plugins->adopted)
        loader_drop_copying(plugins); /* nobody asked for them */
    plugins->adopted = false;
    plugins->look = timer_free(plugins->look);
}

/* ---- is anybody missing? ---- */

struct missing {
    struct plugins *plugins;
    struct theseus_error *err;
};

static void look_for(void *arg, const void *recorded) ON_LOOP {
    const struct image_record *record = recorded;
    struct missing *missing = arg;
    CLEANUP(free) char *name = xstrndup(record->plugin.data, record->plugin.len);
    CLEANUP(free) char *file = xstrndup(record->file.data, record->file.len);
    const struct plugin *plugin = plugins_find(missing->plugins, name, false);

    if (plugin && plugin->active)
        return;
    list_for_each (link, &missing->plugins->sources) {
        const struct source *source = list_entry(link, struct source, link);
        if (source->refused && strcmp(source->path, file) == 0)
            (void)fail(missing->err, ERR_INVALID, "plugin '%s' served before, and cannot now: %s", name,
                       source->refused);
    }
}

int plugins_serve_as_before(struct plugins *plugins, struct theseus_error *err) {
    struct missing missing = {plugins, err};

    ledger_each(plugins->host->ledger, &image_kind, look_for, &missing);
    return err->code == ERR_UNSET ? 0 : -1;
}

/* ---- what was saved ---- */

static void read_saved(void *arg, const void *recorded) {
    const struct saved_record *record = recorded;
    struct theseus_error err = {0};
    json_t **value = arg;

    *value = jsontext_read(record->value, &err);
    if (!*value)
        log_error("what plugin '%.*s' had saved cannot be read back: %s", (int)record->plugin.len, record->plugin.data,
                  err.message);
}

json_t *restore_saved_new(const struct candidate *candidate) {
    struct saved_record record = {.plugin = span_of(candidate->next->name)};
    json_t *value = NULL;

    ledger_find(candidate->plugins->host->ledger, &saved_kind, &record, read_saved, &value);
    return value;
}
