#include "server/mcp_tasks.h"

#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "call/proc.h"
#include "loop/lane.h"
#include "loop/timer.h"
#include "rpc/jsontext.h"
#include "rpc/shape.h"
#include "store/mcp_tasks.h"

enum { TICK_MS = 250, POLL_MS = 1000, WRITE_LIMIT_MS = 30000, ID_BYTES = 33 };

struct mcp_tasks {
    struct mcp_tasks_origin origin;
    struct lane *lane;  /* owned: the database */
    struct timer *tick; /* owned; runs while there is something to look after */
    bool ticking;
    struct list offers; /* struct offered::link, owned */
    struct list tasks;  /* struct task::link, owned */
    struct list questions;
    int64_t pid, started; /* this process */
};

/* A call that may become a task. */
struct offered {
    struct list link;
    struct conn *conn;
    struct call *call; /* a reference */
    int64_t due_ms;    /* loop's clock */
};

enum task_state { TASK_NEW, TASK_WORKING, TASK_OVER };

struct task {
    struct list link;
    struct mcp_tasks *tasks;
    struct conn *conn;
    struct call *call; /* a reference; NULL: the outcome is all that is left of it */
    struct call_key key;
    enum task_state state;
    char id[ID_BYTES];
    char *tool, *message, *answer; /* owned; message: the last step; answer: the response's line, "" for cancelled */
    const char *status;
    int64_t created_ms, updated_ms;
    struct lane_job job;
    bool busy;  /* the job is on the lane, which reads all of the above */
    bool ended; /* meanwhile its call is over */
    bool said;  /* that the database does not take it */
    int r;
    struct theseus_error err;
};

/* A question that the database answers. */
struct question {
    struct lane_job job;
    struct list link; /* mcp_tasks::questions, owned */
    struct mcp_tasks *tasks;
    struct call *call; /* a reference */
    char *id;          /* owned */
    bool detailed;     /* the task is wanted, not only whether it is there */
    json_t *found;     /* owned: the task */
    int r;
    struct theseus_error err;
};

/* ---- texts ---- */

static json_t *time_new(int64_t wall_ms) {
    char text[CLOCK_TEXT_BYTES];

    return json_string(clock_rfc3339(wall_ms, text));
}

static json_t *task_json_new(const char *id, const char *status, const char *message, int64_t created_ms,
                             int64_t updated_ms) {
    return json_pack("{s:s, s:s, s:s*, s:o, s:o, s:I, s:i}", "taskId", id, "status", status, "statusMessage", message,
                     "createdAt", time_new(created_ms), "lastUpdatedAt", time_new(updated_ms), "ttlMs",
                     (json_int_t)LIMIT_TASK_TTL_S * 1000, "pollIntervalMs", POLL_MS);
}

/* The response's own member: exactly what the call would have been answered with. */
static void add_outcome(json_t *task, const char *answer) {
    struct theseus_error err = {0};
    json_auto_t *response = answer && *answer ? jsontext_read(span_of(answer), &err) : NULL;
    json_t *result = json_object_get(response, "result"), *error = json_object_get(response, "error");

    if (result)
        (void)json_object_set(task, "result", result);
    if (error)
        (void)json_object_set(task, "error", error);
}

static const char *status_of(const char *answer) {
    struct theseus_error err = {0};

    if (!*answer)
        return "cancelled";
    json_auto_t *response = jsontext_read(span_of(answer), &err);
    return json_object_get(response, "result") ? "completed" : "failed";
}

static json_t *live_new(const struct task *task) {
    json_t *json = task_json_new(task->id, task->status, task->message, task->created_ms, task->updated_ms);

    add_outcome(json, task->answer);
    return json;
}

static void tell(struct task *task) {
    const struct mcp_tasks_origin *origin = &task->tasks->origin;
    json_auto_t *json = live_new(task);

    origin->changed(origin->arg, task->id, json);
}

static void refuse_unknown(struct call *call, const char *id) {
    struct theseus_error err = {0};

    (void)fail(&err, ERR_PARAMS, "there is no task '%.64s', or its time is over", id);
    call_fail(call, &err, NULL);
}

/* ---- life ---- */

static void on_tick(void *arg);

struct mcp_tasks *mcp_tasks_new(const struct mcp_tasks_origin *origin) {
    struct mcp_tasks *tasks = xcalloc(1, sizeof(*tasks));
    struct theseus_error err = {0};
    uint64_t started = 0;

    tasks->origin = *origin;
    tasks->lane = lane_new(origin->loop, "tasks");
    tasks->tick = timer_new(origin->loop, on_tick, tasks);
    tasks->pid = getpid();
    if (proc_start_time(getpid(), &started, &err) < 0)
        log_warning("%s", err.message);
    tasks->started = (int64_t)started;
    list_init(&tasks->offers);
    list_init(&tasks->tasks);
    list_init(&tasks->questions);
    return tasks;
}

static void offered_free(struct offered *offered) {
    list_remove(&offered->link);
    (void)call_unref(offered->call);
    free(offered);
}

static void task_free(struct task *task) {
    list_remove(&task->link);
    (void)call_unref(task->call);
    free(task->tool);
    free(task->message);
    free(task->answer);
    free(task);
}

static void question_free(struct question *question) {
    list_remove(&question->link);
    json_decref(question->found);
    (void)call_unref(question->call);
    free(question->id);
    free(question);
}

struct mcp_tasks *mcp_tasks_free(struct mcp_tasks *tasks) {
    if (!tasks)
        return NULL;
    tasks->lane = lane_free(tasks->lane);
    tasks->tick = timer_free(tasks->tick);
    list_for_each (link, &tasks->offers)
        offered_free(list_entry(link, struct offered, link));
    list_for_each (link, &tasks->tasks)
        task_free(list_entry(link, struct task, link));
    list_for_each (link, &tasks->questions)
        question_free(list_entry(link, struct question, link));
    free(tasks);
    return NULL;
}

bool mcp_tasks_is_stuck(const struct mcp_tasks *tasks) {
    return lane_stuck(tasks->lane) > 0;
}

static void keep_ticking(struct mcp_tasks *tasks) ON_LOOP {
    if (!tasks->ticking)
        timer_start(tasks->tick, TICK_MS, TICK_MS);
    tasks->ticking = true;
}

static struct task *task_new(struct mcp_tasks *tasks, struct call *call, const char *tool) {
    struct task *task = xcalloc(1, sizeof(*task));

    task->tasks = tasks;
    task->call = call ? call_ref(call) : NULL;
    task->tool = xstrdup(tool);
    task->status = "working";
    task->created_ms = task->updated_ms = clock_wall_ms();
    list_append(&tasks->tasks, &task->link);
    return task;
}

/* 128 bits that nobody guesses: the id is all that gives access. */
static int make_id(char id[static ID_BYTES], struct theseus_error *err) {
    unsigned char random[(ID_BYTES - 1) / 2];

    if (getentropy(random, sizeof(random)) < 0)
        return fail_errno(err, "no random id for a task");
    for (size_t i = 0; i < sizeof(random); i++)
        (void)snprintf(id + 2 * i, 3, "%02x", random[i]);
    return 0;
}

static struct task *find(struct mcp_tasks *tasks, const char *id) {
    list_for_each (link, &tasks->tasks) {
        struct task *task = list_entry(link, struct task, link);
        if (task->state != TASK_NEW && strcmp(task->id, id) == 0)
            return task;
    }
    return NULL;
}

static struct task *find_by_key(struct mcp_tasks *tasks, const struct call_key *key) {
    list_for_each (link, &tasks->tasks) {
        struct task *task = list_entry(link, struct task, link);
        if (task->key.conn == key->conn && task->key.offset == key->offset && task->key.index == key->index)
            return task;
    }
    return NULL;
}

/* ---- the database; on the lane ---- */

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

static void run_put(void *job) {
    struct task *task = container_of((struct lane_job *)job, struct task, job);
    const struct mcp_task_row row = row_of(task);

    task->r = mcp_task_put(task->tasks->origin.store, &row, &task->err);
}

static void run_drop(void *job) {
    struct task *task = container_of((struct lane_job *)job, struct task, job);

    task->r = mcp_task_drop(task->tasks->origin.store, task->id, &task->err);
}

static void submit(struct task *task, work_fn *run, void (*done)(struct lane_job *, bool)) ON_LOOP {
    task->busy = true;
    task->err = (struct theseus_error){0};
    task->job = (struct lane_job){.run = run, .done = done, .limit_ms = 0};
    lane_submit(task->tasks->lane, &task->job);
}

/* Said once for each task; it is tried again. */
static bool has_failed(struct task *task) {
    if (task->r == 0)
        return false;
    if (!task->said)
        log_warning("task %s of tool '%s' is not in the database: %s", task->id, task->tool, task->err.message);
    task->said = true;
    return true;
}

/* ---- a call becomes a task ---- */

static void on_dropped(struct lane_job *job, bool timed_out) {
    (void)timed_out;
    loop_enter();
    task_free(container_of(job, struct task, job));
}

static int detach(struct task *task, struct theseus_error *err) ON_LOOP {
    struct call *call = task->call;
    struct task_record record = {call->key.conn, call->key.offset, call->key.index, span_of(task->id)};
    CLEANUP(batch_fini) struct batch batch = {0};
    CLEANUP(buf_fini) struct buf line = {0};
    json_t *created = task_json_new(task->id, task->status, task->message, task->created_ms, task->updated_ms);

    (void)json_object_set_new(created, "resultType", json_string("task"));
    json_auto_t *shaped = shape_result(call->revision, created, call->server_info, false);
    if (message_write_result(call->id, shaped, &line, err) < 0)
        return -1;
    batch_put(&batch, &task_kind, &record);
    if (!conn_detach(task->conn, call, &batch, &line))
        return fail(err, ERR_MISSING, "the call is over");
    return 0;
}

static void on_created(struct lane_job *job, bool timed_out) {
    struct task *task = container_of(job, struct task, job);
    struct theseus_error err = {0};

    loop_enter();
    (void)timed_out; /* there is no limit */
    task->busy = false;
    if (task->r < 0) {
        log_warning("a call of tool '%s' does not become a task: %s", task->tool, task->err.message);
        task_free(task);
    } else if (call_is_over(task->call) || detach(task, &err) < 0) {
        submit(task, run_drop, on_dropped); /* it has been answered as it is */
    } else {
        task->state = TASK_WORKING;
        keep_ticking(task->tasks);
    }
}

static void become_task(struct mcp_tasks *tasks, struct conn *conn, struct call *call) ON_LOOP {
    const char *tool = json_string_value(json_object_get(call->message.params, "name"));
    struct task *task = task_new(tasks, call, tool ? tool : "");
    struct theseus_error err = {0};

    task->conn = conn;
    task->key = call->key;
    if (make_id(task->id, &err) < 0) {
        log_warning("%s", err.message);
        task_free(task);
        return;
    }
    submit(task, run_put, on_created);
}

void mcp_tasks_offer(struct mcp_tasks *tasks, struct conn *conn, struct call *call, bool now) {
    const int after = (*tasks->origin.config)->tasks.promote_after;

    call->has_steps = true;
    if (now) {
        become_task(tasks, conn, call);
        return;
    }
    if (after == 0)
        return;
    struct offered *offered = xcalloc(1, sizeof(*offered));
    *offered = (struct offered){
        .conn = conn, .call = call_ref(call), .due_ms = loop_now_ms(tasks->origin.loop) + INT64_C(1000) * after};
    list_append(&tasks->offers, &offered->link);
    keep_ticking(tasks);
}

/* ---- while it runs ---- */

static void on_updated(struct lane_job *job, bool timed_out);

/* What it has reached is kept for whoever asks when this process is gone. */
static void look_at_step(struct task *task) ON_LOOP {
    char *step = call_last_step(task->call);

    if (!step || (task->message && strcmp(step, task->message) == 0)) {
        free(step);
        return;
    }
    free(task->message);
    task->message = step;
    task->updated_ms = clock_wall_ms();
    submit(task, run_put, on_updated);
    tell(task);
}

static void end(struct task *task) ON_LOOP;

static void on_updated(struct lane_job *job, bool timed_out) {
    struct task *task = container_of(job, struct task, job);

    loop_enter();
    (void)timed_out;
    task->busy = false;
    (void)has_failed(task);
    if (task->ended)
        end(task);
}

/* ---- its end ---- */

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
    struct task *task = container_of(job, struct task, job);

    loop_enter();
    (void)timed_out;
    task->busy = false;
    if (has_failed(task))
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

/* False: there is no outcome. */
static bool take_outcome(struct task *task) {
    struct outcome_record outcome = {.conn = task->key.conn, .offset = task->key.offset, .index = task->key.index};

    if (!ledger_find(task->tasks->origin.ledger, &outcome_kind, &outcome, read_outcome, task))
        return false;
    task->state = TASK_OVER;
    task->status = status_of(task->answer);
    task->updated_ms = clock_wall_ms();
    task->call = call_unref(task->call);
    return true;
}

static void end(struct task *task) {
    if (take_outcome(task)) {
        submit(task, run_put, on_ended);
        tell(task);
        return;
    }
    log_error("task %s of tool '%s' has ended without an outcome", task->id, task->tool);
    task_free(task);
}

void mcp_tasks_outcome(struct mcp_tasks *tasks, struct call *call) {
    struct task *task = find_by_key(tasks, &call->key);

    if (task && task->busy)
        task->ended = true;
    else if (task)
        end(task);
}

/* ---- time ---- */

static void look_at_offers(struct mcp_tasks *tasks) ON_LOOP {
    list_for_each (link, &tasks->offers) {
        struct offered *offered = list_entry(link, struct offered, link);
        bool is_due = loop_now_ms(tasks->origin.loop) >= offered->due_ms;
        if (is_due && !call_is_over(offered->call))
            become_task(tasks, offered->conn, offered->call);
        if (is_due || call_is_over(offered->call))
            offered_free(offered);
    }
}

static void on_tick(void *arg) {
    struct mcp_tasks *tasks = arg;

    loop_enter();
    look_at_offers(tasks);
    list_for_each (link, &tasks->tasks) {
        struct task *task = list_entry(link, struct task, link);
        if (!task->busy && task->state == TASK_OVER)
            submit(task, run_put, on_ended);
        else if (!task->busy && task->call)
            look_at_step(task);
    }
    tasks->ticking = !list_empty(&tasks->offers) || !list_empty(&tasks->tasks);
    if (!tasks->ticking)
        timer_stop(tasks->tick);
}

/* ---- behind a restart ---- */

struct search {
    struct call_key key;
    struct call *found; /* borrowed */
};

static void match(void *arg, struct call *call) {
    struct search *search = arg;

    if (call->key.conn == search->key.conn && call->key.offset == search->key.offset &&
        call->key.index == search->key.index)
        search->found = call;
}

struct restoring {
    struct mcp_tasks *tasks;
    struct clients *clients;
};

static void restore_one(void *arg, const void *recorded) ON_LOOP {
    const struct task_record *record = recorded;
    struct restoring *restoring = arg;
    struct search search = {.key = {record->conn, record->offset, record->index}};

    struct conn *conn = clients_find(restoring->clients, record->conn);
    if (conn)
        conn_each_call(conn, match, &search);
    const json_t *params = search.found ? search.found->message.params : NULL;
    const char *tool = json_string_value(json_object_get(params, "name"));
    struct task *task = task_new(restoring->tasks, search.found, tool ? tool : "");
    (void)snprintf(task->id, sizeof(task->id), "%.*s", (int)record->id.len, record->id.data);
    task->key = search.key;
    task->conn = conn;
    task->state = TASK_WORKING;
    if (search.found)
        search.found->has_steps = true;
    else if (!take_outcome(task)) /* neither at work nor over: nothing can be said of it but what the database has */
        task_free(task);
}

void mcp_tasks_restore(struct mcp_tasks *tasks, struct clients *clients) {
    struct restoring restoring = {tasks, clients};

    ledger_each(tasks->origin.ledger, &task_kind, restore_one, &restoring);
    if (!list_empty(&tasks->tasks))
        keep_ticking(tasks);
}

/* ---- questions ---- */

bool mcp_tasks_runs(struct mcp_tasks *tasks, const char *id) {
    return find(tasks, id) != NULL;
}

/* By another server that has the same database; what this one works on is not asked of the database. */
static bool is_at_work(const struct mcp_tasks *tasks, const struct mcp_task_row *row) {
    struct theseus_error err = {0};
    uint64_t started = 0;

    return row->pid != tasks->pid && proc_start_time((long)row->pid, &started, &err) == 0 &&
           (int64_t)started == row->pid_started;
}

/* The process that worked on it is gone, and nobody else has its call. */
static json_t *lost_new(const struct mcp_task_row *row) {
    CLEANUP(free)
    char *text = xasprintf("the server ended while tool '%s' ran; it may have executed in part (it had reached: %s)",
                           row->tool, row->message ? row->message : "no step that it told of");
    json_t *task = task_json_new(row->id, "failed", text, row->created_ms, row->updated_ms);

    (void)json_object_set_new(task, "error", json_pack("{s:i, s:s}", "code", -32603, "message", text));
    return task;
}

static void take_row(void *arg, const struct mcp_task_row *row) {
    struct question *question = arg;

    if (strcmp(row->status, "working") == 0 && !is_at_work(question->tasks, row)) {
        question->found = lost_new(row);
        return;
    }
    question->found = task_json_new(row->id, row->status, row->message, row->created_ms, row->updated_ms);
    add_outcome(question->found, row->answer);
}

static void run_question(void *job) {
    struct question *question = container_of((struct lane_job *)job, struct question, job);

    question->r = mcp_task_find(question->tasks->origin.store, question->id, take_row, question, &question->err);
}

static void on_answered(struct lane_job *job, bool timed_out) {
    struct question *question = container_of(job, struct question, job);

    loop_enter();
    (void)timed_out;
    if (question->r < 0)
        call_fail(question->call, &question->err, NULL);
    else if (question->r == MCP_TASK_NONE)
        refuse_unknown(question->call, question->id);
    else
        call_answer(question->call, question->detailed ? json_incref(question->found) : json_object());
    question_free(question);
}

static void ask(struct mcp_tasks *tasks, struct call *call, const char *id, bool detailed) ON_LOOP {
    struct question *question = xcalloc(1, sizeof(*question));

    *question = (struct question){.tasks = tasks, .call = call_ref(call), .id = xstrdup(id), .detailed = detailed};
    question->job = (struct lane_job){.run = run_question, .done = on_answered};
    list_append(&tasks->questions, &question->link);
    lane_submit(tasks->lane, &question->job);
}

void mcp_tasks_get(struct mcp_tasks *tasks, struct call *call, const char *id) {
    struct task *task = find(tasks, id);

    if (!task) {
        ask(tasks, call, id, true);
        return;
    }
    if (!task->busy && task->call)
        look_at_step(task);
    call_answer(call, live_new(task));
}

void mcp_tasks_cancel(struct mcp_tasks *tasks, struct call *call, const char *id) {
    struct task *task = find(tasks, id);

    if (!task) {
        ask(tasks, call, id, false);
        return;
    }
    if (task->call)
        call_cancel(task->call);
    call_answer(call, json_object());
}

/* Nothing is ever asked of the client while a task runs, so every answer to a question is one that is ignored. */
void mcp_tasks_update(struct mcp_tasks *tasks, struct call *call, const char *id) {
    if (find(tasks, id))
        call_answer(call, json_object());
    else
        ask(tasks, call, id, false);
}
