/*
 * Calls that were answered with a task and go on: no client waits for them by their id any more, and what they end with
 * is recorded instead of said. They come back like other calls, and are begun as soon as the connection is, whatever
 * else is worked on: each of them was once within the limits.
 */
#include "base/log.h"
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

void detached_begin(struct conn *conn) {
    list_for_each (link, &conn->detached) {
        struct call *call = list_entry(link, struct call, link);
        call->text = (struct span){0};
        if (!call_is_over(call))
            conn->host->ops->request(conn->host->arg, conn, call);
    }
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
