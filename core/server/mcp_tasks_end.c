/* The end of a task: what its call ended with goes from the ledger into the database, and whoever listens is told. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/mcp_task_words.h"
#include "server/mcp_tasks_inner.h"

static void drop_records(struct task *task) {
    struct task_record record = {.conn = task->key.conn, .offset = task->key.offset, .index = task->key.index};
    struct outcome_record outcome = {.conn = task->key.conn, .offset = task->key.offset, .index = task->key.index};
    CLEANUP(batch_fini) struct batch batch = {0};
    struct theseus_error err = {0};

    batch_drop(&batch, &task_kind, &record);
    batch_drop(&batch, &outcome_kind, &outcome);
    if (ledger_commit(task->tasks->origin.ledger, &batch, &err) < 0)
        log_error("the records of a task stay behind: %s", err.message);
}

static void on_ended(struct lane_job *job, bool timed_out) {
    struct task *task = task_of(job);

    loop_enter();
    (void)timed_out; /* there is no limit */
    task->busy = false;
    bool was_told = task->told;
    task->told = true;
    if (!was_told)
        task_tell(task);
    if (task_has_failed(task))
        return; /* tried again with the next tick */
    drop_records(task);
    task_free(task);
}

static void read_outcome(void *arg, const void *recorded) {
    const struct outcome_record *outcome = recorded;
    struct task *task = arg;

    free(task->answer);
    task->answer = xstrndup(outcome->line.data ? outcome->line.data : "", outcome->line.len);
}

bool task_take_outcome(struct task *task) {
    struct outcome_record outcome = {.conn = task->key.conn, .offset = task->key.offset, .index = task->key.index};

    if (!ledger_find(task->tasks->origin.ledger, &outcome_kind, &outcome, read_outcome, task))
        return false;
    task->state = TASK_OVER;
    task->status = mcp_task_status(task->answer);
    task->updated_ms = clock_wall_ms();
    task->call = call_unref(task->call);
    return true;
}

void task_write_end(struct task *task) {
    task_submit(task, task_run_put, on_ended);
}

void task_end(struct task *task) {
    if (task_take_outcome(task)) {
        task_write_end(task);
        return;
    }
    log_error("task %s of tool '%s' has ended without an outcome", task->id, task->tool);
    task_free(task);
}
