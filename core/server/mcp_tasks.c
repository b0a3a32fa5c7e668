#include "server/mcp_tasks.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "call/proc.h"
#include "loop/timer.h"
#include "server/mcp_task_words.h"
#include "server/mcp_tasks_inner.h"

enum { TICK_MS = 250 };

static void on_tick(void *arg);

/* ---- life ---- */

static char *dir_new(const struct store *store) {
    CLEANUP(free) char *state_dir = path_dir(store_path(store));

    return path_join(state_dir, "mcp-tasks");
}

struct mcp_tasks *mcp_tasks_new(const struct mcp_tasks_origin *origin) {
    struct mcp_tasks *tasks = xcalloc(1, sizeof(*tasks));
    struct theseus_error err = {0};
    uint64_t started = 0;

    tasks->origin = *origin;
    tasks->dir = dir_new(origin->store);
    tasks->lane = lane_new(origin->loop, "tasks", "the database of tasks cannot be asked");
    tasks->tick = timer_new(origin->loop, on_tick, tasks);
    tasks->sweep = timer_new(origin->loop, adopt_on_time, tasks);
    tasks->pid = getpid();
    if (proc_start_time(getpid(), &started, &err) < 0)
        log_warning("%s", err.message);
    tasks->started = (int64_t)started;
    list_init(&tasks->offers);
    list_init(&tasks->tasks);
    list_init(&tasks->questions);
    return tasks;
}

struct task *task_new(struct mcp_tasks *tasks, struct call *call, const char *tool) {
    struct task *task = xcalloc(1, sizeof(*task));

    task->tasks = tasks;
    task->call = call ? call_ref(call) : NULL;
    task->tool = xstrdup(tool);
    task->status = "working";
    task->created_ms = task->updated_ms = clock_wall_ms();
    list_append(&tasks->tasks, &task->link);
    return task;
}

void task_free(struct task *task) {
    list_remove(&task->link);
    (void)call_unref(task->call);
    (void)task_file_unref(task->file);
    task_left_free(task->left);
    json_decref(task->client);
    free(task->tool);
    free(task->message);
    free(task->answer);
    free(task);
}

struct mcp_tasks *mcp_tasks_free(struct mcp_tasks *tasks) {
    if (!tasks)
        return NULL;
    tasks->lane = lane_free(tasks->lane);
    tasks->tick = timer_free(tasks->tick);
    tasks->sweep = timer_free(tasks->sweep);
    adopt_forget(tasks);
    offered_free_all(tasks);
    list_for_each (link, &tasks->tasks)
        task_free(list_entry(link, struct task, link));
    questions_free_all(tasks);
    free(tasks->dir);
    free(tasks);
    return NULL;
}

bool mcp_tasks_is_stuck(const struct mcp_tasks *tasks) {
    return lane_stuck(tasks->lane) > 0;
}

/* ---- which there are ---- */

struct task *mcp_tasks_find(struct mcp_tasks *tasks, const char *id) {
    list_for_each (link, &tasks->tasks) {
        struct task *task = list_entry(link, struct task, link);
        if (task->state != TASK_NEW && strcmp(task->id, id) == 0)
            return task;
    }
    return NULL;
}

bool mcp_tasks_runs(struct mcp_tasks *tasks, const char *id) {
    return mcp_tasks_find(tasks, id) != NULL;
}

static struct task *find_by_key(struct mcp_tasks *tasks, const struct call_key *key) {
    list_for_each (link, &tasks->tasks) {
        struct task *task = list_entry(link, struct task, link);
        if (task->key.conn == key->conn && task->key.offset == key->offset && task->key.index == key->index)
            return task;
    }
    return NULL;
}

/* Its end is final once it was told, so it is in the database before; where that does not take it, it is told all the
 * same. */
json_t *task_json_new(const struct task *task) {
    if (task->state == TASK_OVER && !task->told)
        return mcp_task_new(task->id, "working", task->message, task->created_ms, task->updated_ms);
    json_t *json = mcp_task_new(task->id, task->status, task->message, task->created_ms, task->updated_ms);

    mcp_task_add_outcome(json, task->answer);
    return json;
}

void task_tell(struct task *task) {
    const struct mcp_tasks_origin *origin = &task->tasks->origin;
    json_auto_t *json = task_json_new(task);

    origin->changed(origin->arg, task->id, json);
}

/* ---- while it runs ---- */

static void on_updated(struct lane_job *job, bool timed_out) {
    struct task *task = task_of(job);

    loop_enter();
    (void)timed_out; /* there is no limit */
    task->busy = false;
    (void)task_has_failed(task);
    if (task->ended)
        task_end(task);
}

/* What it has reached is kept for whoever asks when this process is gone. */
void task_look_at_step(struct task *task) {
    char *step = call_last_step(task->call);

    if (!step || (task->message && strcmp(step, task->message) == 0)) {
        free(step);
        return;
    }
    free(task->message);
    task->message = step;
    task->updated_ms = clock_wall_ms();
    task_submit(task, task_run_put, on_updated);
    task_tell(task);
}

void mcp_tasks_outcome(struct mcp_tasks *tasks, struct call *call) {
    struct task *task = find_by_key(tasks, &call->key);

    if (task && task->busy)
        task->ended = true;
    else if (task)
        task_end(task);
}

/* ---- time ---- */

void mcp_tasks_keep_ticking(struct mcp_tasks *tasks) {
    if (!tasks->ticking)
        timer_start(tasks->tick, TICK_MS, TICK_MS);
    tasks->ticking = true;
}

static void look_at_all(struct mcp_tasks *tasks) ON_LOOP {
    list_for_each (link, &tasks->tasks) {
        struct task *task = list_entry(link, struct task, link);
        if (!task->busy && task->state == TASK_OVER)
            task_write_end(task);
        else if (!task->busy && task->call)
            task_look_at_step(task);
        else if (task->state == TASK_WAITING)
            adopt_begin(task);
    }
}

static void on_tick(void *arg) {
    struct mcp_tasks *tasks = arg;

    loop_enter();
    mcp_tasks_look_at_offers(tasks);
    look_at_all(tasks);
    tasks->ticking = !list_empty(&tasks->offers) || !list_empty(&tasks->tasks);
    if (!tasks->ticking)
        timer_stop(tasks->tick);
}

/* ---- leaving ---- */

/* Their handlers are told that they are cancelled, so that they end; what is recorded of them stays as it is. */
void mcp_tasks_let_go(struct mcp_tasks *tasks) {
    tasks->leaving = true;
    look_at_all(tasks);
    list_for_each (link, &tasks->tasks) {
        struct task *task = list_entry(link, struct task, link);
        if (task->file)
            task_file_rest(task->file);
    }
}

void mcp_tasks_finish(struct mcp_tasks *tasks, int timeout_ms) {
    int64_t end_ns = clock_now_ns() + timeout_ms * INT64_C(1000000);

    while (lane_pending(tasks->lane) > 0 && clock_now_ns() < end_ns)
        (void)loop_turn(tasks->origin.loop, 10);
}
