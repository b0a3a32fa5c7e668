/*
 * A connection whose client has gone while the server goes on. Nobody waits for its calls any more, so they are
 * cancelled; those that were answered with a task go on, because another connection may ask for them: as long as there
 * is one, the connection is there without descriptors.
 */
#include "base/log.h"
#include "conn/inner.h"

static void cancel(void *arg, struct call *call) {
    (void)arg;
    if (!atomic_load(&call->detached))
        call_cancel(call);
}

/* Output of which a part has left, or none: nobody will read it. */
static int drop_output(struct conn *conn, struct theseus_error *err) ON_LOOP {
    CLEANUP(batch_fini) struct batch batch = {.reserve = true};
    struct list gone;

    list_init(&gone);
    ledger_enter(conn->host->ledger);
    list_splice(&gone, &conn->outbox.kept);
    list_splice(&gone, &conn->outbox.chunks);
    conn->outbox.written = conn->outbox.end;
    conn->outbox.count = conn->outbox.kept_count = conn->outbox.kept_bytes = 0;
    ledger_leave(conn->host->ledger);
    list_for_each (link, &gone) {
        struct chunk *chunk = list_entry(link, struct chunk, link);
        struct output_record record = {.conn = conn->number, .offset = chunk->offset};
        batch_drop(&batch, &output_kind, &record);
        (void)chunk_free(chunk);
    }
    input_drop_pieces(conn, &batch);
    return ledger_commit(conn->host->ledger, &batch, err);
}

void conn_lose(struct conn *conn) {
    struct theseus_error err = {0};

    conn->lost = conn->stopped = true;
    atomic_store(&conn->resumable, false);
    conn->away_ms = 0;
    conn->told = conn->waits = false;
    conn_each_call(conn, cancel, NULL);
    queue_take_off(conn);
    conn_close_streams(conn);
    if (drop_output(conn, &err) < 0 || conn_put_record(conn, &err) < 0)
        log_error("connection %d: that it is gone is not recorded: %s", (int)conn->number, err.message);
    output_wake(conn);
}

bool conn_is_lost(const struct conn *conn) {
    return conn->lost;
}

struct conn *conn_end(struct conn *conn) {
    conn_forget(conn);
    conn_let_go(conn);
    output_unpark_all(conn);
    return conn_free(conn);
}
