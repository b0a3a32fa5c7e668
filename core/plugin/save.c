/*
 * Before a restart: what the serving plugins have in memory goes into the ledger, for the `start` of the next image to
 * find.
 *
 * `save` runs when nothing is being promoted and no handler is at work in a plugin that keeps state. A handler whose
 * call is answered already may need a moment to come back; one that does not costs its plugin's state, not the others'.
 */
#include <stdlib.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/log.h"
#include "plugin/inner.h"
#include "rpc/jsontext.h"

enum { SAVE_WAIT_MS = 200 };

/* A generation that is asked. */
struct saving {
    struct list link;
    struct generation *generation; /* pinned */
    struct buf text;               /* JSON; empty: it has nothing */
};

/* Belongs to the lane's thread for as long as that is in a plugin's code. */
struct saver {
    struct lane_job job;
    struct plugins *plugins;
    plugins_saved_fn *done; /* NULL: nobody wants to know any more, and nothing is recorded */
    void *arg;
    struct timer *wait; /* owned: for handlers to come back; NULL: not begun */
    bool waited, on_lane;
    struct list savings;              /* saving::link, owned */
    _Atomic(struct saving *) current; /* whose `save` runs */
    int r;
    struct theseus_error err;  /* of the lane */
    struct theseus_error busy; /* who could not be asked */
};

static struct saver *saver_free(struct saver *saver) ON_LOOP {
    saver->wait = timer_free(saver->wait);
    list_for_each (link, &saver->savings) {
        struct saving *saving = list_entry(link, struct saving, link);
        registry_unpin(saver->plugins->host->registry, saving->generation);
        buf_fini(&saving->text);
        free(saving);
    }
    free(saver);
    return NULL;
}

/* ---- recording ---- */

static void drop_one(void *arg, const void *record) {
    batch_drop(arg, &saved_kind, record);
}

static int drop_all(struct plugins *plugins, struct theseus_error *err) {
    CLEANUP(batch_fini) struct batch batch = {0};

    ledger_each(plugins->host->ledger, &saved_kind, drop_one, &batch);
    return ledger_commit(plugins->host->ledger, &batch, err);
}

static int record_one(const struct saver *saver, const struct saving *saving, struct theseus_error *err) {
    struct saved_record record = {.plugin = span_of(saving->generation->name), .value = buf_span(&saving->text)};

    if (saving->text.len == 0 || ledger_put(saver->plugins->host->ledger, &saved_kind, &record, err) == 0)
        return 0;
    return error_prefix(err, "plugin '%s': its state could not be recorded: ", saving->generation->name);
}

static int record_all(const struct saver *saver, struct theseus_error *err) {
    if (drop_all(saver->plugins, err) < 0)
        return -1;
    list_for_each (link, &saver->savings)
        if (record_one(saver, list_entry(link, struct saving, link), err) < 0)
            return -1;
    return 0;
}

/* ---- asking ---- */

static int save_one(struct saving *saving, struct theseus_error *err) {
    json_auto_t *value = generation_save(saving->generation);
    const char *name = saving->generation->name;

    if (!value)
        return 0;
    if (jsontext_write(value, &saving->text, err) < 0)
        return error_prefix(err, "plugin '%s': what its 'save' returned cannot be written: ", name);
    if (saving->text.len > LIMIT_STATE_VALUE)
        return fail(err, ERR_LIMIT, "plugin '%s': what its 'save' returned has %zu bytes, and the most is %d", name,
                    saving->text.len, LIMIT_STATE_VALUE);
    return 0;
}

static void save_run(void *job) {
    struct saver *saver = container_of((struct lane_job *)job, struct saver, job);

    list_for_each (link, &saver->savings) {
        struct saving *saving = list_entry(link, struct saving, link);
        atomic_store(&saver->current, saving);
        if (saver->r == 0)
            saver->r = save_one(saving, &saver->err);
    }
}

static void tell(struct plugins *plugins, plugins_saved_fn *done, void *arg, const struct theseus_error *err) ON_LOOP {
    if (plugins->stopping)
        return;
    if (done)
        done(arg, err && err->message[0] ? err : NULL);
    loader_next(plugins);
    plugins_settled(plugins);
}

/* The thread has come back from the plugin's code after all. */
static void on_late(struct lane_job *job) {
    loop_enter();
    (void)saver_free(container_of(job, struct saver, job));
}

static void saved(struct lane_job *job, bool timed_out) {
    struct saver *saver = container_of(job, struct saver, job);
    struct plugins *plugins = saver->plugins;
    plugins_saved_fn *done = saver->done;
    struct theseus_error err = {0};
    void *arg = saver->arg;

    loop_enter();
    plugins->saver = NULL;
    if (timed_out) {
        (void)fail(&err, ERR_TIMEOUT, "plugin '%s': its 'save' did not come back within %lld ms",
                   atomic_load(&saver->current)->generation->name, (long long)job->limit_ms);
    } else {
        err = saver->r < 0 ? saver->err : saver->busy;
        if (saver->r == 0 && done && !plugins->stopping) {
            struct theseus_error unrecorded = {0};
            if (record_all(saver, &unrecorded) < 0)
                err = unrecorded;
        }
        (void)saver_free(saver);
    }
    tell(plugins, done, arg, &err);
}

/* ---- when it can begin ---- */

static bool is_busy(const struct saver *saver, struct generation *generation, bool notify) {
    struct registry *registry = saver->plugins->host->registry;

    if (!generation_keeps_state(generation))
        return false;
    if (notify)
        return registry_set_waiting(registry, generation, true, generation->holding) > 0;
    return registry_pins(registry, generation) > 0;
}

static struct generation *to_save(struct list *link) {
    struct generation *active = list_entry(link, struct plugin, link)->active;

    return active && active->slots.save ? active : NULL;
}

static bool anybody_is_busy(const struct saver *saver) {
    bool busy = false;

    list_for_each (link, &saver->plugins->plugins) {
        struct generation *generation = to_save(link);
        busy |= generation && is_busy(saver, generation, true);
    }
    return busy;
}

static void note_busy(struct saver *saver, const struct generation *generation) {
    json_auto_t *names = registry_busy_names_new(saver->plugins->host->registry, generation);
    CLEANUP(free) char *list = json_dumps(names, JSON_COMPACT);

    if (saver->busy.message[0] == '\0')
        (void)fail(&saver->busy, ERR_BUSY, "plugin '%s': its state is not saved, for a handler is still at work: %s",
                   generation->name, list ? list : "");
}

static void collect(struct saver *saver) {
    struct registry *registry = saver->plugins->host->registry;

    list_for_each (link, &saver->plugins->plugins) {
        struct generation *generation = to_save(link);
        if (!generation)
            continue;
        if (is_busy(saver, generation, false)) {
            note_busy(saver, generation);
            continue;
        }
        struct saving *saving = xcalloc(1, sizeof(*saving));
        saving->generation = generation;
        registry_pin(registry, generation);
        list_append(&saver->savings, &saving->link);
    }
}

static void on_waited(void *arg) {
    struct saver *saver = arg;

    loop_enter();
    saver->waited = true;
    saver_go_on(saver->plugins);
}

void saver_go_on(struct plugins *plugins) {
    struct saver *saver = plugins->saver;

    if (!saver || saver->on_lane || plugins->stopping || plugins->loader.current)
        return;
    if (!saver->waited && anybody_is_busy(saver)) {
        if (saver->wait)
            return;
        saver->wait = timer_new(plugins->host->loop, on_waited, saver);
        timer_start(saver->wait, SAVE_WAIT_MS, 0);
        return;
    }
    saver->wait = timer_free(saver->wait);
    saver->on_lane = true;
    collect(saver);
    saver->job = (struct lane_job){
        .run = save_run,
        .done = saved,
        .late = on_late,
        .limit_ms = (*plugins->host->config)->restart.process_startup * 1000,
    };
    lane_submit(plugins->host->lane, &saver->job);
}

void plugins_save(struct plugins *plugins, plugins_saved_fn *done, void *arg) {
    struct theseus_error err = {0};

    if (plugins->saver) { /* of a restart that ran out of time */
        (void)fail(&err, ERR_BUSY, "a 'save' that was begun for the restart before has not come back yet");
        done(arg, &err);
        return;
    }
    struct saver *saver = xcalloc(1, sizeof(*saver));
    saver->plugins = plugins;
    saver->done = done;
    saver->arg = arg;
    list_init(&saver->savings);
    plugins->saver = saver;
    saver_go_on(plugins);
}

void saver_fini(struct plugins *plugins) {
    if (plugins->saver && !plugins->saver->on_lane)
        plugins->saver = saver_free(plugins->saver);
}

/* ---- when the restart is through ---- */

/* What served in the image before and does not here: nobody will come back for it. */
static void tidy_image(void *arg, const void *recorded) ON_LOOP {
    const struct image_record *record = recorded;
    struct plugins *plugins = arg;
    CLEANUP(free) char *name = xstrndup(record->plugin.data, record->plugin.len);
    CLEANUP(free) char *path = xstrndup(record->active_path.data, record->active_path.len);
    const struct plugin *plugin = plugins_find(plugins, name, false);
    struct theseus_error err = {0};

    if (plugin && plugin->active) {
        image_drop_file(plugin->active->image);
        return;
    }
    if (!record->stored)
        (void)unlink(path);
    if (ledger_drop(plugins->host->ledger, &image_kind, record, &err) < 0)
        log_error("%s", err.message);
}

void plugins_drop_saved(struct plugins *plugins) {
    struct theseus_error err = {0};

    if (plugins->saver)
        plugins->saver->done = NULL;
    saver_fini(plugins); /* one that has not begun */
    if (drop_all(plugins, &err) < 0)
        log_error("what plugins saved could not be dropped: %s", err.message);
    if (plugins->began && !plugins->restoring)
        ledger_each(plugins->host->ledger, &image_kind, tidy_image, plugins);
}
