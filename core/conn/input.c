#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "conn/inner.h"
#include "loop/timer.h"
#include "rpc/jsontext.h"

enum { STARVED_MS = 200 };

void input_want(struct conn *conn) {
    size_t max = conn_config(conn)->limits.max_buffered;
    bool is_there = !conn->stopped && !conn->ended && !conn->broken && !conn->waits;
    bool reads = is_there && (conn->started || conn->hears) && !conn->starved && conn->held_bytes < max &&
                 !output_is_unread(conn);
    bool may_go = is_there && conn->started && !conn->hangup;

    conn_want(conn, STREAM_READ, reads ? POLL_READ : may_go ? POLL_HANGUP : 0);
}

/* ---- pieces: the record of what was read and is not yet cut ---- */

static void make_room(struct conn *conn) {
    if (conn->piece_count < conn->piece_capacity)
        return;
    conn->piece_capacity = conn->piece_capacity ? 2 * conn->piece_capacity : 4;
    conn->pieces = xreallocarray(conn->pieces, conn->piece_capacity, sizeof(struct piece));
}

static void add_piece(struct conn *conn, uint64_t offset, size_t len) {
    make_room(conn);
    conn->pieces[conn->piece_count++] = (struct piece){offset, len};
}

/* What the next read is recorded as: by itself, or together with a small piece just before it. */
static struct piece next_piece(const struct conn *conn, size_t count) {
    const struct piece *last = conn->piece_count ? &conn->pieces[conn->piece_count - 1] : NULL;

    if (last && last->len + count <= LIMIT_INPUT_PIECE && last->offset >= frame_offset(conn->frame))
        return (struct piece){last->offset, last->len + count};
    return (struct piece){conn->read, count};
}

/* Read and record, under the gate. Returns what read(2) does. */
static ssize_t read_recorded(struct conn *conn, char *room, size_t size, struct theseus_error *err) {
    struct batch *batch = &conn->host->shared->batch;
    int saved = 0;

    make_room(conn);
    ledger_enter(conn->host->ledger);
    ssize_t n = stream_read(&conn->in, room, size);
    if (n > 0) {
        struct piece piece = next_piece(conn, (size_t)n);
        struct input_record record = {conn->number, piece.offset, {room + n - piece.len, piece.len}};
        if (piece.offset < conn->read)
            conn->piece_count--;
        add_piece(conn, piece.offset, piece.len);
        batch_put(batch, &input_kind, &record);
        if (ledger_commit_locked(conn->host->ledger, batch, err) < 0)
            saved = -1;
    } else {
        saved = errno;
    }
    ledger_leave(conn->host->ledger);
    errno = saved > 0 ? saved : 0;
    return n;
}

static void drop_piece(struct conn *conn, const struct piece *piece, struct batch *batch) {
    struct input_record record = {.conn = conn->number, .offset = piece->offset};

    batch_drop(batch, &input_kind, &record);
}

/* After cutting: the pieces are what is left, a short rest as one. */
static void settle_pieces(struct conn *conn, struct batch *batch) {
    struct span rest = frame_rest(conn->frame);
    uint64_t cut = frame_offset(conn->frame);
    size_t kept = 0;

    for (size_t i = 0; i < conn->piece_count; i++) {
        struct piece piece = conn->pieces[i];
        if (rest.len > LIMIT_INPUT_PIECE && piece.offset + piece.len > cut)
            conn->pieces[kept++] = piece;
        else
            drop_piece(conn, &piece, batch);
    }
    conn->piece_count = kept;
    if (rest.len == 0 || rest.len > LIMIT_INPUT_PIECE)
        return;
    struct input_record record = {conn->number, cut, rest};
    batch_put(batch, &input_kind, &record);
    add_piece(conn, cut, rest.len);
}

void input_drop_pieces(struct conn *conn, struct batch *batch) {
    for (size_t i = 0; i < conn->piece_count; i++)
        drop_piece(conn, &conn->pieces[i], batch);
    conn->piece_count = 0;
}

/* ---- lines ---- */

/* What one run over the input has found and not yet given on. */
struct cut {
    struct conn *conn;
    struct batch batch;
    struct list fresh; /* call::link, a reference each: recorded by `batch`, then given on in order */
};

static void give_on(struct cut *cut) ON_LOOP {
    struct conn *conn = cut->conn;
    struct position_record position = kept_position(conn);
    struct theseus_error err = {0};

    settle_pieces(conn, &cut->batch);
    batch_put(&cut->batch, &position_kind, &position);
    int r = ledger_commit(conn->host->ledger, &cut->batch, &err);
    list_for_each (link, &cut->fresh) {
        struct call *call = list_entry(link, struct call, link);
        list_remove(&call->link);
        if (r < 0) {
            queue_refuse(conn, call->id, &err);
            (void)call_unref(call);
        } else {
            queue_accept(conn, call);
        }
    }
}

static void take_request(struct cut *cut, struct message *message, struct span text, uint64_t index) ON_LOOP {
    struct conn *conn = cut->conn;
    struct call *call = conn_call_new(conn);
    struct request_record record = {conn->number, frame_offset(conn->frame), index, text, (uint64_t)call->accepted_ns};

    call_set_message(call, message);
    call_set_key(call, (struct call_key){record.conn, record.offset, index}, conn->host->boot_id);
    call->text = text;
    batch_put(&cut->batch, &request_kind, &record);
    list_append(&cut->fresh, &call->link);
}

static void take_notification(struct cut *cut, const struct message *message) ON_LOOP {
    struct conn *conn = cut->conn;

    if (strcmp(message->method, "notifications/cancelled") == 0)
        conn_cancel(conn, json_object_get(message->params, "requestId"));
    else
        conn->host->ops->notification(conn->host->arg, conn, message);
}

static void take_message(struct cut *cut, struct message *message, struct span text, uint64_t index) ON_LOOP {
    struct conn *conn = cut->conn;

    if (message->kind == MESSAGE_REQUEST)
        take_request(cut, message, text, index);
    else if (message->kind == MESSAGE_NOTIFICATION)
        take_notification(cut, message);
    else
        conn->host->ops->response(conn->host->arg, conn, message);
}

/* An element of an array: it gets a text of its own, so that it is a request like any other in the records. */
static void take_element(struct cut *cut, json_t *element, uint64_t index) ON_LOOP {
    CLEANUP(message_fini) struct message message = {0};
    CLEANUP(buf_fini) struct buf text = {0};
    struct theseus_error err = {0};

    int r = jsontext_write(element, &text, &err);
    if (r == 0)
        r = message_read_json(json_incref(element), &message, &err);
    if (r == 0 && message.kind == MESSAGE_ARRAY)
        r = fail(&err, ERR_REQUEST, "an array inside an array");
    if (r == 0 && message.kind == MESSAGE_REQUEST && strcmp(message.method, "initialize") == 0)
        r = fail(&err, ERR_REQUEST, "initialize must not be part of a batch");
    if (r == 0 && revision_is_claimed(message.params))
        r = fail(&err, ERR_REQUEST, "revision %s has no batches", revision_modern()->name);
    if (r < 0)
        queue_refuse_unread(cut->conn, message.id, &err);
    else
        take_message(cut, &message, buf_span(&text), index);
    give_on(cut); /* while the text is there */
}

static void take_array(struct cut *cut, const json_t *array) ON_LOOP {
    const struct session *session = &cut->conn->session;
    struct theseus_error err = {0};
    size_t size = json_array_size(array);
    json_t *element;
    size_t i;

    if (!session->revision || !session->revision->batches)
        (void)fail(&err, ERR_REQUEST, "a message must be a JSON object, not an array");
    else if (size == 0)
        (void)fail(&err, ERR_REQUEST, "the batch is empty");
    else if (size > LIMIT_BATCH)
        (void)fail(&err, ERR_REQUEST, "the batch has %zu messages, more than %d", size, LIMIT_BATCH);
    if (err.code != ERR_UNSET) {
        queue_refuse(cut->conn, NULL, &err);
        return;
    }
    json_array_foreach (array, i, element)
        take_element(cut, element, i);
}

static void take_line(struct cut *cut, struct span line) ON_LOOP {
    CLEANUP(message_fini) struct message message = {0};
    struct theseus_error err = {0};

    if (line.len == 0)
        return;
    int r = message_read(line, &message, &err);
    if (r < 0 || message.kind != MESSAGE_REQUEST)
        give_on(cut); /* what came before it, first: an initialize decides how this is taken */
    if (r < 0)
        queue_refuse_unread(cut->conn, message.id, &err);
    else if (message.kind == MESSAGE_ARRAY)
        take_array(cut, message.root);
    else
        take_message(cut, &message, line, 0);
}

static void refuse_long_line(struct cut *cut) ON_LOOP {
    struct conn *conn = cut->conn;
    struct theseus_error err = {0};

    give_on(cut);
    (void)fail(&err, ERR_LIMIT, "the message is longer than limits.max_line (%zu bytes)",
               conn_config(conn)->limits.max_line);
    queue_refuse(conn, NULL, &err);
}

void input_cut(struct conn *conn) {
    struct cut cut = {.conn = conn};
    struct span line;
    bool any = false;
    int r;

    list_init(&cut.fresh);
    frame_set_max_line(conn->frame, conn_config(conn)->limits.max_line);
    while ((r = frame_next(conn->frame, &line)) != FRAME_MORE) {
        any = true;
        if (!conn->first_line_ns)
            conn->first_line_ns = clock_now_ns();
        if (r == FRAME_TOO_LONG)
            refuse_long_line(&cut);
        else
            take_line(&cut, line);
    }
    give_on(&cut);
    batch_fini(&cut.batch);
    if (conn->outbox.kept_count > 0 && conn->held_bytes >= conn_config(conn)->limits.max_buffered)
        output_wake(conn); /* nothing is read that would confirm an answer: see kept_relieve() */
    if (any)
        conn->last_line_ns = clock_now_ns(); /* one look at the clock for all that came together */
}

/* ---- reading ---- */

static void on_end(struct conn *conn) ON_LOOP {
    conn->ended = true;
    if (!conn_is_stdio(conn) && stream_is_gone(&conn->out))
        conn->broken = true; /* else it only says no more, and waits for its answers */
    if (frame_rest(conn->frame).len > 0)
        log_info("connection %d: the input ends in the middle of a line", (int)conn->number);
    conn->host->ops->ended(conn->host->arg, conn);
    output_wake(conn);
}

static void on_starved(void *arg) {
    struct conn *conn = arg;

    loop_enter();
    conn->starved = timer_free(conn->starved);
    input_want(conn);
}

/* The line that is too long for the memory there is, so that what follows can be read, be it the end of the input. */
static bool give_line_up(struct conn *conn) ON_LOOP {
    struct cut cut = {.conn = conn};
    struct theseus_error err = {0};
    size_t len = frame_rest(conn->frame).len;

    if (!frame_skip(conn->frame))
        return false;
    conn->starved = timer_free(conn->starved);
    (void)fail(
        &err, ERR_MEMORY,
        "there is no memory to read a message beyond its first %zu bytes; it was not begun, and can be sent again",
        len);
    list_init(&cut.fresh);
    give_on(&cut);
    batch_fini(&cut.batch);
    queue_refuse(conn, NULL, &err);
    input_want(conn);
    return true;
}

/* What the client sends waits in the kernel until there is memory again. */
static void starve(struct conn *conn) ON_LOOP {
    conn->is_starved = true;
    if (!conn->host->ops->starved(conn->host->arg, conn) && give_line_up(conn))
        return;
    conn->starved = timer_new(conn->host->loop, on_starved, conn);
    timer_start(conn->starved, STARVED_MS, 0);
    input_want(conn);
}

/* The other side writes no more, and there are bytes of it that are not read. */
static void on_hangup(struct conn *conn) ON_LOOP {
    if (!conn->is_starved || !give_line_up(conn))
        hangup_noticed(conn);
}

/* The end, or a lack of memory, is a matter for when everything is there again: it is found once more then. */
static void hear_no_more(struct conn *conn) ON_LOOP {
    conn->hears = false;
    input_want(conn);
}

static void read_more(struct conn *conn) ON_LOOP {
    char *room = frame_room(conn->frame, LIMIT_READ_CHUNK);
    struct theseus_error err = {0};

    if (!room && !conn->started) {
        hear_no_more(conn);
        return;
    }
    if (!room) {
        starve(conn);
        return;
    }
    conn->is_starved = false;
    ssize_t n = read_recorded(conn, room, LIMIT_READ_CHUNK, &err);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return;
    if (err.code != ERR_UNSET)
        log_error("input could not be recorded and would be lost in a restart: %s", err.message);
    if (n <= 0 && !conn->started) {
        hear_no_more(conn);
        return;
    }
    if (n <= 0) {
        on_end(conn);
    } else {
        frame_added(conn->frame, (size_t)n);
        conn->read += (uint64_t)n;
        input_cut(conn);
        first_watch(conn);
    }
    input_want(conn);
}

void input_on_readable(struct conn *conn, int events) {
    if (!(events & POLL_READ) && !conn->started) {
        hear_no_more(conn);
        return;
    }
    if (!(events & POLL_READ)) {
        on_hangup(conn);
        return;
    }
    frame_lend(conn->frame, &conn->host->shared->room);
    read_more(conn);
    frame_give_back(conn->frame, &conn->host->shared->room);
}

/* ---- coming back ---- */

/* What was read before this place is not recorded any more: the line that it belongs to is nothing but its end. */
static void lose_piece(struct conn *conn, uint64_t offset) {
    log_error("connection %d: %llu bytes of its input are lost, and the line that they belong to", (int)conn->number,
              (unsigned long long)(offset - conn->read));
    conn->frame = frame_free(conn->frame);
    conn->frame = frame_new(conn_config(conn)->limits.max_line, offset, true);
    conn->read = offset;
}

int input_restore(struct conn *conn, const struct input_record *input, struct theseus_error *err) {
    uint64_t end = input->offset + input->bytes.len;

    if (end <= conn->read)
        return 0;
    if (input->offset > conn->read)
        lose_piece(conn, input->offset);
    size_t skip = (size_t)(conn->read - input->offset);
    char *room = frame_room(conn->frame, input->bytes.len - skip);
    if (!room)
        return fail(err, ERR_MEMORY, "no memory for recorded input");
    memcpy(room, input->bytes.data + skip, input->bytes.len - skip);
    frame_added(conn->frame, input->bytes.len - skip);
    add_piece(conn, input->offset, input->bytes.len);
    conn->read = end;
    return 0;
}
