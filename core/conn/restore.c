/*
 * A connection from its records: as the image before has left it, or, where that ended inside the gate, as much of that
 * as is certain.
 */
#include <stdlib.h>

#include "base/log.h"
#include "conn/inner.h"

/* What the connection's record says beside the session. */
struct origin {
    struct conn *conn;
    int in, out;
    uint64_t blocks;
    struct position_record position;
    bool positioned, uncertain;
};

static void restore_session(void *arg, const void *recorded) {
    const struct conn_record *record = recorded;
    struct origin *origin = arg;
    struct conn *conn = origin->conn;

    if (record->conn != conn->number)
        return;
    session_unpack(&conn->session, record);
    free(conn->transport);
    conn->transport = xstrndup(record->transport.data, record->transport.len);
    origin->in = (int)record->fd_in;
    origin->out = (int)record->fd_out;
    origin->blocks = record->blocks;
    conn->has_uid = record->uid > 0;
    conn->uid = (uid_t)(record->uid - 1);
    conn->since_ms = (int64_t)record->since_ms;
    conn->lost = conn->stopped = record->lost;
}

static void note_position(void *arg, const void *recorded) {
    const struct position_record *position = recorded;
    struct origin *origin = arg;

    if (position->conn != origin->conn->number)
        return;
    origin->position = *position;
    origin->positioned = true;
}

static void restore_position(struct origin *origin) ON_LOOP {
    struct conn *conn = origin->conn;
    uint64_t cut = origin->position.cut;
    bool skipping = origin->position.skipping;

    if (ledger_damaged(conn->host->ledger) > 0)
        cut = recover_cut(conn, cut, origin->positioned);
    conn->frame = frame_free(conn->frame);
    conn->frame = frame_new(conn_config(conn)->limits.max_line, cut, skipping && cut == origin->position.cut);
    conn->read = cut;
    outbox_init(&conn->outbox, origin->position.written);
}

/* Is that what follows what there is? The first one may have been written in part. */
static bool follows(const struct conn *conn, const struct output_record *output) {
    if (list_empty(&conn->outbox.chunks))
        return output->offset <= conn->outbox.written;
    return output->offset == conn->outbox.end;
}

static void restore_output(void *arg, const void *recorded) {
    const struct output_record *output = recorded;
    CLEANUP(buf_fini) struct buf line = {0};
    struct origin *origin = arg;
    struct conn *conn = origin->conn;

    if (output->conn != conn->number || output->offset + output->bytes.len <= conn->outbox.written)
        return;
    struct chunk *chunk = buf_append(&line, output->bytes, NULL) == 0 ? chunk_new(&line) : NULL;
    if (!chunk) {
        log_error("no memory for a recorded answer");
        return;
    }
    origin->uncertain |= !follows(conn, output);
    if (list_empty(&conn->outbox.chunks) && output->offset > conn->outbox.written)
        conn->outbox.written = output->offset;
    conn->outbox.end = output->offset;
    outbox_add(&conn->outbox, chunk);
}

/* With what is there and what is not. */
static void restore_streams(struct origin *origin) ON_LOOP {
    struct conn *conn = origin->conn;

    ledger_each(conn->host->ledger, &position_kind, note_position, origin);
    restore_position(origin);
    ledger_each(conn->host->ledger, &output_kind, restore_output, origin);
    if (ledger_damaged(conn->host->ledger) == 0)
        return;
    origin->uncertain |= !origin->positioned;
    origin->uncertain |= !recover_settled(conn, origin->position.written);
}

static int adopt_streams(struct conn *conn, const struct origin *origin, struct theseus_error *err) {
    if (stream_adopt(&conn->in, origin->in, STREAM_READ, origin->blocks & 1, err) < 0)
        return error_prefix(err, "the client's input: ");
    if (origin->out == origin->in) {
        conn->out = conn->in;
        return 0;
    }
    if (stream_adopt(&conn->out, origin->out, STREAM_WRITE, origin->blocks & 2, err) < 0)
        return error_prefix(err, "the client's output: ");
    return 0;
}

static int restore(struct conn *conn, const struct origin *origin, int in, int out, struct theseus_error *err) ON_LOOP {
    int r = conn->lost ? 0 : in < 0 ? adopt_streams(conn, origin, err) : conn_open_streams(conn, in, out, err);

    if (r == 0 && !conn->lost)
        r = conn_prepare(conn, err);
    if (r == 0)
        r = conn_put_record(conn, err);
    return r == 0 ? input_restore(conn, err) : -1;
}

int conn_restore(struct conn **ret_conn, const struct conn_host *host, uint64_t number, int in, int out,
                 struct theseus_error *err) {
    CLEANUP(conn_free) struct conn *conn = conn_new(host, number);
    struct origin origin = {.conn = conn};

    conn->frame = frame_new((*host->config)->limits.max_line, 0, false);
    ledger_each(host->ledger, &conn_kind, restore_session, &origin);
    if (!conn->transport && ledger_damaged(host->ledger) > 0 && in < 0)
        recover_conn(conn, &origin.in, &origin.out);
    if (!conn->transport)
        return fail(err, ERR_MISSING, "connection %d has no record", (int)number);
    restore_streams(&origin);
    if (restore(conn, &origin, in, out, err) < 0) {
        if (in < 0) /* whoever comes next needs them */
            conn->in.fd = conn->out.fd = -1;
        return -1;
    }
    if (origin.uncertain)
        conn_unknown_position(conn);
    queue_restore(conn);
    listen_restore(conn);
    *ret_conn = TAKE_PTR(conn);
    return 0;
}

/* ---- when the position is not certain ---- */

static void add_again(struct conn *conn, struct chunk *chunk, struct batch *batch) {
    outbox_add(&conn->outbox, chunk);
    struct output_record record = {conn->number, chunk->offset, {chunk->data, chunk->len}};
    batch_put(batch, &output_kind, &record);
}

/* All that waits to be written gets another place in the stream, behind the end of a line. No other thread knows the
 * connection yet. */
static int begin_output_anew(struct conn *conn, struct theseus_error *err) {
    CLEANUP(batch_fini) struct batch batch = {.reserve = true};
    CLEANUP(buf_fini) struct buf end = {0};
    struct list again;

    struct chunk *newline = buf_append(&end, span_of("\n"), err) == 0 ? chunk_new(&end) : NULL;
    if (!newline)
        return fail(err, ERR_MEMORY, "no memory for the end of a line");
    list_init(&again);
    list_splice(&again, &conn->outbox.chunks);
    outbox_init(&conn->outbox, conn->outbox.written);
    list_for_each (link, &again) {
        struct output_record gone = {.conn = conn->number, .offset = list_entry(link, struct chunk, link)->offset};
        batch_drop(&batch, &output_kind, &gone);
    }
    add_again(conn, newline, &batch);
    list_for_each (link, &again) {
        list_remove(link);
        add_again(conn, list_entry(link, struct chunk, link), &batch);
    }
    return ledger_commit(conn->host->ledger, &batch, err);
}

void conn_unknown_position(struct conn *conn) {
    struct theseus_error err = {0};

    log_warning(
        "connection %d: how much the image before has read and written is not certain; a line may have been lost, or "
        "may come twice",
        (int)conn->number);
    if (begin_output_anew(conn, &err) < 0)
        log_error("connection %d: where its output begins anew is not recorded: %s", (int)conn->number, err.message);
}
