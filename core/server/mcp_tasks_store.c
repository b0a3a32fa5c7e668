/* Tasks on their way into the database. */
#include <unistd.h>

#include "base/limits.h"
#include "base/log.h"
#include "server/mcp_tasks_inner.h"

static struct mcp_task_row row_of(const struct task *task) {
    return (struct mcp_task_row){.id = task->id,
                                 .tool = task->tool,
                                 .uid = (int64_t)getuid(),
                                 .created_ms = task->created_ms,
                                 .updated_ms = task->updated_ms,
                                 .ttl_ms = INT64_C(1000) * LIMIT_TASK_TTL_S,
                                 .status = task->status,
                                 .message = task->message,
                                 .answer = task->answer,
                                 .pid = task->tasks->pid,
                                 .pid_started = task->tasks->started};
}

void task_run_put(void *job) {
    struct task *task = task_of(job);
    const struct mcp_task_row row = row_of(task);

    task->r = mcp_task_put(task->tasks->origin.store, &row, &task->err);
    if (task->r == 0 && task->state == TASK_OVER && task->file)
        task_file_remove(task->file); /* not before: it may be all that is left of the task */
}

void task_run_drop(void *job) {
    struct task *task = task_of(job);

    task->r = mcp_task_drop(task->tasks->origin.store, task->id, &task->err);
    if (task->file)
        task_file_remove(task->file);
}

void task_submit(struct task *task, work_fn *run, void (*done)(struct lane_job *, bool)) {
    task->busy = true;
    task->err = (struct theseus_error){0};
    task->job = (struct lane_job){.run = run, .done = done, .limit_ms = 0};
    lane_submit(task->tasks->lane, &task->job);
}

bool task_has_failed(struct task *task) {
    if (task->r == 0)
        return false;
    if (!task->said)
        log_warning("task %s of tool '%s' is not in the database: %s", task->id, task->tool, task->err.message);
    task->said = true;
    return true;
}
