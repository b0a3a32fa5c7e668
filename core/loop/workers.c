#include "loop/workers.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include <uv.h>

#include "base/mem.h"
#include "loop/lack.h"
#include "loop/timer.h"

enum { WORKERS_RETRY_MS = 100, TAKERS = 256 /* who take turns by themselves; of more some share theirs */ };

struct worker {
    struct list link;
    struct workers *workers;
    struct thread *thread;
    int number;
    bool ended; /* has left by itself; the place can be taken by a new thread */
};

struct workers {
    struct loop *loop;
    struct timer *retry;         /* the system had no thread for us: it is asked again */
    struct loop_task retry_soon; /* starts it, from any thread */
    struct lack lack;
    uv_mutex_t lock; /* of everything below */
    uv_cond_t changed;
    struct list urgent;     /* work::link, borrowed: before those of `queue` */
    struct list queue;      /* work::link, borrowed; in the order of their turns */
    uint64_t turn;          /* of the one that was begun last */
    uint64_t turns[TAKERS]; /* the last ones that were given to each */
    struct list threads;    /* worker::link, owned */
    int count;              /* threads there may be */
    int stuck;              /* of those in a job, the ones that do not come back */
    int alive, idle, busy, queued;
    int urgent_busy; /* of `busy`, those in urgent work */
    bool retrying;
    bool closing;
};

/* How many threads there may be at this moment. */
static int most(const struct workers *workers) {
    int replaced = workers->stuck < workers->count ? workers->stuck : workers->count;

    return workers->count + replaced + (workers->urgent_busy > 0) + !list_empty(&workers->urgent);
}

static bool surplus(const struct workers *workers) {
    return workers->closing || workers->alive > most(workers);
}

/* The next job; NULL: the thread is to leave. Called and left with the lock held. */
static struct work *worker_next(struct workers *workers, bool *ret_urgent) {
    while (workers->queued == 0 && !surplus(workers)) {
        workers->idle++;
        uv_cond_wait(&workers->changed, &workers->lock);
        workers->idle--;
    }
    if (surplus(workers))
        return NULL;
    *ret_urgent = !list_empty(&workers->urgent);
    struct work *work = list_first(*ret_urgent ? &workers->urgent : &workers->queue, struct work, link);
    list_remove(&work->link);
    workers->queued--;
    if (!*ret_urgent)
        workers->turn = work->turn;
    return work;
}

static void worker_main(void *arg) {
    struct worker *worker = arg;
    struct workers *workers = worker->workers;
    bool urgent;

    uv_mutex_lock(&workers->lock);
    for (struct work *work; (work = worker_next(workers, &urgent));) {
        workers->busy++;
        workers->urgent_busy += urgent;
        uv_mutex_unlock(&workers->lock);
        work->run(work);
        uv_mutex_lock(&workers->lock);
        workers->busy--;
        workers->urgent_busy -= urgent;
    }
    workers->alive--;
    worker->ended = true;
    uv_mutex_unlock(&workers->lock);
}

static struct worker *find_place(struct workers *workers) {
    int number = 0;

    list_for_each (link, &workers->threads) {
        struct worker *worker = list_entry(link, struct worker, link);
        if (worker->ended) {
            worker->thread = thread_join(worker->thread);
            return worker;
        }
        number++;
    }
    struct worker *worker = xcalloc(1, sizeof(*worker));
    *worker = (struct worker){.workers = workers, .number = number + 1, .ended = true};
    list_append(&workers->threads, &worker->link);
    return worker;
}

static void start_thread(struct workers *workers) {
    struct worker *worker = find_place(workers);
    struct theseus_error err = {0};
    char name[24];

    (void)snprintf(name, sizeof(name), "worker-%d", worker->number);
    worker->ended = false;
    if (thread_start(&worker->thread, name, worker_main, worker, &err) == 0) {
        workers->alive++;
        lack_end(workers->loop, &workers->lack);
        return;
    }
    worker->ended = true;
    workers->retrying = true;
    lack_begin(workers->loop, &workers->lack,
               workers->alive > 0 ? "calls of tools wait for fewer threads than server.workers allows"
                                  : "no call of a tool that may block can be begun",
               &err);
    loop_post_task(workers->loop, &workers->retry_soon);
}

/* Called with the lock held. */
static void start_what_is_needed(struct workers *workers) {
    bool needed = workers->queued > workers->idle && workers->alive < most(workers);

    if (needed && !workers->retrying && !workers->closing)
        start_thread(workers);
}

static void workers_on_retry_soon(void *arg) {
    struct workers *workers = arg;

    loop_enter();
    timer_start(workers->retry, WORKERS_RETRY_MS, 0);
}

static void workers_on_retry(void *arg) {
    struct workers *workers = arg;

    uv_mutex_lock(&workers->lock);
    workers->retrying = false;
    for (int missing = workers->queued; missing > 0; missing--)
        start_what_is_needed(workers);
    if (!workers->retrying)
        lack_end(workers->loop, &workers->lack); /* what was queued is done by those that there are */
    uv_mutex_unlock(&workers->lock);
}

struct workers *workers_new(struct loop *loop, int count) {
    struct workers *workers = xcalloc(1, sizeof(*workers));

    assert(count > 0);
    workers->loop = loop;
    workers->retry = timer_new(loop, workers_on_retry, workers);
    workers->retry_soon = (struct loop_task){.run = workers_on_retry_soon, .arg = workers};
    workers->count = count;
    (void)uv_mutex_init(&workers->lock);
    (void)uv_cond_init(&workers->changed);
    list_init(&workers->urgent);
    list_init(&workers->queue);
    list_init(&workers->threads);
    return workers;
}

static void leave_queue(struct workers *workers, struct work *work) {
    list_remove(&work->link);
    workers->queued--;
}

struct workers *workers_free(struct workers *workers) {
    if (!workers)
        return NULL;
    uv_mutex_lock(&workers->lock);
    workers->closing = true;
    list_splice(&workers->queue, &workers->urgent);
    list_for_each (link, &workers->queue)
        leave_queue(workers, list_entry(link, struct work, link));
    uv_cond_broadcast(&workers->changed);
    uv_mutex_unlock(&workers->lock);
    list_for_each (link, &workers->threads) {
        struct worker *worker = list_entry(link, struct worker, link);
        worker->thread = thread_join(worker->thread);
        free(worker);
    }
    loop_forget(workers->loop, &workers->retry_soon);
    lack_end(workers->loop, &workers->lack);
    workers->retry = timer_free(workers->retry);
    uv_cond_destroy(&workers->changed);
    uv_mutex_destroy(&workers->lock);
    free(workers);
    return NULL;
}

/* Behind what is for the same one, and before what others want beyond their share. */
static void enqueue(struct workers *workers, struct work *work) {
    uint64_t *last = &workers->turns[work->whose % TAKERS];
    struct list *before = workers->queue.prev;

    *last = work->turn = (*last > workers->turn ? *last : workers->turn) + 1;
    while (before != &workers->queue && list_entry(before, struct work, link)->turn > work->turn)
        before = before->prev;
    list_append(before->next, &work->link); /* in front of what follows */
}

static void submit(struct workers *workers, struct list *queue, struct work *work) {
    uv_mutex_lock(&workers->lock);
    if (queue == &workers->queue)
        enqueue(workers, work);
    else
        list_append(queue, &work->link);
    workers->queued++;
    start_what_is_needed(workers);
    uv_cond_signal(&workers->changed);
    uv_mutex_unlock(&workers->lock);
}

void workers_submit(struct workers *workers, struct work *work) {
    submit(workers, &workers->queue, work);
}

void workers_submit_urgent(struct workers *workers, struct work *work) {
    submit(workers, &workers->urgent, work);
}

bool workers_retract(struct workers *workers, struct work *work) {
    uv_mutex_lock(&workers->lock);
    bool queued = work->link.next && !list_empty(&work->link);
    if (queued)
        leave_queue(workers, work);
    uv_mutex_unlock(&workers->lock);
    return queued;
}

/* Called with the lock held. */
static void have_most(struct workers *workers) {
    for (int missing = workers->queued; missing > 0; missing--)
        start_what_is_needed(workers);
    uv_cond_broadcast(&workers->changed);
}

void workers_resize(struct workers *workers, int count) {
    assert(count > 0);
    uv_mutex_lock(&workers->lock);
    workers->count = count;
    have_most(workers);
    uv_mutex_unlock(&workers->lock);
}

void workers_set_stuck(struct workers *workers, int stuck) {
    assert(stuck >= 0);
    uv_mutex_lock(&workers->lock);
    if (workers->stuck != stuck) {
        workers->stuck = stuck;
        have_most(workers);
    }
    uv_mutex_unlock(&workers->lock);
}

static int read_locked(const struct workers *workers, const int *value) {
    uv_mutex_t *lock = (uv_mutex_t *)&workers->lock; /* the lock is no part of the value */

    uv_mutex_lock(lock);
    int now = *value;
    uv_mutex_unlock(lock);
    return now;
}

int workers_count(const struct workers *workers) {
    return read_locked(workers, &workers->count);
}

int workers_busy(const struct workers *workers) {
    return read_locked(workers, &workers->busy);
}

int workers_queued(const struct workers *workers) {
    return read_locked(workers, &workers->queued);
}
