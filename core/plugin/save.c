/*
 * Before a restart: what the serving plugins have in memory goes into the ledger, for the `start` of the next image to
 * find.
 *
 * `save` runs when nothing is being promoted and no handler is at work in a plugin that keeps state. A handler whose
 * call is answered already may need a moment to come back; one that does not costs its plugin's state, not the others',
 * and neither does a `save` that does not come back.
 */
#include <stdlib.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/log.h"
#include "plugin/inner.h"
#include "rpc/jsontext.h"

enum { SAVE_WAIT_MS = 1000 };

/* A generation that is asked. It belongs to the lane's thread for as long as that is in the plugin's code. */
struct saving {
    struct list link;
    struct lane_job job;
    struct plugins *plugins;
    struct generation *generation; /* pinned */
    struct hang *hang;             /* borrowed: it has not come back */
    struct buf text;               /* JSON; empty: it has nothing */
    int r;
    struct theseus_error err;
};

struct saver {
    struct plugins *plugins;
    plugins_saved_fn *done; /* NULL: nobody wants to know any more, and nothing is recorded */
    void *arg;
    struct timer *wait; /* owned: for handlers to come back; NULL: not begun */
    bool waited, on_lane;
    struct list to_ask, asked;   /* saving::link, owned; one more is the lane's */
    struct theseus_error failed; /* the first that cannot be written down */
    struct theseus_error lost;   /* the first who could not be asked, or did not come back */
};

static struct saving *saving_free(struct saving *saving) ON_LOOP {
    list_remove(&saving->link);
    registry_unpin(saving->plugins->host->registry, saving->generation);
    buf_fini(&saving->text);
    free(saving);
    return NULL;
}

static struct saver *saver_free(struct saver *saver) ON_LOOP {
    saver->wait = timer_free(saver->wait);
    list_splice(&saver->asked, &saver->to_ask);
    list_for_each (link, &saver->asked)
        (void)saving_free(list_entry(link, struct saving, link));
    free(saver);
    return NULL;
}

static void note(struct theseus_error *first, const struct theseus_error *err) {
    if (first->message[0] == '\0')
        *first = *err;
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
    list_for_each (link, &saver->asked)
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
    struct saving *saving = container_of((struct lane_job *)job, struct saving, job);

    saving->r = save_one(saving, &saving->err);
}

static void tell(struct plugins *plugins, plugins_saved_fn *done, void *arg, const struct theseus_error *err) ON_LOOP {
    if (plugins->stopping)
        return;
    if (done)
        done(arg, err && err->message[0] ? err : NULL);
    loader_next(plugins);
    plugins_settled(plugins);
}

/* What there is is recorded, also where some could not be asked. */
static void finish(struct saver *saver) ON_LOOP {
    struct plugins *plugins = saver->plugins;
    plugins_saved_fn *done = saver->done;
    struct theseus_error err = saver->failed;
    void *arg = saver->arg;

    if (err.message[0] == '\0' && done && !plugins->stopping)
        (void)!record_all(saver, &err);
    if (err.message[0] == '\0')
        err = saver->lost;
    plugins->saver = NULL;
    (void)saver_free(saver);
    tell(plugins, done, arg, &err);
}

static void ask_next(struct saver *saver) ON_LOOP;

/* The thread has come back from the plugin's code after all. */
static void on_late(struct lane_job *job) {
    struct saving *saving = container_of(job, struct saving, job);

    loop_enter();
    hangs_slot_returned(saving->plugins->hangs, saving->hang);
    (void)saving_free(saving);
}

static void note_hang(struct saver *saver, struct saving *saving) ON_LOOP {
    struct theseus_error err = {0};

    saving->hang = hangs_add_slot(saving->plugins->hangs, saving->generation->name, "save");
    (void)fail(&err, ERR_TIMEOUT, "plugin '%s': its 'save' did not come back within %lld ms", saving->generation->name,
               (long long)saving->job.limit_ms);
    note(&saver->lost, &err);
}

static void saved(struct lane_job *job, bool timed_out) {
    struct saving *saving = container_of(job, struct saving, job);
    struct saver *saver = saving->plugins->saver;

    loop_enter();
    if (timed_out) {
        note_hang(saver, saving);
    } else {
        list_append(&saver->asked, &saving->link);
        if (saving->r < 0)
            note(&saver->failed, &saving->err);
    }
    ask_next(saver);
}

static void ask_next(struct saver *saver) {
    struct saving *saving = list_first(&saver->to_ask, struct saving, link);
    struct plugins *plugins = saver->plugins;

    if (!saving || !saver->done || plugins->stopping || saver->failed.message[0]) {
        finish(saver);
        return;
    }
    list_remove(&saving->link);
    saving->job = (struct lane_job){
        .run = save_run,
        .done = saved,
        .late = on_late,
        .limit_ms = (*plugins->host->config)->restart.process_startup * 1000,
    };
    lane_submit(plugins->host->lane, &saving->job);
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
    const char *slot = atomic_load(&generation->slot);
    struct theseus_error err = {0};

    if (slot)
        (void)fail(&err, ERR_BUSY, "plugin '%s': its state is not saved, for its '%s' has not come back",
                   generation->name, slot);
    else
        (void)fail(&err, ERR_BUSY, "plugin '%s': its state is not saved, for a handler is still at work: %s",
                   generation->name, list ? list : "");
    note(&saver->lost, &err);
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
        saving->plugins = saver->plugins;
        saving->generation = generation;
        registry_pin(registry, generation);
        list_append(&saver->to_ask, &saving->link);
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
    ask_next(saver);
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
    list_init(&saver->to_ask);
    list_init(&saver->asked);
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
