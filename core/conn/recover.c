/*
 * A connection of which records are lost. Something has written to the ledger's memory that had no business there, and
 * what it hit was neither sealed nor whole in the echo. The connection goes on all the same, with what can be told from
 * the rest; where that is not certain the client gets the end of a line first, and what was to be written as a whole.
 */
#include "base/log.h"
#include "call/keep.h"
#include "conn/inner.h"

/* ---- the connection's own record ---- */

void recover_conn(struct conn *conn, int *ret_in, int *ret_out) {
    stream_find(ret_in, ret_out);
    log_error("connection %d: its record is lost; it goes on with descriptors %d and %d, as a client that has been "
              "initialized with revision %s",
              (int)conn->number, *ret_in, *ret_out, revision_newest_legacy()->name);
    conn->transport = xstrdup("stdio");
    session_begin(&conn->session, revision_newest_legacy(), NULL, NULL);
    conn->session.initialized = true;
}

/* ---- how far the streams have got ---- */

struct recovery {
    struct conn *conn;
    uint64_t cut, written;
    struct batch batch; /* drops what is over */
    bool any;
};

static void note_request(void *arg, const void *recorded) {
    const struct request_record *request = recorded;
    struct recovery *recovery = arg;

    if (request->conn == recovery->conn->number && request->offset > recovery->cut)
        recovery->cut = request->offset;
}

static void note_input(void *arg, const void *recorded) {
    const struct input_record *input = recorded;
    struct recovery *recovery = arg;

    if (input->conn == recovery->conn->number && !recovery->any)
        recovery->cut = input->offset;
    recovery->any = true;
}

/* Not before any request that is known; without a position, where the input that is known begins. */
uint64_t recover_cut(struct conn *conn, uint64_t cut, bool known) {
    struct recovery recovery = {.conn = conn, .cut = cut};

    if (!known)
        ledger_each(conn->host->ledger, &input_kind, note_input, &recovery);
    ledger_each(conn->host->ledger, &request_kind, note_request, &recovery);
    return recovery.cut;
}

static void drop_input(void *arg, const void *recorded) {
    const struct input_record *input = recorded;
    struct recovery *recovery = arg;

    if (input->conn == recovery->conn->number && input->offset + input->bytes.len <= recovery->cut)
        batch_drop(&recovery->batch, &input_kind, input);
}

static void drop_output(void *arg, const void *recorded) {
    const struct output_record *output = recorded;
    struct recovery *recovery = arg;

    if (output->conn == recovery->conn->number && !output->answers &&
        output->offset + output->bytes.len <= recovery->written)
        batch_drop(&recovery->batch, &output_kind, output);
}

/* What has left, though its record says nothing of the kind. */
static void settle_doubt(void *arg, const struct ledger_doubt *doubt) {
    struct recovery *recovery = arg;
    struct conn *conn = recovery->conn;
    uint64_t written = recovery->written;

    if (doubt->conn != conn->number)
        return;
    conn->doubtful = true;
    if (doubt->out_len > 0 && doubt->out_offset + doubt->out_len <= written) {
        log_info("connection %d: the answer to the request at %llu is lost, and has left already", (int)conn->number,
                 (unsigned long long)doubt->offset);
        keep_drop_key(&(struct call_key){doubt->conn, doubt->offset, doubt->index}, &recovery->batch);
        return;
    }
    log_warning("connection %d: the answer to the request at %llu is lost, and had not left: the request is treated as "
                "one that was interrupted",
                (int)conn->number, (unsigned long long)doubt->offset);
    if (doubt->out_offset < written)
        recovery->any = true;
}

bool recover_settled(struct conn *conn, uint64_t written) {
    struct recovery recovery = {.conn = conn, .cut = frame_offset(conn->frame), .written = written};
    struct theseus_error err = {0};

    ledger_each(conn->host->ledger, &input_kind, drop_input, &recovery);
    ledger_each(conn->host->ledger, &output_kind, drop_output, &recovery);
    ledger_each_doubt(conn->host->ledger, settle_doubt, &recovery);
    if (ledger_commit(conn->host->ledger, &recovery.batch, &err) < 0)
        log_error("connection %d: what is over could not be dropped: %s", (int)conn->number, err.message);
    batch_fini(&recovery.batch);
    return !recovery.any;
}
