/* orchestrator_delete_task and orchestrator_cancel_task: work that is not to be done. */
#include "active.h"
#include "session.h"
#include "task.h"
#include "tool.h"
#include "tree.h"
#include "words.h"

const char delete_input[] =
    INPUT(TASK_ID ", \"force\": {\"type\": \"boolean\", \"default\": false, \"description\": \"although other tasks "
                  "wait for it, or it has children (which go with it)\"}, \"archive_instead\": {\"type\": \"boolean\", "
                  "\"default\": true, \"description\": \"keep it, out of the way\"}, " SESSION_ID,
          "\"task_id\"");
const char delete_output[] = OUTPUT("\"task_id\": " STRING ", \"status\": {\"enum\": [\"archived\", \"deleted\"]}, "
                                    "\"children_deleted\": " INTEGER ", \"dependents_freed\": " INTEGER,
                                    "\"session_id\", \"task_id\", \"status\"");

const char cancel_input[] =
    INPUT(TASK_ID ", \"reason\": " STRING ", \"preserve_work\": {\"type\": \"boolean\", \"default\": true, "
                  "\"description\": \"keep its artifacts\"}, " SESSION_ID,
          "\"task_id\"");
const char cancel_output[] =
    OUTPUT("\"task_id\": " STRING ", \"status\": {\"const\": \"cancelled\"}, \"reason\": " STRING
           ", \"artifacts_kept\": " INTEGER ", \"artifacts_removed\": " INTEGER,
           "\"session_id\", \"task_id\", \"status\"");

struct removal {
    const char *task_id;
    struct task task;
    int64_t dependents, children;
    bool force, archive;
};

/* Whoever waits for a task that is completed has what it waited for. */
static int check(struct work *work, struct removal *removal) {
    if (tree_count_dependents(work, removal->task.id, &removal->dependents, &removal->children) < 0)
        return -1;
    if (removal->task.was_completed && removal->archive)
        removal->dependents = 0;
    if (removal->force)
        return 0;
    if (removal->dependents > 0)
        return work_refuse(work, "%lld task(s) wait for '%.40s'; force = true removes it and frees them",
                           (long long)removal->dependents, removal->task_id);
    if (removal->children > 0 && !removal->archive)
        return work_refuse(work, "'%.40s' has %lld children; force = true deletes them with it", removal->task_id,
                           (long long)removal->children);
    if (removal->task.status == STATUS_IN_PROGRESS && !removal->archive)
        return work_refuse(work, "'%.40s' is in_progress; cancel it first, or force = true", removal->task_id);
    return 0;
}

static int archive(struct work *work, struct removal *removal) {
    if (task_move(work, removal->task_id, &removal->task, STATUS_ARCHIVED, NULL) < 0)
        return -1;
    if (removal->task.was_completed)
        return 0;
    return sql_run(work, "DELETE FROM task_dependencies WHERE prerequisite = ?1", "i", removal->task.id);
}

int tool_delete(struct work *work) {
    struct removal removal = {.task_id = work_string(work, "task_id"),
                              .force = work_flag(work, "force", false),
                              .archive = work_flag(work, "archive_instead", true)};

    if (task_find(work, removal.task_id, &removal.task) < 0 || check(work, &removal) < 0)
        return -1;
    if (removal.archive ? archive(work, &removal) < 0
                        : sql_run(work, "DELETE FROM tasks WHERE id = ?1", "i", removal.task.id) < 0)
        return -1;
    if (!removal.archive)
        active_forget(work->tasks); /* children are gone with it */
    if (session_touch(work) < 0)
        return -1;
    work->value = json_pack("{s:s, s:s, s:I, s:I}", "task_id", removal.task_id, "status",
                            removal.archive ? "archived" : "deleted", "children_deleted",
                            (json_int_t)(removal.archive ? 0 : removal.children), "dependents_freed",
                            (json_int_t)removal.dependents);
    text_print(&work->text, "%s %s.\nSession: %s", removal.archive ? "Archived" : "Deleted", removal.task_id,
               work->session.session_id);
    return 0;
}

static int cancel(struct work *work, const char *task_id, struct task *task) {
    if (task_move(work, task_id, task, STATUS_CANCELLED, NULL) < 0)
        return -1;
    if (sql_run(work, "UPDATE tasks SET reason = ?2 WHERE id = ?1", "is", task->id, work_string(work, "reason")) < 0)
        return -1;
    if (work_flag(work, "preserve_work", true))
        return 0;
    return sql_run(work, "DELETE FROM task_artifacts WHERE task = ?1", "i", task->id);
}

int tool_cancel(struct work *work) {
    const char *task_id = work_string(work, "task_id"), *reason = work_string(work, "reason");
    int64_t before = 0, after = 0;
    struct task task;

    if (task_find(work, task_id, &task) < 0 ||
        sql_number(work, 0, &before, "SELECT count(*) FROM task_artifacts WHERE task = ?1", "i", task.id) < 0 ||
        cancel(work, task_id, &task) < 0 ||
        sql_number(work, 0, &after, "SELECT count(*) FROM task_artifacts WHERE task = ?1", "i", task.id) < 0)
        return -1;
    work->value = json_pack("{s:s, s:s, s:s*, s:I, s:I}", "task_id", task_id, "status", "cancelled", "reason", reason,
                            "artifacts_kept", (json_int_t)after, "artifacts_removed", (json_int_t)(before - after));
    text_print(&work->text, "Cancelled %s%s%s.\nSession: %s", task_id, reason ? ": " : "", reason ? reason : "",
               work->session.session_id);
    return 0;
}
