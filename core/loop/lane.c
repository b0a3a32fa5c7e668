#include "loop/lane.h"

#include <assert.h>
#include <stdlib.h>

#include <uv.h>

#include "base/mem.h"
#include "loop/inner.h"
#include "loop/lack.h"
#include "loop/lane_runner.h"

enum { LANE_RETRY_MS = 100 };

struct lane {
    uv_timer_t timer; /* the running job's limit, or when a thread is asked for again */
    struct loop *loop;
    char *name;
    const char *waits;
    struct lack lack;
    struct lane_runner *runner; /* owned; NULL: none is needed yet */
    struct lane_job *running;   /* borrowed; on `runner` */
    struct list queue;          /* lane_job::link, borrowed */
    struct list stuck;          /* lane_job::link, borrowed; each has its runner, owned */
};

static void lane_next(struct lane *lane) ON_LOOP;

static bool is_closing(struct lane *lane) {
    return uv_is_closing((uv_handle_t *)&lane->timer);
}

static void lane_give_up(struct lane *lane) ON_LOOP;

static void lane_give_up(struct lane *lane) {
    struct lane_job *job = TAKE_PTR(lane->running);

    lane->runner = NULL; /* goes with the job, until that returns */
    list_append(&lane->stuck, &job->link);
    job->done(job, true);
    if (!is_closing(lane))
        lane_next(lane);
}

static void lane_on_time(uv_timer_t *timer) {
    struct lane *lane = container_of(timer, struct lane, timer);

    loop_enter();
    loop_noticed(timer->loop);
    if (!lane->running) {
        lane_next(lane);
        return;
    }
    int64_t left = lane_runner_left_ms(lane->runner);
    if (left > 0)
        (void)uv_timer_start(timer, lane_on_time, (uint64_t)left, 0);
    else if (left == 0)
        lane_give_up(lane);
}

static void lane_on_returned(void *arg) {
    struct lane_job *job = arg;
    struct lane *lane = job->lane;

    loop_enter();
    if (job != lane->running) {
        list_remove(&job->link);
        job->runner = lane_runner_free(job->runner);
        if (job->late)
            job->late(job);
        return;
    }
    (void)uv_timer_stop(&lane->timer);
    lane->running = NULL;
    job->done(job, false);
    if (!is_closing(lane))
        lane_next(lane);
}

static void lane_begin(struct lane *lane, struct lane_job *job) {
    list_remove(&job->link);
    lane->running = job;
    job->runner = lane->runner;
    job->returned = (struct loop_task){.run = lane_on_returned, .arg = job};
    if (job->limit_ms > 0) {
        uv_update_time(lane->timer.loop);
        (void)uv_timer_start(&lane->timer, lane_on_time, (uint64_t)job->limit_ms, 0);
    }
    lane_runner_give(lane->runner, job);
}

static void lane_next(struct lane *lane) {
    struct lane_job *job = list_first(&lane->queue, struct lane_job, link);
    struct theseus_error err = {0};

    if (lane->running || !job)
        return;
    if (!lane->runner && lane_runner_new(&lane->runner, lane->loop, lane->name, &err) < 0) {
        lack_begin(lane->loop, &lane->lack, lane->waits, &err);
        (void)uv_timer_start(&lane->timer, lane_on_time, LANE_RETRY_MS, 0);
        return;
    }
    lack_end(lane->loop, &lane->lack);
    lane_begin(lane, job);
}

struct lane *lane_new(struct loop *loop, const char *name, const char *waits) {
    struct lane *lane = xcalloc(1, sizeof(*lane));

    (void)uv_timer_init(loop_uv(loop), &lane->timer);
    lane->loop = loop;
    lane->name = xstrdup(name);
    lane->waits = waits;
    list_init(&lane->queue);
    list_init(&lane->stuck);
    return lane;
}

static void lane_on_closed(uv_handle_t *handle) {
    struct lane *lane = container_of((uv_timer_t *)handle, struct lane, timer);

    free(lane->name);
    free(lane);
}

static void abandon(struct lane *lane, struct lane_job *job) ON_LOOP;

static void abandon(struct lane *lane, struct lane_job *job) {
    job->runner = lane_runner_abandon(job->runner);
    loop_forget(lane->loop, &job->returned);
}

static void end_running(struct lane *lane) ON_LOOP;

static void end_running(struct lane *lane) {
    struct lane_job *job = TAKE_PTR(lane->running);

    if (job)
        lane_runner_wait(lane->runner);
    if (job && lane_runner_left_ms(lane->runner) == 0) {
        lane->runner = NULL;
        abandon(lane, job);
        return;
    }
    lane->runner = lane_runner_free(lane->runner);
    if (job)
        loop_forget(lane->loop, &job->returned);
}

struct lane *lane_free(struct lane *lane) {
    if (!lane)
        return NULL;
    end_running(lane);
    lack_end(lane->loop, &lane->lack);
    list_for_each (link, &lane->stuck) {
        struct lane_job *job = list_entry(link, struct lane_job, link);
        list_remove(link);
        abandon(lane, job);
    }
    list_for_each (link, &lane->queue)
        list_remove(link);
    uv_close((uv_handle_t *)&lane->timer, lane_on_closed);
    return NULL;
}

void lane_submit(struct lane *lane, struct lane_job *job) {
    assert(job->run && job->done);
    job->lane = lane;
    list_append(&lane->queue, &job->link);
    lane_next(lane);
}

static int count(const struct list *list) {
    int n = 0;

    for (const struct list *link = list->next; link != list; link = link->next)
        n++;
    return n;
}

int lane_pending(const struct lane *lane) {
    return count(&lane->queue) + (lane->running ? 1 : 0);
}

int lane_stuck(const struct lane *lane) {
    return count(&lane->stuck);
}
