/*
 * Connections from their records: as the image before has left them, or, where that ended inside the gate, as much of
 * that as is certain. Records come kind by kind, those of all connections together: each is looked at once, however
 * many connections there are.
 */
#include <stdlib.h>

#include "base/log.h"
#include "conn/inner.h"

/* One that is being made, and what its records say beside the session. */
struct origin {
    struct conn_restored *item;
    struct conn *conn; /* owned; NULL: it cannot be gone on with */
    int in, out;
    uint64_t blocks;
    struct position_record position;
    bool positioned, uncertain;
};

struct restoring {
    const struct conn_host *host;
    struct origin *origins; /* owned, in the order of the numbers */
    size_t count;
    struct origin *last; /* that was looked up: the next record is mostly its, too */
};

static int by_number(const void *number, const void *origin) {
    const uint64_t a = *(const uint64_t *)number, b = ((const struct origin *)origin)->item->number;

    return (a > b) - (a < b);
}

/* NULL: it is none of those, or no more. */
static struct origin *origin_of(struct restoring *restoring, uint64_t number) {
    if (!restoring->last || restoring->last->item->number != number)
        restoring->last = bsearch(&number, restoring->origins, restoring->count, sizeof(struct origin), by_number);
    return restoring->last && restoring->last->conn ? restoring->last : NULL;
}

static void give_up(struct origin *origin) ON_LOOP {
    origin->conn = conn_free(origin->conn);
}

/* ---- the connections themselves ---- */

static void restore_session(void *arg, const void *recorded) {
    const struct conn_record *record = recorded;
    struct origin *origin = origin_of(arg, record->conn);

    if (!origin)
        return;
    struct conn *conn = origin->conn;
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
    conn->waits = !record->lost && record->fd_in > INT32_MAX;
    conn->away_ms = (int64_t)record->away_ms;
    conn->doubtful = record->doubtful;
    conn->resumptions = record->resumptions;
    conn->refused = record->refused;
    conn->restored = true;
    atomic_store(&conn->resumable, record->secret.len > 0);
}

static void note_position(void *arg, const void *recorded) {
    const struct position_record *position = recorded;
    struct origin *origin = origin_of(arg, position->conn);

    if (!origin)
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
    conn->outbox.acknowledged = origin->position.acknowledged;
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
    struct origin *origin = origin_of(arg, output->conn);

    if (!origin)
        return;
    bool has_left = output->offset + output->bytes.len <= origin->conn->outbox.written;
    if (has_left && !output->answers)
        return;
    struct conn *conn = origin->conn;
    struct chunk *chunk = buf_append(&line, output->bytes, NULL) == 0 ? chunk_new(&line) : NULL;
    if (!chunk) {
        log_error("no memory for a recorded answer");
        return;
    }
    chunk->answers = output->answers;
    chunk->offset = output->offset;
    if (has_left) {
        outbox_keep(&conn->outbox, chunk);
        return;
    }
    origin->uncertain |= !follows(conn, output);
    if (list_empty(&conn->outbox.chunks) && output->offset > conn->outbox.written)
        conn->outbox.written = output->offset;
    conn->outbox.end = output->offset;
    outbox_add(&conn->outbox, chunk);
}

/* ---- their descriptors ---- */

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

static int restore_streams(struct conn *conn, const struct origin *origin, int in, int out,
                           struct theseus_error *err) ON_LOOP {
    bool streams = !conn->lost && !conn->waits;
    int r = !streams ? 0 : in < 0 ? adopt_streams(conn, origin, err) : conn_open_streams(conn, in, out, err);

    if (r == 0 && streams)
        r = conn_prepare(conn, err);
    if (r == 0)
        r = conn_put_record(conn, err);
    if (r < 0 && in < 0) /* whoever comes next needs them */
        conn->in.fd = conn->out.fd = -1;
    return r;
}

/* ---- all of them ---- */

static void begin(struct restoring *restoring, struct conn_restored *items) ON_LOOP {
    restoring->origins = xcalloc(restoring->count + 1, sizeof(struct origin));
    for (size_t i = 0; i < restoring->count; i++) {
        struct conn *conn = conn_new(restoring->host, items[i].number);
        conn->frame = frame_new(conn_config(conn)->limits.max_line, 0, false);
        restoring->origins[i] = (struct origin){.item = &items[i], .conn = conn};
    }
    ledger_each(restoring->host->ledger, &conn_kind, restore_session, restoring);
}

static void meet(struct origin *origin) ON_LOOP {
    struct conn *conn = origin->conn;

    if (!conn->transport && ledger_damaged(conn->host->ledger) > 0 && origin->item->in < 0)
        recover_conn(conn, &origin->in, &origin->out);
    if (conn->transport)
        return;
    (void)fail(&origin->item->err, ERR_MISSING, "connection %d has no record", (int)conn->number);
    give_up(origin);
}

/* With what is there and what is not. */
static void settle_damage(struct origin *origin) ON_LOOP {
    origin->uncertain |= !origin->positioned;
    origin->uncertain |= !recover_settled(origin->conn, origin->position.written);
}

static void open_streams(struct origin *origin) ON_LOOP {
    struct conn_restored *item = origin->item;

    if (restore_streams(origin->conn, origin, item->in, item->out, &item->err) < 0)
        give_up(origin);
}

static void restore_piece(void *arg, const void *record) {
    const struct input_record *input = record;
    struct origin *origin = origin_of(arg, input->conn);

    loop_enter();
    if (!origin || input_restore(origin->conn, input, &origin->item->err) == 0)
        return;
    if (origin->item->in < 0) /* whoever comes next needs them */
        origin->conn->in.fd = origin->conn->out.fd = -1;
    give_up(origin);
}

static void begin_output(struct origin *origin) ON_LOOP {
    if (origin->uncertain)
        conn_unknown_position(origin->conn);
}

static void restore_request(void *arg, const void *record) {
    const struct origin *origin = origin_of(arg, ((const struct request_record *)record)->conn);

    loop_enter();
    if (origin)
        queue_restore(origin->conn, record);
}

static void restore_listen(void *arg, const void *record) {
    const struct origin *origin = origin_of(arg, ((const struct listen_record *)record)->conn);

    loop_enter();
    if (origin)
        listen_restore(origin->conn, record);
}

#define each(origin, restoring)                                                                                      \
    for (struct origin *origin = (restoring)->origins; origin < (restoring)->origins + (restoring)->count; origin++) \
        if (origin->conn)

void conn_restore_all(const struct conn_host *host, struct conn_restored *items, size_t count) {
    struct restoring restoring = {.host = host, .count = count};
    struct ledger *ledger = host->ledger;

    begin(&restoring, items);
    each(origin, &restoring) meet(origin);
    ledger_each(ledger, &position_kind, note_position, &restoring);
    each(origin, &restoring) restore_position(origin);
    ledger_each(ledger, &output_kind, restore_output, &restoring);
    if (ledger_damaged(ledger) > 0)
        each(origin, &restoring) settle_damage(origin);
    each(origin, &restoring) open_streams(origin);
    ledger_each(ledger, &input_kind, restore_piece, &restoring);
    each(origin, &restoring) begin_output(origin);
    ledger_each(ledger, &request_kind, restore_request, &restoring);
    ledger_each(ledger, &listen_kind, restore_listen, &restoring);
    each(origin, &restoring) origin->item->conn = TAKE_PTR(origin->conn);
    free(restoring.origins);
}

int conn_restore(struct conn **ret_conn, const struct conn_host *host, uint64_t number, int in, int out,
                 struct theseus_error *err) {
    struct conn_restored item = {.number = number, .in = in, .out = out};

    conn_restore_all(host, &item, 1);
    if (!item.conn) {
        *err = item.err;
        return -1;
    }
    *ret_conn = item.conn;
    return 0;
}

/* ---- when the position is not certain ---- */

static void add_again(struct conn *conn, struct chunk *chunk, struct batch *batch) {
    outbox_add(&conn->outbox, chunk);
    struct output_record record = kept_output(conn, chunk);
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
    conn->outbox.end = conn->outbox.written;
    conn->outbox.count = 0;
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

    if (conn->waits)
        return; /* whoever comes for it says what has come */
    conn->doubtful = true;
    conn_session_changed(conn);
    log_warning(
        "connection %d: how much the image before has read and written is not certain; a line may have been lost, or "
        "may come twice",
        (int)conn->number);
    if (begin_output_anew(conn, &err) < 0)
        log_error("connection %d: where its output begins anew is not recorded: %s", (int)conn->number, err.message);
}
