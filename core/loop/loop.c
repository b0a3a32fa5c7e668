#include "loop/loop.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <uv.h>

#include "base/log.h"
#include "base/mem.h"
#include "loop/inner.h"

struct loop {
    uv_loop_t uv;
    uv_async_t wake;
    uv_check_t turn_end;
    uv_idle_t hurry;      /* active while tasks are deferred: such a turn does not wait for descriptors */
    uv_timer_t patience;  /* bounds loop_turn() */
    uv_mutex_t lock;      /* of the next two */
    struct list posted;   /* loop_task::link, borrowed */
    struct list served;   /* loop_task::link, borrowed: what the present turn took over from `posted` */
    struct list deferred; /* loop_task::link, borrowed */
    unsigned *polls;      /* owned: of each descriptor, how many there are */
    size_t polls_size;
    struct lacks lacks;
    bool stopping;
    bool noticed; /* a callback came in this turn */
};

/* A task of loop_post(), which has no memory of the caller's to live in. */
struct post {
    struct loop_task task;
    loop_fn *fn;
    void *arg;
};

struct uv_loop_s *loop_uv(struct loop *loop) {
    return &loop->uv;
}

unsigned *loop_polls(struct loop *loop, int fd) {
    size_t before = loop->polls_size, wanted = (size_t)fd + 1;

    if (wanted > before) {
        loop->polls_size = wanted > 2 * before ? wanted : 2 * before;
        loop->polls = xreallocarray(loop->polls, loop->polls_size, sizeof(*loop->polls));
        memset(loop->polls + before, 0, (loop->polls_size - before) * sizeof(*loop->polls));
    }
    return &loop->polls[fd];
}

struct lacks *loop_lacks(struct loop *loop) {
    return &loop->lacks;
}

void loop_noticed(struct uv_loop_s *uv) {
    container_of(uv, struct loop, uv)->noticed = true;
}

static bool is_queued(const struct loop_task *task) {
    return task->link.next && !list_empty(&task->link);
}

/* Copies what is run out of the task: another thread may queue it again at once, and its owner may free it. */
static bool take_served(struct loop *loop, struct loop_task *ret_task) {
    uv_mutex_lock(&loop->lock);
    struct loop_task *task = list_first(&loop->served, struct loop_task, link);
    if (task) {
        list_remove(&task->link);
        *ret_task = (struct loop_task){.run = task->run, .arg = task->arg};
    }
    uv_mutex_unlock(&loop->lock);
    return task;
}

static void loop_on_wake(uv_async_t *wake) {
    struct loop *loop = container_of(wake, struct loop, wake);
    struct loop_task task;

    loop_enter();
    uv_mutex_lock(&loop->lock);
    list_splice(&loop->served, &loop->posted);
    uv_mutex_unlock(&loop->lock);
    while (take_served(loop, &task)) {
        loop->noticed = true;
        task.run(task.arg);
    }
}

static void loop_on_turn_end(uv_check_t *turn_end) {
    struct loop *loop = container_of(turn_end, struct loop, turn_end);
    struct list now; /* loop_task::link, borrowed: what is deferred from here on belongs to the next turn */

    loop_enter();
    list_init(&now);
    list_splice(&now, &loop->deferred);
    (void)uv_idle_stop(&loop->hurry);
    for (struct loop_task *task; (task = list_first(&now, struct loop_task, link));) {
        list_remove(&task->link);
        loop->noticed = true;
        task->run(task->arg);
    }
}

static void loop_on_hurry(uv_idle_t *hurry) {
    (void)hurry; /* being active is all that it does */
}

static void loop_on_patience(uv_timer_t *patience) {
    (void)patience; /* its time ends the wait; nothing else is to be done */
}

struct loop *loop_new(void) {
    (void)uv_replace_allocator(xmalloc, xrealloc, xcalloc, free); /* as before, and with the core's reserve */
    struct loop *loop = xcalloc(1, sizeof(*loop));
    int r = uv_loop_init(&loop->uv);

    if (r == 0 && (r = uv_async_init(&loop->uv, &loop->wake, loop_on_wake)) < 0)
        (void)uv_loop_close(&loop->uv);
    if (r < 0) {
        free(loop);
        errno = -r;
        return NULL;
    }
    (void)uv_check_init(&loop->uv, &loop->turn_end);
    (void)uv_check_start(&loop->turn_end, loop_on_turn_end);
    (void)uv_idle_init(&loop->uv, &loop->hurry);
    (void)uv_timer_init(&loop->uv, &loop->patience);
    (void)uv_mutex_init(&loop->lock);
    list_init(&loop->posted);
    list_init(&loop->served);
    list_init(&loop->deferred);
    lacks_init(&loop->lacks);
    return loop;
}

static bool has_tasks(struct loop *loop) {
    uv_mutex_lock(&loop->lock);
    bool posted = !list_empty(&loop->posted) || !list_empty(&loop->served);
    uv_mutex_unlock(&loop->lock);
    return posted || !list_empty(&loop->deferred);
}

static void count_leaked(uv_handle_t *handle, void *arg) {
    int *leaked = arg;

    if (uv_is_closing(handle))
        return;
    log_error("the loop ends while a %s of it is still in use", uv_handle_type_name(handle->type));
    ++*leaked;
}

struct loop *loop_free(struct loop *loop) {
    int leaked = 0;

    if (!loop)
        return NULL;
    while (has_tasks(loop))
        (void)uv_run(&loop->uv, UV_RUN_NOWAIT);
    uv_close((uv_handle_t *)&loop->wake, NULL);
    uv_close((uv_handle_t *)&loop->turn_end, NULL);
    uv_close((uv_handle_t *)&loop->hurry, NULL);
    uv_close((uv_handle_t *)&loop->patience, NULL);
    uv_walk(&loop->uv, count_leaked, &leaked);
    assert(leaked == 0);
    while (uv_run(&loop->uv, UV_RUN_NOWAIT))
        ;
    int r = uv_loop_close(&loop->uv);
    assert(r == 0);
    (void)r;
    uv_mutex_destroy(&loop->lock);
    lacks_fini(&loop->lacks);
    free(loop->polls);
    free(loop);
    return NULL;
}

void loop_run(struct loop *loop) {
    while (!loop->stopping)
        (void)uv_run(&loop->uv, UV_RUN_DEFAULT);
    loop->stopping = false;
}

void loop_stop(struct loop *loop) {
    loop->stopping = true;
    uv_stop(&loop->uv);
}

bool loop_turn(struct loop *loop, int timeout_ms) {
    loop->noticed = false;
    if (timeout_ms > 0) {
        uv_update_time(&loop->uv);
        (void)uv_timer_start(&loop->patience, loop_on_patience, (uint64_t)timeout_ms, 0);
    }
    (void)uv_run(&loop->uv, timeout_ms == 0 ? UV_RUN_NOWAIT : UV_RUN_ONCE);
    (void)uv_timer_stop(&loop->patience);
    return loop->noticed;
}

int64_t loop_now_ms(const struct loop *loop) {
    return (int64_t)uv_now(&loop->uv);
}

void loop_post_task(struct loop *loop, struct loop_task *task) {
    bool was_empty = false;

    uv_mutex_lock(&loop->lock);
    if (!is_queued(task)) {
        was_empty = list_empty(&loop->posted);
        list_append(&loop->posted, &task->link);
    }
    uv_mutex_unlock(&loop->lock);
    if (was_empty)
        (void)uv_async_send(&loop->wake);
}

static void run_post(void *arg) {
    CLEANUP(free) struct post *post = arg;

    post->fn(post->arg);
}

void loop_post(struct loop *loop, loop_fn *fn, void *arg) {
    struct post *post = xcalloc(1, sizeof(*post));

    *post = (struct post){.task = {.run = run_post, .arg = post}, .fn = fn, .arg = arg};
    loop_post_task(loop, &post->task);
}

void loop_defer(struct loop *loop, struct loop_task *task) {
    if (is_queued(task))
        return;
    list_append(&loop->deferred, &task->link);
    (void)uv_idle_start(&loop->hurry, loop_on_hurry);
}

void loop_forget(struct loop *loop, struct loop_task *task) {
    uv_mutex_lock(&loop->lock);
    list_remove(&task->link);
    uv_mutex_unlock(&loop->lock);
}
