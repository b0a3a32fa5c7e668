#include "loop/lane_runner.h"

#include <stdlib.h>

#include <uv.h>

#include "base/clock.h"
#include "base/mem.h"

struct lane_runner {
    struct loop *loop;
    struct thread *thread;
    uv_mutex_t lock; /* of everything below */
    uv_cond_t changed;
    struct lane_job *job; /* borrowed; NULL: idle */
    int64_t limit_ms;     /* the job's own memory is not looked at while it runs */
    int64_t begun_ns;     /* 0: not yet */
    bool quit;
    bool abandoned;
};

static void destroy(struct lane_runner *runner) {
    uv_cond_destroy(&runner->changed);
    uv_mutex_destroy(&runner->lock);
    free(runner);
}

/* The next job; NULL: the thread is to leave. Called and left with the lock held. */
static struct lane_job *next_job(struct lane_runner *runner) {
    while (!runner->job && !runner->quit && !runner->abandoned)
        uv_cond_wait(&runner->changed, &runner->lock);
    if (runner->job)
        runner->begun_ns = clock_now_ns();
    return runner->job;
}

static void lane_runner_main(void *arg) {
    struct lane_runner *runner = arg;

    uv_mutex_lock(&runner->lock);
    for (struct lane_job *job; (job = next_job(runner));) {
        uv_mutex_unlock(&runner->lock);
        job->run(job);
        uv_mutex_lock(&runner->lock);
        runner->job = NULL;
        uv_cond_broadcast(&runner->changed);
        if (!runner->abandoned)
            loop_post_task(runner->loop, &job->returned); /* under the lock: who abandons us knows that none follows */
    }
    bool abandoned = runner->abandoned;
    uv_mutex_unlock(&runner->lock);
    if (abandoned)
        destroy(runner);
}

int lane_runner_new(struct lane_runner **ret_runner, struct loop *loop, const char *name, struct theseus_error *err) {
    struct lane_runner *runner = xcalloc(1, sizeof(*runner));

    runner->loop = loop;
    (void)uv_mutex_init(&runner->lock);
    (void)uv_cond_init(&runner->changed);
    if (thread_start(&runner->thread, name, lane_runner_main, runner, err) < 0) {
        destroy(runner);
        return -1;
    }
    *ret_runner = runner;
    return 0;
}

struct lane_runner *lane_runner_free(struct lane_runner *runner) {
    if (!runner)
        return NULL;
    uv_mutex_lock(&runner->lock);
    runner->quit = true;
    uv_cond_broadcast(&runner->changed);
    uv_mutex_unlock(&runner->lock);
    runner->thread = thread_join(runner->thread);
    destroy(runner);
    return NULL;
}

struct lane_runner *lane_runner_abandon(struct lane_runner *runner) {
    uv_mutex_lock(&runner->lock);
    runner->thread = thread_detach(runner->thread);
    runner->abandoned = true;
    uv_cond_broadcast(&runner->changed);
    uv_mutex_unlock(&runner->lock);
    return NULL;
}

void lane_runner_give(struct lane_runner *runner, struct lane_job *job) {
    uv_mutex_lock(&runner->lock);
    runner->job = job;
    runner->limit_ms = job->limit_ms;
    runner->begun_ns = 0;
    uv_cond_broadcast(&runner->changed);
    uv_mutex_unlock(&runner->lock);
}

/* Rounded up, so that a wait of that length does not end too early. */
static int64_t left_ms(const struct lane_runner *runner) {
    if (!runner->job || runner->limit_ms <= 0)
        return -1;
    if (runner->begun_ns == 0)
        return runner->limit_ms;
    int64_t left_ns = runner->begun_ns + runner->limit_ms * 1000000 - clock_now_ns();
    return left_ns > 0 ? (left_ns + 999999) / 1000000 : 0;
}

int64_t lane_runner_left_ms(struct lane_runner *runner) {
    uv_mutex_lock(&runner->lock);
    int64_t left = left_ms(runner);
    uv_mutex_unlock(&runner->lock);
    return left;
}

void lane_runner_wait(struct lane_runner *runner) {
    uv_mutex_lock(&runner->lock);
    for (int64_t left; runner->job && (left = left_ms(runner)) != 0;) {
        if (left < 0)
            uv_cond_wait(&runner->changed, &runner->lock);
        else
            (void)uv_cond_timedwait(&runner->changed, &runner->lock, (uint64_t)left * 1000000);
    }
    uv_mutex_unlock(&runner->lock);
}
