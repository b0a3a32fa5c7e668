/*
 * Calls that were answered with a task and go on: no client waits for them by their id any more, and what they end with
 * is recorded instead of said. They come back like other calls, and are begun as soon as the connection is, whatever
 * else is worked on: each of them was once within the limits.
 */
#include "base/clock.h"
#include "call/keep.h"
#include "conn/inner.h"

static void found(void *arg, const void *record) {
    (void)record;
    *(bool *)arg = true;
}

bool detached_is_recorded(struct conn *conn, const struct call *call) {
    struct task_record key = {.conn = call->key.conn, .offset = call->key.offset, .index = call->key.index};
    bool is_recorded = false;

    (void)ledger_find(conn->host->ledger, &task_kind, &key, found, &is_recorded);
    return is_recorded;
}

void detached_add(struct conn *conn, struct call *call) {
    atomic_store(&call->detached, true);
    list_append(&conn->detached, &call->link);
}

void conn_begin(struct conn *conn, struct call *call) {
    call->text = (struct span){0};
    if (!call_is_over(call))
        conn->host->ops->request(conn->host->arg, conn, call);
}

void detached_begin(struct conn *conn) {
    list_for_each (link, &conn->detached)
        conn_begin(conn, list_entry(link, struct call, link));
}

void conn_let_go_detached(struct conn *conn) {
    ledger_enter(conn->host->ledger); /* nobody else is ending one at this moment */
    list_for_each (link, &conn->detached) {
        struct call *call = list_entry(link, struct call, link);
        atomic_store(&call->state, CALL_OVER);
        atomic_store(&call->cancelled, true);
    }
    ledger_leave(conn->host->ledger);
}

/* ---- of other processes ---- */

/* No request of a stream lies at its beginning, so these are never in the way of one. */
static void find_key(struct conn *conn, struct task_record *task) {
    bool is_taken = true;

    task->conn = conn->number;
    task->offset = 0;
    for (task->index = 0; is_taken; task->index += is_taken) {
        is_taken = false;
        (void)ledger_find(conn->host->ledger, &task_kind, task, found, &is_taken);
    }
}

static void put_adopted(const struct conn_adopted *adopted, const struct task_record *task, struct batch *batch) {
    struct request_record request = {task->conn, task->offset, task->index, adopted->request, (uint64_t)clock_now_ns()};
    struct run_record run = {.conn = task->conn, .offset = task->offset, .index = task->index, .attempts = 1};
    struct checkpoint_record checkpoint = {task->conn, task->offset, task->index, adopted->checkpoint, adopted->inner};

    batch_put(batch, &task_kind, task);
    batch_put(batch, &request_kind, &request);
    batch_put(batch, &run_kind, &run);
    if (adopted->checkpoint.len)
        batch_put(batch, &checkpoint_kind, &checkpoint);
}

static void restore_request(void *arg, const void *record) {
    loop_enter();
    queue_restore(arg, record);
}

struct call *conn_adopt(struct conn *conn, const struct conn_adopted *adopted, struct theseus_error *err) {
    CLEANUP(batch_fini) struct batch batch = {0};
    struct task_record task = adopted->task;

    find_key(conn, &task);
    put_adopted(adopted, &task, &batch);
    if (ledger_commit(conn->host->ledger, &batch, err) < 0)
        return NULL;
    struct request_record request = {.conn = task.conn, .offset = task.offset, .index = task.index};
    struct list *before = conn->detached.prev;
    (void)ledger_find(conn->host->ledger, &request_kind, &request, restore_request, conn);
    if (conn->detached.prev != before)
        return list_entry(conn->detached.prev, struct call, link);
    keep_drop_key(&(struct call_key){task.conn, task.offset, task.index}, &batch);
    batch_drop(&batch, &task_kind, &task);
    if (ledger_commit(conn->host->ledger, &batch, err) == 0)
        (void)fail(err, ERR_INVALID, "its request cannot be read");
    return NULL;
}

int detached_end_locked(const struct call *call, const struct chunk *chunk, struct batch *batch,
                        struct theseus_error *err) {
    struct outcome_record record = {.conn = call->key.conn, .offset = call->key.offset, .index = call->key.index};

    if (chunk)
        record.line = (struct span){chunk->data, chunk->len};
    batch->reserve = true; /* as for an answer */
    if (!batch->failed)
        batch_put(batch, &outcome_kind, &record);
    return ledger_commit_locked(call->ledger, batch, err);
}
