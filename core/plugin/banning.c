/* Bans among the plugins: which files they keep from serving, and how they come and go. See ban.h. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "plugin/inner.h"
#include "plugin/shelf.h"

enum { WRITE_LIMIT_MS = 30000 };

static const char *state_dir_of(const struct plugins *plugins) {
    return (*plugins->host->config)->server.state_dir;
}

static void commit(struct plugins *plugins, struct batch *batch) {
    struct theseus_error err = {0};

    if (batch->count > 0 && ledger_commit(plugins->host->ledger, batch, &err) < 0)
        log_error("a ban could not be recorded: %s", err.message);
}

/* ---- what an earlier server has left ---- */

struct reading {
    struct plugins *plugins;
    struct batch batch;
};

static void read_one(void *arg, const struct ban *ban) {
    CLEANUP(ban_fini) struct ban known = {0};
    struct reading *reading = arg;

    if (!ban_find(reading->plugins->host->ledger, ban->hash, &known))
        ban_put(&reading->batch, ban);
}

void banning_read(struct plugins *plugins) {
    struct reading reading = {.plugins = plugins};
    struct theseus_error err = {0};

    if (shelf_each_ban(state_dir_of(plugins), read_one, &reading, &err) < 0)
        log_warning("what is known of plugins that crashed cannot be read in full: %s", err.message);
    commit(plugins, &reading.batch);
    batch_fini(&reading.batch);
}

/* ---- files ---- */

static void refuse_file(void *arg, const struct ban *ban) ON_LOOP {
    struct plugins *plugins = arg;

    if (*ban->good_hash)
        return;
    list_for_each (link, &plugins->sources) {
        struct source *source = list_entry(link, struct source, link);
        CLEANUP(free) char *reason = strcmp(source->path, ban->file) == 0 ? ban_reason(ban) : NULL;
        if (reason)
            source_refuse(source, reason);
    }
}

void banning_refuse(struct plugins *plugins) {
    ban_each(plugins->host->ledger, refuse_file, plugins);
}

static void take_text(char **to, char **from) {
    free(*to);
    *to = TAKE_PTR(*from);
}

void banning_follow(struct plugins *plugins, struct ban *ban) {
    for (int i = 0; i < SHELF_KEPT && *ban->good_hash; i++) {
        CLEANUP(ban_fini) struct ban next = {0};
        if (!ban_find(plugins->host->ledger, ban->good_hash, &next))
            return;
        take_text(&ban->good_hash, &next.good_hash);
        take_text(&ban->good_version, &next.good_version);
    }
}

/* Nothing of that plugin is good. */
static void unload(struct plugins *plugins, struct plugin *plugin) ON_LOOP {
    plugins_remove(plugins, plugin);
    banning_refuse(plugins);
    plugins_settled(plugins);
}

/* Calls that come meanwhile wait for the good one. */
void banning_enforce(struct generation *generation, bool reverts) {
    struct plugins *plugins = generation->plugins;
    struct plugin *plugin = generation->plugin;

    if (plugins->stopping || !plugin || plugin->active != generation || promote_is_activating(plugin))
        return; /* it was replaced, or is refused by whoever waits for its slot */
    if (!reverts || !plugin->source) {
        unload(plugins, plugin);
        return;
    }
    (void)registry_set_waiting(plugins->host->registry, generation, false, true);
    run_hold_queued(generation);
    loader_revert(plugins, plugin->source);
}

void banning_give_up(struct plugins *plugins, const char *name, unsigned generation) {
    struct plugin *plugin = plugins_find(plugins, name, false);

    if (!plugins->stopping && plugin && plugin->active && plugin->active->number == generation)
        unload(plugins, plugin);
}

char *banning_reason_against(struct plugins *plugins, const char *hash, bool *ret_has_good) {
    CLEANUP(ban_fini) struct ban ban = {0};

    *ret_has_good = false;
    if (!ban_find(plugins->host->ledger, hash, &ban))
        return NULL;
    banning_follow(plugins, &ban);
    *ret_has_good = *ban.good_hash;
    return ban_reason(&ban);
}

char *banning_reason_of(struct plugins *plugins, const char *plugin, const char *hash) {
    CLEANUP(ban_fini) struct ban ban = {0};

    if (!ban_of_plugin(plugins->host->ledger, plugin, &ban) || strcmp(ban.good_hash, hash) != 0)
        return NULL;
    return ban_reason(&ban);
}

/* ---- what serves instead ---- */

struct trying {
    const char *hash, *failed;
    struct batch batch;
    char *plugin, *reason; /* owned: of the ban, as it is from here on; NULL: there is none */
};

static void note_tried(void *arg, const struct ban *ban) {
    struct trying *trying = arg;
    struct ban now = *ban;

    if (strcmp(ban->good_hash, trying->hash) != 0)
        return;
    now.failed = (char *)(uintptr_t)trying->failed;
    if (strcmp(ban->failed, trying->failed) != 0)
        ban_put(&trying->batch, &now);
    free(trying->plugin);
    free(trying->reason);
    trying->plugin = xstrdup(ban->plugin);
    trying->reason = ban_reason(&now);
}

/* Returns the reason for which the file is not loaded. Owned; NULL: no ban names that image. */
static char *note(struct plugins *plugins, const char *hash, const char *failed) ON_LOOP {
    struct trying trying = {.hash = hash, .failed = failed};

    ban_each(plugins->host->ledger, note_tried, &trying);
    bool changed = trying.batch.count > 0;
    commit(plugins, &trying.batch);
    batch_fini(&trying.batch);
    if (changed)
        plugins_keep_bans(plugins, trying.plugin);
    free(trying.plugin);
    return trying.reason;
}

char *banning_failed(struct plugins *plugins, const char *hash, const char *why) {
    return note(plugins, hash, why);
}

void banning_serves(struct plugins *plugins, const char *hash) {
    free(note(plugins, hash, ""));
}

/* ---- the end of a ban ---- */

struct lifting {
    const struct plugin *plugin;
    struct batch batch;
};

static void lift_one(void *arg, const struct ban *ban) {
    struct lifting *lifting = arg;
    const struct plugin *plugin = lifting->plugin;

    if (strcmp(ban->plugin, plugin->name) == 0)
        ban_drop(&lifting->batch, ban);
}

void banning_lift(struct plugins *plugins, const struct plugin *plugin) {
    struct lifting lifting = {.plugin = plugin};

    ban_each(plugins->host->ledger, lift_one, &lifting);
    bool lifted = lifting.batch.count > 0;
    commit(plugins, &lifting.batch);
    batch_fini(&lifting.batch);
    if (lifted)
        plugins_keep_bans(plugins, plugin->name);
}

/* ---- to the disk ---- */

struct writing {
    struct lane_job job;
    char *state_dir, *plugin; /* owned */
    json_t *bans;             /* owned */
    int r;
    struct theseus_error err;
};

static void gather(void *arg, const struct ban *ban) {
    struct writing *writing = arg;

    if (strcmp(ban->plugin, writing->plugin) == 0)
        (void)json_array_append_new(writing->bans, ban_pack_new(ban));
}

static void write_run(void *job) {
    struct writing *writing = container_of((struct lane_job *)job, struct writing, job);

    writing->r = shelf_write_bans(writing->state_dir, writing->plugin, writing->bans, &writing->err);
}

static void on_written_late(struct lane_job *job) {
    struct writing *writing = container_of(job, struct writing, job);

    json_decref(writing->bans);
    free(writing->state_dir);
    free(writing->plugin);
    free(writing);
}

static void on_written(struct lane_job *job, bool timed_out) {
    const struct writing *writing = container_of(job, struct writing, job);

    if (timed_out || writing->r < 0)
        log_warning("a later server will not know which images of plugin '%s' crash: %s", writing->plugin,
                    timed_out ? "the disk does not answer" : writing->err.message);
    if (!timed_out)
        on_written_late(job);
}

void plugins_keep_bans(struct plugins *plugins, const char *plugin) {
    if (plugins->host->rehearsal)
        return;
    struct writing *writing = xcalloc(1, sizeof(*writing));
    writing->state_dir = xstrdup(state_dir_of(plugins));
    writing->plugin = xstrdup(plugin);
    writing->bans = json_array();
    ban_each(plugins->host->ledger, gather, writing);
    writing->job =
        (struct lane_job){.run = write_run, .done = on_written, .late = on_written_late, .limit_ms = WRITE_LIMIT_MS};
    lane_submit(plugins->host->lane, &writing->job);
}
