/*
 * A call becomes a task: at once, or when it has run for long enough. What another process would need is in files, and
 * the task in the database, before the client is answered with it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "rpc/shape.h"
#include "server/mcp_task_words.h"
#include "server/mcp_tasks_inner.h"

/* A call that may become a task. */
struct offered {
    struct list link;
    struct conn *conn;
    struct call *call; /* a reference */
    int64_t due_ms;    /* loop's clock */
};

static void offered_free(struct offered *offered) {
    list_remove(&offered->link);
    (void)call_unref(offered->call);
    free(offered);
}

void offered_free_all(struct mcp_tasks *tasks) {
    list_for_each (link, &tasks->offers)
        offered_free(list_entry(link, struct offered, link));
}

/* 128 bits that nobody guesses: the id is all that gives access. */
static int make_id(char id[static TASK_ID_BYTES], struct theseus_error *err) {
    unsigned char random[(TASK_ID_BYTES - 1) / 2];

    if (getentropy(random, sizeof(random)) < 0)
        return fail_errno(err, "no random id for a task");
    for (size_t i = 0; i < sizeof(random); i++)
        (void)snprintf(id + 2 * i, 3, "%02x", random[i]);
    return 0;
}

/* ---- on the lane ---- */

struct request {
    struct task *task;
    int r;
    struct theseus_error *err;
};

static void write_request(void *arg, const void *recorded) {
    const struct request_record *recorded_request = recorded;
    struct request *request = arg;
    struct task *task = request->task;
    const struct task_asked asked = {task->call->key_text, task->client, recorded_request->text};

    request->r = task_file_create(task->file, &asked, request->err);
}

/* Without the files the task is one all the same: it is only that no other process could go on with it. */
static void make_files(struct task *task) {
    struct call_key *key = &task->key;
    struct request_record recorded = {.conn = key->conn, .offset = key->offset, .index = key->index};
    struct theseus_error err = {0};
    struct request request = {task, 0, &err};

    task->file = task_file_new(task->tasks->dir, task->id, task->tasks->origin.may_be_stored, task->tasks->origin.arg);
    if (ledger_find(task->tasks->origin.ledger, &request_kind, &recorded, write_request, &request) && request.r == 0) {
        atomic_store(&task->call->journal, task_file_journal(task->file));
        return;
    }
    if (request.r < 0)
        log_warning("task %s could not be gone on with by another process: %s", task->id, err.message);
    task->file = task_file_unref(task->file);
}

static void catch_up(void *arg, const void *recorded) {
    const struct checkpoint_record *checkpoint = recorded;
    struct theseus_error err = {0};
    struct task *task = arg;

    if (task_file_catch_up(task->file, checkpoint->state, checkpoint->inner, &err) < 0)
        task_file_remove(task->file);
}

/* Its handler may be behind a checkpoint already; what it makes from here on goes to the journal. */
static void run_make(void *job) {
    struct task *task = task_of(job);
    const struct call_key *key = &task->key;
    struct checkpoint_record checkpoint = {.conn = key->conn, .offset = key->offset, .index = key->index};

    make_files(task);
    if (task->file)
        (void)ledger_find(task->tasks->origin.ledger, &checkpoint_kind, &checkpoint, catch_up, task);
    task_run_put(job);
}

/* ---- on the loop ---- */

static void on_dropped(struct lane_job *job, bool timed_out) {
    (void)timed_out;
    loop_enter();
    task_free(task_of(job));
}

void task_drop(struct task *task) {
    task_submit(task, task_run_drop, on_dropped);
}

static int detach(struct task *task, struct theseus_error *err) ON_LOOP {
    struct call *call = task->call;
    struct task_record record = {.conn = call->key.conn,
                                 .offset = call->key.offset,
                                 .index = call->key.index,
                                 .id = span_of(task->id),
                                 .created_ms = (uint64_t)task->created_ms,
                                 .kept = task->file != NULL};
    CLEANUP(batch_fini) struct batch batch = {0};
    CLEANUP(buf_fini) struct buf line = {0};
    json_t *created = mcp_task_new(task->id, task->status, task->message, task->created_ms, task->updated_ms);

    (void)json_object_set_new(created, "resultType", json_string("task"));
    json_auto_t *shaped = shape_result(call->revision, created, call->server_info, false);
    if (message_write_result(call->id, shaped, &line, err) < 0)
        return -1;
    batch_put(&batch, &task_kind, &record);
    if (!conn_detach(task->conn, call, &batch, &line))
        return fail(err, ERR_MISSING, "the call is over");
    return 0;
}

static void on_made(struct lane_job *job, bool timed_out) {
    struct task *task = task_of(job);
    struct theseus_error err = {0};

    loop_enter();
    (void)timed_out; /* there is no limit */
    task->busy = false;
    json_decref(TAKE_PTR(task->client));
    if (task->r < 0) {
        log_warning("a call of tool '%s' does not become a task: %s", task->tool, task->err.message);
        if (task->file)
            task_file_remove(task->file);
        task_free(task);
    } else if (call_is_over(task->call) || detach(task, &err) < 0) {
        task_drop(task); /* it has been answered as it is */
    } else {
        task->state = TASK_WORKING;
        mcp_tasks_keep_ticking(task->tasks);
    }
}

/* So that its handler sees the same one in another process. */
static json_t *client_new(const struct call *call) {
    const struct theseus_client_info *client = &call->client;

    return json_pack("{s:s*, s:s*, s:s*, s:s*, s:s*, s:I}", "name", client->name, "version", client->version,
                     "transport", client->transport, "session", client->session, "directory", client->directory, "uid",
                     (json_int_t)client->uid);
}

static void become_task(struct mcp_tasks *tasks, struct conn *conn, struct call *call) ON_LOOP {
    const char *tool = json_string_value(json_object_get(call->message.params, "name"));
    struct task *task = task_new(tasks, call, tool ? tool : "");
    struct theseus_error err = {0};

    task->conn = conn;
    task->key = call->key;
    task->client = client_new(call);
    if (make_id(task->id, &err) < 0) {
        log_warning("%s", err.message);
        task_free(task);
        return;
    }
    task_submit(task, run_make, on_made);
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
    mcp_tasks_keep_ticking(tasks);
}

void mcp_tasks_look_at_offers(struct mcp_tasks *tasks) {
    list_for_each (link, &tasks->offers) {
        struct offered *offered = list_entry(link, struct offered, link);
        bool is_due = loop_now_ms(tasks->origin.loop) >= offered->due_ms;
        if (is_due && !call_is_over(offered->call))
            become_task(tasks, offered->conn, offered->call);
        if (is_due || call_is_over(offered->call))
            offered_free(offered);
    }
}
