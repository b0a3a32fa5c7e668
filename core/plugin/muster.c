/*
 * All images of a restart together: mapped and checked, none of them started. Only then the database is migrated, to
 * what all of them ask for, because behind that there is no way back; and only then they are started.
 */
#include <stdlib.h>
#include <string.h>

#include "plugin/contract.h"
#include "plugin/inner.h"

/* ---- the schemas ---- */

static size_t ready_count(const struct plugins *plugins) {
    size_t count = 0;

    list_for_each (link, (struct list *)&plugins->loader.ready)
        count++;
    return count;
}

static void tell(struct plugins *plugins) ON_LOOP {
    struct muster *muster = &plugins->muster;
    struct store_steps *schemas = xcalloc(ready_count(plugins) + 1, sizeof(*schemas));
    size_t count = 0;

    list_for_each (link, &plugins->loader.ready) {
        const struct candidate *candidate = list_entry(link, struct candidate, link);
        const struct theseus_plugin *slots = candidate->image ? image_plugin(candidate->image) : NULL;
        if (slots && slots->migrations)
            schemas[count++] = (struct store_steps){.component = slots->name, .steps = slots->migrations};
    }
    muster->told = true;
    muster->done(muster->arg, schemas, count, muster->err.message[0] ? &muster->err : NULL);
}

/* ---- images that are not what served, but were copied from their files; on the lane ---- */

static void load_run(void *job) {
    struct muster *muster = container_of((struct lane_job *)job, struct muster, job);

    for (size_t i = 0; i < muster->count; i++)
        promote_load_run(&muster->items[i]->job);
}

static void on_loaded(struct lane_job *job, bool timed_out) {
    struct muster *muster = container_of(job, struct muster, job);
    struct plugins *plugins = container_of(muster, struct plugins, muster);

    loop_enter();
    (void)timed_out; /* it has no limit: whoever waits for all has one */
    if (plugins->stopping)
        return;
    for (size_t i = 0; i < muster->count; i++) {
        struct candidate *candidate = muster->items[i];
        candidate->loaded = true;
        if (candidate->r == 0)
            continue;
        list_remove(&candidate->link);
        loader_refuse(candidate);
    }
    free(TAKE_PTR(muster->items));
    muster->count = 0;
    if (!muster->told)
        tell(plugins);
}

static void load_rest(struct plugins *plugins) ON_LOOP {
    struct muster *muster = &plugins->muster;

    muster->items = xcalloc(ready_count(plugins) + 1, sizeof(struct candidate *));
    list_for_each (link, &plugins->loader.ready) {
        struct candidate *candidate = list_entry(link, struct candidate, link);
        if (!candidate->loaded)
            muster->items[muster->count++] = candidate;
    }
    if (muster->count == 0) {
        free(TAKE_PTR(muster->items));
        tell(plugins);
        return;
    }
    muster->job = (struct lane_job){.run = load_run, .done = on_loaded};
    lane_submit(plugins->host->lane, &muster->job);
}

static bool is_complete(const struct plugins *plugins) {
    const struct loader *loader = &plugins->loader;

    return plugins->restoring && list_empty(&loader->copying) && list_empty(&loader->to_test) &&
           list_empty(&loader->testing);
}

bool muster_holds(struct plugins *plugins) {
    struct muster *muster = &plugins->muster;

    if (muster->holds && !muster->told && !muster->items && is_complete(plugins))
        load_rest(plugins);
    return muster->holds;
}

/* ---- around it ---- */

bool muster_keeps(struct plugins *plugins, struct loop_task *done) {
    struct muster *muster = &plugins->muster;

    if (!muster->holds)
        return false;
    muster->after = done;
    tell(plugins);
    return true;
}

void muster_note_refused(struct candidate *candidate) {
    struct muster *muster = &candidate->plugins->muster;

    if (muster->holds && muster->err.message[0] == '\0')
        (void)fail(&muster->err, (enum errc)candidate->err.code, "plugin file '%s': %s", candidate->source->path,
                   candidate->err.message);
}

void muster_fini(struct plugins *plugins) {
    free(plugins->muster.items);
}

void plugins_muster(struct plugins *plugins, plugins_mustered_fn *done, void *arg) {
    plugins->muster = (struct muster){.holds = true, .done = done, .arg = arg};
}

/* So that one which is refused now can say what stays of it. */
static void note_migrated(struct candidate *candidate, const struct store_steps *schemas, size_t count,
                          const char *backup) {
    const struct theseus_plugin *slots = candidate->image ? image_plugin(candidate->image) : NULL;

    for (size_t i = 0; slots && i < count; i++) {
        if (schemas[i].applied == 0 || strcmp(schemas[i].component, slots->name) != 0)
            continue;
        candidate->migrated = true;
        candidate->backup = backup ? xstrdup(backup) : NULL;
    }
}

void plugins_start(struct plugins *plugins, const struct store_steps *schemas, size_t count, const char *backup) {
    struct loop_task *after = TAKE_PTR(plugins->muster.after);

    list_for_each (link, &plugins->loader.ready)
        note_migrated(list_entry(link, struct candidate, link), schemas, count, backup);
    plugins->muster.holds = false;
    if (after)
        loop_post_task(plugins->host->loop, after);
    loader_next(plugins);
    plugins_settled(plugins);
}
