#include "server/sweep.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "ledger/snapshot.h"
#include "loop/lane.h"
#include "loop/timer.h"
#include "plugin/imagedir.h"
#include "plugin/shelf.h"
#include "server/chronicle.h"

enum { SWEEP_LIMIT_MS = 30000 };

struct sweep {
    struct sweep_origin origin;
    struct timer *timer; /* owned */
    int seconds;         /* 0: not begun */
    int keep_s;          /* entries of the history */
    int audit_lines;
    struct lane_job job;
    bool runs;       /* until it has come back */
    char *images;    /* owned: the own directory of private copies; NULL: none was made */
    char *state_dir; /* owned */
    int removed, r, unshelved, shelf_r;
    struct theseus_error err, shelf_err;
};

static void run(void *job) {
    struct sweep *sweep = container_of((struct lane_job *)job, struct sweep, job);

    sweep->err = (struct theseus_error){0};
    sweep->removed = 0;
    sweep->r =
        snapshot_sweep(sweep->origin.snapshot, LIMIT_SNAPSHOT_DAYS * INT64_C(86400000), &sweep->removed, &sweep->err);
    sweep->shelf_err = (struct theseus_error){0};
    sweep->shelf_r = shelf_sweep(sweep->state_dir, &sweep->unshelved, &sweep->shelf_err);
    if (sweep->images)
        imagedir_sweep_beside(sweep->images);
}

static void on_done(struct lane_job *job, bool timed_out) {
    struct sweep *sweep = container_of(job, struct sweep, job);

    loop_enter();
    if (timed_out) {
        log_warning("the sweep of old files does not come to its end");
        return;
    }
    sweep->runs = false;
    if (sweep->r < 0)
        log_warning("old snapshots cannot be removed: %s", sweep->err.message);
    else if (sweep->removed > 0)
        log_info("%d old snapshots are removed", sweep->removed);
    if (sweep->shelf_r < 0)
        log_warning("old images of plugins cannot be removed: %s", sweep->shelf_err.message);
    else if (sweep->unshelved > 0)
        log_info("%d old images of plugins are removed", sweep->unshelved);
}

static void on_late(struct lane_job *job) {
    container_of(job, struct sweep, job)->runs = false;
}

static void on_time(void *arg) {
    struct sweep *sweep = arg;

    loop_enter();
    chronicle_sweep(sweep->origin.chronicle, clock_wall_ms() - sweep->keep_s * INT64_C(1000), sweep->audit_lines);
    if (sweep->runs)
        return;
    const char *images = imagedir_path(sweep->origin.imagedir);
    free(sweep->images);
    sweep->images = images ? xstrdup(images) : NULL;
    sweep->runs = true;
    sweep->job = (struct lane_job){.run = run, .done = on_done, .late = on_late, .limit_ms = SWEEP_LIMIT_MS};
    lane_submit(sweep->origin.lane, &sweep->job);
}

void sweep_every(struct sweep *sweep, int seconds, int keep_s, int audit_lines) {
    sweep->keep_s = keep_s;
    sweep->audit_lines = audit_lines;
    if (sweep->seconds == seconds)
        return;
    sweep->seconds = seconds;
    timer_start(sweep->timer, (int64_t)seconds * 1000, (int64_t)seconds * 1000);
}

struct sweep *sweep_new(const struct sweep_origin *origin) {
    struct sweep *sweep = xcalloc(1, sizeof(*sweep));

    sweep->origin = *origin;
    sweep->state_dir = xstrdup(origin->state_dir);
    sweep->timer = timer_new(origin->loop, on_time, sweep);
    return sweep;
}

struct sweep *sweep_free(struct sweep *sweep) {
    if (!sweep)
        return NULL;
    sweep->timer = timer_free(sweep->timer);
    free(sweep->images);
    free(sweep->state_dir);
    free(sweep);
    return NULL;
}
