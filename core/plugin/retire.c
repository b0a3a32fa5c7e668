/* The end of a generation: nothing new reaches it; when its last call has ended it is stopped and unmapped. */
#include <stdlib.h>

#include "base/log.h"
#include "plugin/inner.h"

/* On the lane. */
static void stop_run(void *job) {
    struct generation *generation = container_of((struct lane_job *)job, struct generation, job);

    generation_stop(generation);
    generation->unloaded = image_unload(generation->image);
}

static void quarantine(struct generation *generation, const char *reason) {
    log_warning("plugin '%s', generation %u: %s; it is kept until the server's image changes", generation->name,
                generation->number, reason);
    generation->state = GENERATION_QUARANTINED;
    generation->quarantined = reason;
}

static void finish(struct generation *generation) ON_LOOP {
    if (generation->unloaded == IMAGE_PINNED) {
        image_keep_file(generation->image);
        quarantine(generation, "something in it keeps its image mapped (a thread_local with a destructor, a unique "
                               "symbol)");
    } else {
        (void)generation_free(generation);
    }
}

/* Code in a process of its own comes back when that is ended. */
static void on_late(struct lane_job *job) {
    struct generation *generation = container_of(job, struct generation, job);
    struct plugins *plugins = generation->plugins;

    loop_enter();
    hangs_slot_returned(plugins->hangs, TAKE_PTR(generation->hang));
    if (plugins->stopping || !image_spec(generation->image))
        return;
    generation->stuck = false;
    finish(generation);
}

static void stopped(struct lane_job *job, bool timed_out) {
    struct generation *generation = container_of(job, struct generation, job);
    struct plugins *plugins = generation->plugins;

    loop_enter();
    plugins->retiring--;
    if (timed_out) {
        generation->stuck = true;
        generation->hang = hangs_add_slot(plugins->hangs, generation->name, "stop");
        quarantine(generation, "its 'stop' did not come back");
    } else {
        finish(generation);
    }
    plugins_settled(plugins);
}

void retire_when_idle(struct generation *generation) {
    struct plugins *plugins = generation->plugins;

    if (generation->stopping || registry_pins(plugins->host->registry, generation) > 0)
        return;
    generation->stopping = true;
    plugins->retiring++;
    generation->job = (struct lane_job){
        .run = stop_run,
        .done = stopped,
        .late = on_late,
        .limit_ms = (*plugins->host->config)->restart.process_startup * 1000,
    };
    lane_submit(plugins->host->lane, &generation->job);
}

static void offer_nothing(struct plugins *plugins, struct generation *generation) ON_LOOP {
    generation->over = true;
    list_remove(&generation->link);
    list_append(generation->plugin ? &generation->plugin->old : &plugins->orphans, &generation->link);
    registry_clear(plugins->host->registry, generation);
    (void)registry_set_waiting(plugins->host->registry, generation, true, false);
    run_release_held(generation);
}

void retire(struct plugins *plugins, struct generation *generation) {
    generation->state = GENERATION_DRAINING;
    offer_nothing(plugins, generation);
    retire_when_idle(generation);
}

void retire_returned(struct generation *generation) {
    generation->stopping = generation->stuck = false;
    generation->state = GENERATION_DRAINING;
    generation->quarantined = NULL;
    retire_when_idle(generation);
}

void retire_stuck(struct plugins *plugins, struct generation *generation) {
    generation->stopping = true; /* as far as it will ever get */
    generation->stuck = true;
    offer_nothing(plugins, generation);
    quarantine(generation, "its code did not come back");
}
