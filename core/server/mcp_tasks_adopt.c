/*
 * Tasks of processes that have ended.
 *
 * The row of a task names the process that works on it. Who finds that ended puts itself in its place, in one statement
 * that does nothing if another was faster; so there is one successor at most. It is looked for them when the plugins
 * are there, now and then afterwards, and when a client asks for one.
 *
 * The call is run again where its tool allows that, or goes on behind its last checkpoint: as the same call, with the
 * key and the client that it had, so that what it has written is not written twice. Else the task ends, and says how
 * far it had got.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "call/proc.h"
#include "loop/timer.h"
#include "plugin/registry.h"
#include "rpc/jsontext.h"
#include "server/mcp_task_words.h"
#include "server/mcp_tasks_inner.h"

enum {
    ENDS_MAX = 3,           /* of processes in which it ran, without a checkpoint between them */
    STRAY_MS = 3600 * 1000, /* files without a row: somebody was about to make one */
    MAY_RUN_AGAIN = THESEUS_READ_ONLY | THESEUS_IDEMPOTENT,
};

/* ---- on the lane ---- */

bool adopt_is_at_work(const struct mcp_tasks *tasks, const struct mcp_task_row *row) {
    return row->pid != tasks->pid && proc_lives((long)row->pid, (uint64_t)row->pid_started);
}

static bool is_ours(const struct mcp_tasks *tasks, const struct mcp_task_row *row) {
    return row->pid == tasks->pid && row->pid_started == tasks->started;
}

bool adopt_may(const struct mcp_tasks *tasks, const struct mcp_task_row *row) {
    return tasks->origin.adopts && !is_ours(tasks, row);
}

/* What has ended does not write its files any more: they are read first, and whoever cannot do that leaves it to the
 * next who looks. */
int adopt_claim(struct mcp_tasks *tasks, const struct mcp_task_row *row, struct task_left **ret_left,
                struct theseus_error *err) {
    struct task_left *left = NULL;
    struct theseus_error why = {0};

    if (!adopt_may(tasks, row))
        return ADOPT_NOT;
    if (task_file_read(tasks->dir, row->id, &left, err) < 0)
        return -1;
    int r = mcp_task_claim(tasks->origin.store, row, tasks->pid, tasks->started, err);
    if (r != 0) {
        task_left_free(left);
        return r < 0 ? -1 : ADOPT_NOT;
    }
    if (left && task_file_count_end(tasks->dir, row->id, ++left->ends, &why) < 0)
        log_warning("task %s: %s", row->id, why.message);
    *ret_left = left;
    return 0;
}

/* ---- going on ---- */

static const char *text_of(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

void adopt_mark(struct call *call, struct span call_key, const json_t *client) {
    const json_t *uid = json_object_get(client, "uid");
    struct theseus_client_info info = {
        .name = text_of(client, "name"),
        .version = text_of(client, "version"),
        .transport = text_of(client, "transport"),
        .session = text_of(client, "session"),
        .directory = text_of(client, "directory"),
        .uid = uid ? (long)json_integer_value(uid) : -1,
    };

    call->adopted = true;
    call_set_client(call, &info);
    (void)snprintf(call->key_text, sizeof(call->key_text), "%.*s", (int)call_key.len, call_key.data);
}

/* Why it is not gone on with; NULL: it is. */
static const char *why_not(const struct task *task) ON_LOOP {
    const struct task_left *left = task->left;
    unsigned flags = 0;

    if (!left)
        return "what is needed to go on with it is not there";
    if (!registry_tool_flags(task->tasks->origin.registry, task->tool, &flags))
        return "its tool is not there any more";
    if (left->ends >= ENDS_MAX)
        return "it is not run again: that was the third process to end so";
    if (flags & MAY_RUN_AGAIN)
        return NULL;
    if (!(flags & THESEUS_RESUMABLE))
        return "it is not run again: check what it did before calling it again";
    if (left->state.len == 0)
        return "it is not run again, for it had made no checkpoint";
    return left->same_boot ? NULL : "it is not run again, for its last checkpoint may be lost with the machine's end";
}

static int go_on(struct task *task, struct conn *conn, struct theseus_error *err) ON_LOOP {
    const struct task_left *left = task->left;
    const char *call_key = text_of(left->head, "call_key");
    const json_t *client = json_object_get(left->head, "client");
    CLEANUP(buf_fini) struct buf client_text = {0};

    if (client && jsontext_write(client, &client_text, err) < 0)
        return -1;
    const struct conn_adopted adopted = {.request = left->request,
                                         .checkpoint = left->state,
                                         .inner = left->inner,
                                         .task = {.id = span_of(task->id),
                                                  .created_ms = (uint64_t)task->created_ms,
                                                  .kept = 1,
                                                  .call_key = span_of(call_key),
                                                  .client = buf_span(&client_text)}};
    struct call *call = conn_adopt(conn, &adopted, err);
    if (!call)
        return -1;
    adopt_mark(call, span_of(call_key), client);
    call->has_steps = true;
    atomic_store(&call->journal, task_file_journal(task->file));
    task->call = call_ref(call);
    task->key = call->key;
    task->conn = conn;
    return 0;
}

static void lose(struct task *task, const char *why) ON_LOOP {
    char *text = mcp_task_lost(task->tool, task->message, why);

    log_warning("task %s: %s", task->id, text);
    free(task->message);
    task->message = text;
    task->answer = mcp_task_lost_answer(text);
    task->status = "failed";
    task->updated_ms = clock_wall_ms();
    task->state = TASK_OVER;
    task_write_end(task);
}

void adopt_cancel(struct task *task) {
    task->answer = xstrdup("");
    task->status = "cancelled";
    task->updated_ms = clock_wall_ms();
    task->state = TASK_OVER;
    task_write_end(task);
}

void adopt_begin(struct task *task) {
    const struct mcp_tasks *tasks = task->tasks;
    struct theseus_error err = {0};

    if (!tasks->loaded || tasks->leaving)
        return; /* another one takes it over, when we have ended */
    struct conn *conn = tasks->origin.conn(tasks->origin.arg);
    if (!conn)
        return; /* as soon as there is one */
    const char *why = why_not(task);
    if (!why && go_on(task, conn, &err) < 0)
        why = err.message;
    if (why) {
        lose(task, why);
        return;
    }
    log_info("task %s of tool '%s' goes on, whose server has ended%s", task->id, task->tool,
             task->left->state.len ? ", from its last checkpoint" : "");
    task_left_free(TAKE_PTR(task->left));
    task->state = TASK_WORKING;
    conn_begin(conn, task->call);
}

struct task *adopt_take(struct mcp_tasks *tasks, const struct mcp_task_row *row, struct task_left *left) {
    struct task *task = task_new(tasks, NULL, row->tool);

    (void)snprintf(task->id, sizeof(task->id), "%s", row->id);
    task->created_ms = row->created_ms;
    task->message = row->message ? xstrdup(row->message) : NULL;
    task->file = task_file_new(tasks->dir, task->id, tasks->origin.may_be_stored, tasks->origin.arg);
    task->left = left;
    task->state = TASK_WAITING;
    mcp_tasks_keep_ticking(tasks);
    adopt_begin(task);
    if (!tasks->loaded)
        tasks->origin.wake(tasks->origin.arg);
    return task;
}

/* ---- looking for them ---- */

struct claimed {
    struct mcp_task_row row; /* owned texts */
    struct task_left *left;  /* owned; NULL: nothing */
};

struct look {
    struct lane_job job;
    struct mcp_tasks *tasks;
    json_t *ours;            /* owned: ids of our own, which are not looked at */
    json_t *strays;          /* owned: those in our name that are none of these */
    struct claimed *claimed; /* owned */
    size_t count;
};

static void look_free(struct look *look) {
    for (size_t i = 0; i < look->count; i++) {
        mcp_task_row_fini(&look->claimed[i].row);
        task_left_free(look->claimed[i].left);
    }
    free(look->claimed);
    json_decref(look->ours);
    json_decref(look->strays);
    free(look);
}

void adopt_forget(struct mcp_tasks *tasks) {
    if (tasks->look)
        look_free(TAKE_PTR(tasks->look));
}

/* Takes the texts of the row. */
static void note_claimed(struct look *look, struct mcp_task_row *row, struct task_left *left) {
    look->claimed = xreallocarray(look->claimed, look->count + 1, sizeof(*look->claimed));
    look->claimed[look->count++] = (struct claimed){*row, left};
    *row = (struct mcp_task_row){0};
}

static void look_at_row(struct look *look, struct mcp_task_row *row) {
    struct mcp_tasks *tasks = look->tasks;
    struct task_left *left = NULL;
    struct theseus_error err = {0};

    if (strcmp(row->status, "working") != 0) {
        task_file_forget(tasks->dir, row->id);
    } else if (is_ours(tasks, row)) {
        (void)json_array_append_new(look->strays, json_string(row->id));
    } else if (!adopt_is_at_work(tasks, row)) {
        int r = adopt_claim(tasks, row, &left, &err);
        if (r == 0)
            note_claimed(look, row, left);
        else if (r < 0)
            log_warning("task %s cannot be taken over: %s", row->id, err.message);
    }
}

static void look_at(void *arg, const char *id) {
    struct look *look = arg;
    struct mcp_tasks *tasks = look->tasks;
    struct mcp_task_row row = {0};
    struct theseus_error err = {0};

    if (json_object_get(look->ours, id))
        return;
    int r = mcp_task_find(tasks->origin.store, id, &row, &err);
    if (r < 0)
        log_warning("task %s cannot be looked for: %s", id, err.message);
    else if (r == 0)
        look_at_row(look, &row);
    else if (task_file_age_ms(tasks->dir, id) > STRAY_MS)
        task_file_forget(tasks->dir, id);
    mcp_task_row_fini(&row);
}

static void run_look(void *job) {
    struct look *look = container_of((struct lane_job *)job, struct look, job);

    task_file_each(look->tasks->dir, look_at, look);
}

static bool is_known(struct mcp_tasks *tasks, const char *id) ON_LOOP {
    list_for_each (link, &tasks->tasks)
        if (strcmp(list_entry(link, struct task, link)->id, id) == 0)
            return true;
    return false;
}

/* A call that was about to become a task when the image before this one ended: it went on as a call. Not one that has
 * become ours since it was asked which those are. */
static void drop_stray(struct mcp_tasks *tasks, const char *id) ON_LOOP {
    if (is_known(tasks, id))
        return;
    struct task *task = task_new(tasks, NULL, "");

    (void)snprintf(task->id, sizeof(task->id), "%s", id);
    task->file = task_file_new(tasks->dir, task->id, tasks->origin.may_be_stored, tasks->origin.arg);
    task_drop(task);
}

static void on_looked(struct lane_job *job, bool timed_out) {
    struct look *look = container_of(job, struct look, job);
    struct mcp_tasks *tasks = look->tasks;
    const json_t *id;
    size_t i;

    loop_enter();
    (void)timed_out; /* there is no limit */
    tasks->look = NULL;
    for (size_t at = 0; at < look->count; at++)
        (void)adopt_take(tasks, &look->claimed[at].row, TAKE_PTR(look->claimed[at].left));
    json_array_foreach (look->strays, i, id)
        drop_stray(tasks, json_string_value(id));
    look_free(look);
}

static void look_for_them(struct mcp_tasks *tasks) ON_LOOP {
    if (tasks->look || tasks->leaving || !task_file_any(tasks->dir))
        return;
    struct look *look = xcalloc(1, sizeof(*look));
    *look = (struct look){.tasks = tasks, .ours = json_object(), .strays = json_array()};
    list_for_each (link, &tasks->tasks)
        (void)json_object_set_new(look->ours, list_entry(link, struct task, link)->id, json_true());
    look->job = (struct lane_job){.run = run_look, .done = on_looked};
    tasks->look = look;
    lane_submit(tasks->lane, &look->job);
}

void adopt_on_time(void *arg) {
    loop_enter();
    look_for_them(arg);
}

void mcp_tasks_loaded(struct mcp_tasks *tasks) {
    int64_t interval_ms = (int64_t)(*tasks->origin.config)->buffer.cleanup_interval * 1000;

    if (tasks->loaded || !tasks->origin.adopts)
        return;
    tasks->loaded = true;
    list_for_each (link, &tasks->tasks) {
        struct task *task = list_entry(link, struct task, link);
        if (task->state == TASK_WAITING)
            adopt_begin(task);
    }
    look_for_them(tasks);
    timer_start(tasks->sweep, interval_ms, interval_ms);
}
