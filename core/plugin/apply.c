/*
 * New settings for plugins that are loaded. First every plugin concerned is asked (`check`, without effect); only when
 * all agree do they take them (`configure`). A plugin without `configure` gets a new generation instead.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "plugin/claims.h"
#include "plugin/inner.h"

static struct applying *applying_of(struct plugins *plugins) {
    return &plugins->applying;
}

/* ---- INI files with tools ---- */

static int by_name(const void *a, const void *b) {
    return strcmp(((const struct config_section *)a)->name, ((const struct config_section *)b)->name);
}

/* All sections of all INI files that are not refused, in one sorted array. */
void apply_gather(struct plugins *plugins) {
    struct applying *applying = applying_of(plugins);

    free(TAKE_PTR(applying->extra));
    applying->extra_count = 0;
    list_for_each (link, &plugins->sources) {
        const struct source *source = list_entry(link, struct source, link);
        if (!source->is_ini || source->refused || source->section_count == 0)
            continue;
        applying->extra = xreallocarray(applying->extra, applying->extra_count + source->section_count,
                                        sizeof(struct config_section));
        memcpy(applying->extra + applying->extra_count, source->sections,
               source->section_count * sizeof(struct config_section));
        applying->extra_count += source->section_count;
    }
    if (applying->extra_count)
        qsort(applying->extra, applying->extra_count, sizeof(struct config_section), by_name);
}

struct settings_extra apply_extra(const struct plugins *plugins) {
    return (struct settings_extra){plugins->applying.extra, plugins->applying.extra_count};
}

/* The INI file that a message begins with ("FILE:LINE: …" or "FILE: …"). */
static struct source *blamed_file(struct plugins *plugins, const char *message) {
    list_for_each (link, &plugins->sources) {
        struct source *source = list_entry(link, struct source, link);
        size_t len = strlen(source->path);
        if (source->is_ini && strncmp(message, source->path, len) == 0 && message[len] == ':')
            return source;
    }
    return NULL;
}

/* ---- asking ---- */

static void ask(struct plugins *plugins) ON_LOOP;

static struct question *question_new(struct plugins *plugins) {
    struct question *question = xcalloc(1, sizeof(*question));

    question->plugins = plugins;
    list_init(&question->changes);
    return question;
}

static struct question *question_free(struct question *question) {
    if (!question)
        return NULL;
    list_for_each (link, &question->changes) {
        struct change *change = list_entry(link, struct change, link);
        registry_unpin(question->plugins->host->registry, change->generation);
        json_decref(change->settings);
        free(change);
    }
    free(question);
    return NULL;
}

static void forget_changes(struct plugins *plugins) {
    applying_of(plugins)->question = question_free(applying_of(plugins)->question);
}

static const struct config *asked_config(const struct plugins *plugins) {
    return plugins->applying.config ? plugins->applying.config : *plugins->host->config;
}

/* What this plugin would be given, if that differs from what it has. */
static int collect_one(struct plugins *plugins, struct generation *generation, struct theseus_error *err) ON_LOOP {
    struct settings_extra extra = apply_extra(plugins);
    json_t *settings = NULL;

    if (config_matches(asked_config(plugins)->plugins.disable, generation->name))
        return 0;
    if (settings_new(&settings, &generation->slots, asked_config(plugins), &extra, err) < 0)
        return -1;
    if (claims_settle(plugins, &generation->slots, asked_config(plugins), settings, err) < 0) {
        json_decref(settings);
        return -1;
    }
    bool moves = apart_differs(asked_config(plugins), generation->image);
    if (!moves && json_equal(settings, generation->config)) {
        json_decref(settings);
        return 0;
    }
    struct change *change = xcalloc(1, sizeof(*change));
    *change = (struct change){.generation = generation, .settings = settings, .moves = moves};
    registry_pin(plugins->host->registry, generation);
    list_append(&applying_of(plugins)->question->changes, &change->link);
    return 0;
}

static int collect(struct plugins *plugins, struct theseus_error *err) ON_LOOP {
    list_for_each (link, &plugins->plugins) {
        struct generation *generation = list_entry(link, struct plugin, link)->active;
        if (generation && collect_one(plugins, generation, err) < 0)
            return -1;
    }
    return 0;
}

/* Else it is a new generation that begins with it. */
static bool is_taken_in_place(const struct change *change) {
    return change->generation->slots.configure && !change->moves;
}

static void check_run(void *job) {
    struct question *question = container_of((struct lane_job *)job, struct question, job);

    list_for_each (link, &question->changes) {
        struct change *change = list_entry(link, struct change, link);
        if (question->r == 0)
            question->r = generation_check(change->generation, change->settings, &question->err);
    }
}

static void configure_run(void *job) {
    struct question *question = container_of((struct lane_job *)job, struct question, job);

    list_for_each (link, &question->changes) {
        struct change *change = list_entry(link, struct change, link);
        if (!is_taken_in_place(change))
            continue;
        registry_begin_change(change->generation->host->registry, change->generation);
        change->r = generation_configure(change->generation, json_incref(change->settings), &change->err);
        registry_end_change(change->generation->host->registry, change->generation, change->r == 0);
    }
}

/* The thread has come back from the plugin's code after all; nobody waits for what it brings. */
static void on_late(struct lane_job *job) {
    struct question *question = container_of(job, struct question, job);

    loop_enter();
    hangs_slot_returned(question->plugins->hangs, question->hang);
    (void)question_free(question);
}

static void on_lane(struct plugins *plugins, work_fn *run, void (*done)(struct lane_job *, bool)) ON_LOOP {
    struct question *question = applying_of(plugins)->question;

    question->job = (struct lane_job){
        .run = run,
        .done = done,
        .late = on_late,
        .limit_ms = (*plugins->host->config)->restart.process_startup * 1000,
    };
    lane_submit(plugins->host->lane, &question->job);
}

/* Whose code it has not come back from. */
static const struct generation *hanging(const struct question *question) {
    list_for_each (link, &question->changes) {
        const struct generation *generation = list_entry(link, struct change, link)->generation;
        if (atomic_load(&generation->slot))
            return generation;
    }
    return NULL;
}

static void note_hang(struct question *question) ON_LOOP {
    const struct generation *generation = hanging(question);
    const char *slot = generation ? atomic_load(&generation->slot) : NULL;

    if (slot)
        question->hang = hangs_add_slot(question->plugins->hangs, generation->name, slot);
}

/* The question that has come back, or has not: then a stuck thread keeps it, and its changes stay pinned. */
static struct plugins *take_back(struct lane_job *job, bool timed_out) ON_LOOP {
    struct plugins *plugins = container_of(job, struct question, job)->plugins;

    if (timed_out) {
        applying_of(plugins)->question = NULL;
        note_hang(container_of(job, struct question, job));
    }
    return plugins;
}

/* ---- taking ---- */

static void next_round(struct plugins *plugins) ON_LOOP {
    struct applying *applying = applying_of(plugins);
    plugins_checked_fn *done = applying->next_done;

    applying->busy = false;
    if (done) {
        applying->next_done = NULL;
        plugins_check(plugins, applying->next_config, done, applying->next_arg);
    } else if (applying->again) {
        applying->again = false;
        apply_ini_files(plugins);
    }
    plugins_settled(plugins);
}

/* Shown at the plugin until it takes settings. What a stuck thread has is not looked at. */
static void note_trouble(const struct change *change, bool timed_out) ON_LOOP {
    struct generation *generation = change->generation;

    if (!is_taken_in_place(change))
        return;
    free(TAKE_PTR(generation->trouble));
    if (timed_out)
        generation->trouble = xstrdup("'configure' did not come back; the settings are uncertain");
    else if (change->r < 0)
        generation->trouble = xasprintf("the settings are those of before: %s", change->err.message);
    if (generation->trouble)
        log_error("plugin '%s': %s", generation->name, generation->trouble);
}

static void configured(struct lane_job *job, bool timed_out) {
    const struct question *question = container_of(job, struct question, job);

    loop_enter();
    struct plugins *plugins = take_back(job, timed_out);
    if (plugins->stopping) {
        forget_changes(plugins); /* their generations are to be stopped */
        return;
    }
    list_for_each (link, &question->changes) {
        const struct change *change = list_entry(link, struct change, link);
        struct plugin *plugin = change->generation->plugin;
        note_trouble(change, timed_out);
        if (!is_taken_in_place(change) && plugin && plugin->source)
            loader_force(plugins, plugin->source);
    }
    forget_changes(plugins);
    plugins->host->tools_touched(plugins->host->arg);
    if (applying_of(plugins)->promotions != plugins->promotions)
        applying_of(plugins)->again = true; /* one that serves since then was not asked, and not told */
    next_round(plugins);
}

void plugins_configure(struct plugins *plugins) {
    applying_of(plugins)->config = NULL;
    plugins->settings_round++;
    registry_hide(plugins->host->registry, (*plugins->host->config)->tools.hide);
    registry_set_access(plugins->host->registry, *plugins->host->config);
    scan_watch(plugins);
    /* What is switched off goes first: others may take its names. A new configuration, unlike a file with tools, may be
     * what a refused plugin had lacked. */
    if (plugins->began)
        scan_all(plugins, applying_of(plugins)->done != NULL);
    on_lane(plugins, configure_run, configured);
}

/* ---- answers to the question ---- */

bool apply_refuse_file(struct plugins *plugins, const struct theseus_error *err) {
    struct source *source = blamed_file(plugins, err->message);

    if (!source)
        return false;
    log_warning("'%s' is refused: %s", source->path, err->message);
    source_refuse(source, err->message);
    apply_gather(plugins);
    return true;
}

static void agreed(struct plugins *plugins) ON_LOOP {
    struct applying *applying = applying_of(plugins);

    if (applying->done)
        applying->done(applying->arg, NULL); /* goes on with plugins_configure() */
    else
        plugins_configure(plugins);
}

static void disagreed(struct plugins *plugins, const struct theseus_error *err) ON_LOOP {
    struct applying *applying = applying_of(plugins);

    forget_changes(plugins);
    if (apply_refuse_file(plugins, err)) {
        ask(plugins); /* about the rest */
        return;
    }
    applying->config = NULL;
    if (applying->done)
        applying->done(applying->arg, err);
    else
        log_warning("tools from INI files: %s", err->message);
    next_round(plugins);
}

/* The thread is in it still, or it has come back this very moment. */
static void fail_check(const struct question *question, struct theseus_error *err) {
    const struct generation *generation = hanging(question);

    (void)fail(err, ERR_TIMEOUT, "%s%s%s 'check' did not come back within %lld ms",
               generation ? "plugin '" : "a plugin's", generation ? generation->name : "", generation ? "': its" : "",
               (long long)question->job.limit_ms);
}

static void checked(struct lane_job *job, bool timed_out) {
    const struct question *question = container_of(job, struct question, job);
    struct theseus_error err = {0};

    loop_enter();
    struct plugins *plugins = take_back(job, timed_out);
    struct settings_extra extra = apply_extra(plugins);
    if (plugins->stopping) {
        forget_changes(plugins); /* their generations are to be stopped */
        return;
    }
    if (!timed_out && question->r == 0) {
        agreed(plugins);
        return;
    }
    if (timed_out)
        fail_check(question, &err);
    else
        err = question->err;
    (void)settings_blame(asked_config(plugins), &extra, &err);
    disagreed(plugins, &err);
}

static void ask(struct plugins *plugins) {
    struct applying *applying = applying_of(plugins);
    struct theseus_error err = {0};

    applying->promotions = plugins->promotions;
    applying->question = question_new(plugins);
    if (collect(plugins, &err) < 0)
        disagreed(plugins, &err);
    else
        on_lane(plugins, check_run, checked);
}

static void begin(struct plugins *plugins, const struct config *config, plugins_checked_fn *done, void *arg) ON_LOOP {
    struct applying *applying = applying_of(plugins);

    applying->busy = true;
    applying->config = config;
    applying->done = done;
    applying->arg = arg;
    apply_gather(plugins);
    ask(plugins);
}

void plugins_check(struct plugins *plugins, const struct config *config, plugins_checked_fn *done, void *arg) {
    struct applying *applying = applying_of(plugins);

    if (!applying->busy) {
        begin(plugins, config, done, arg);
        return;
    }
    applying->next_config = config;
    applying->next_done = done;
    applying->next_arg = arg;
}

void apply_ini_files(struct plugins *plugins) {
    struct applying *applying = applying_of(plugins);

    if (applying->busy) {
        applying->again = true;
        return;
    }
    list_for_each (link, &plugins->sources) { /* what another file had kept out may be free now */
        struct source *source = list_entry(link, struct source, link);
        if (source->is_ini && source->refused && source->section_count > 0)
            source_refuse(source, NULL);
    }
    begin(plugins, NULL, NULL, NULL);
}

void apply_fini(struct plugins *plugins) {
    forget_changes(plugins);
    free(TAKE_PTR(applying_of(plugins)->extra));
}
