#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "conn/inner.h"

enum { WRITES_PER_TURN = 16 };

static bool is_loop_thread(const struct conn *conn) {
    return pthread_equal(pthread_self(), conn->loop_thread) != 0;
}

/* Answers that the loop makes itself leave at the end of its turn; other threads' as soon as the loop hears of them. */
void output_wake(struct conn *conn) {
    if (!is_loop_thread(conn)) {
        loop_post_task(conn->host->loop, &conn->wake);
        return;
    }
    loop_enter();
    if (!conn->freed)
        loop_defer(conn->host->loop, &conn->flush);
}

bool output_is_unread(struct conn *conn) {
    ledger_enter(conn->host->ledger);
    bool unread = outbox_cost_left(&conn->outbox) >= atomic_load(&conn->max_buffered);
    ledger_leave(conn->host->ledger);
    return unread;
}

bool output_is_written(const struct conn *conn) {
    ledger_enter(conn->host->ledger);
    bool written = list_empty(&conn->outbox.chunks);
    ledger_leave(conn->host->ledger);
    return written;
}

bool output_is_full(struct conn *conn) {
    ledger_enter(conn->host->ledger);
    bool full = outbox_cost(&conn->outbox) >= atomic_load(&conn->max_buffered);
    ledger_leave(conn->host->ledger);
    return full;
}

/* Before the gate is taken: what is put under it needs no memory then. */
static void make_room(struct batch *batch, const struct chunk *chunk) {
    batch->failed |= batch_reserve(batch, 1, chunk ? chunk->len : 0, NULL) < 0;
}

/* Under the gate: the bytes are the client's from here on, and the record says so. */
static int add_locked(struct conn *conn, struct chunk *chunk, struct batch *batch, struct theseus_error *err) {
    if (chunk) {
        batch->reserve = true; /* an answer is recorded also where there is no room for new work */
        outbox_add(&conn->outbox, chunk);
        struct output_record record = kept_output(conn, chunk);
        if (!batch->failed)
            batch_put(batch, &output_kind, &record);
    }
    return ledger_commit_locked(conn->host->ledger, batch, err);
}

static void log_unrecorded(const struct theseus_error *err) {
    log_error("an answer could not be recorded and would be lost in a restart: %s", err->message);
}

static bool finish(struct call *call, struct batch *batch, struct buf *line) {
    struct conn *conn = call->owner;
    struct theseus_error err = {0};
    struct chunk *chunk = line && line->len ? chunk_new(line) : NULL;

    if (chunk)
        chunk->answers = atomic_load(&conn->resumable);
    else if (line && line->len)
        log_error("connection %d: no memory for an answer", (int)conn->number);
    make_room(batch, chunk);
    ledger_enter(call->ledger);
    bool open = atomic_exchange(&call->state, CALL_OVER) == CALL_OPEN;
    bool detached = atomic_load(&call->detached);
    int r = !open ? 0 : detached ? detached_end_locked(call, chunk, batch, &err) : add_locked(conn, chunk, batch, &err);
    if (open)
        list_append(&conn->over, &call->over_link);
    ledger_leave(call->ledger);
    if (r < 0)
        log_unrecorded(&err);
    if (open)
        output_wake(conn);
    if (!open || detached)
        (void)chunk_free(chunk);
    return open;
}

static void notify(struct call *call, struct buf *line) {
    CLEANUP(batch_fini) struct batch batch = {0};
    struct conn *conn = call->owner;
    struct theseus_error err = {0};
    struct chunk *chunk = chunk_new(line);
    int r = 0;

    if (!chunk)
        return; /* a notification may be lost, an answer may not */
    make_room(&batch, chunk);
    ledger_enter(call->ledger);
    bool dropped = atomic_load(&call->state) == CALL_OVER || atomic_load(&call->detached) ||
                   outbox_cost(&conn->outbox) >= atomic_load(&conn->max_buffered);
    if (!dropped)
        r = add_locked(conn, chunk, &batch, &err);
    ledger_leave(call->ledger);
    if (r < 0)
        log_unrecorded(&err);
    if (dropped)
        (void)chunk_free(chunk);
    else
        output_wake(conn);
}

static bool park(struct call *call, struct loop_task *resume) {
    struct conn *conn = call->owner;

    ledger_enter(call->ledger);
    bool full = !call_is_over(call) && outbox_cost(&conn->outbox) >= atomic_load(&conn->max_buffered);
    if (full && resume)
        list_append(&conn->parked, &resume->link);
    ledger_leave(call->ledger);
    return full;
}

const struct call_ops output_call_ops = {.finish = finish, .notify = notify, .park = park, .release = conn_release};

bool conn_detach(struct conn *conn, struct call *call, struct batch *batch, struct buf *line) {
    struct chunk *chunk = chunk_new(line);
    struct theseus_error err = {0};
    int r = 0;

    if (!chunk)
        return false;
    chunk->answers = atomic_load(&conn->resumable);
    make_room(batch, chunk);
    ledger_enter(call->ledger);
    bool goes_on = !call_is_over(call) && !atomic_load(&call->detached) && !batch->failed;
    if (goes_on) {
        r = add_locked(conn, chunk, batch, &err);
        atomic_store(&call->detached, true);
    }
    ledger_leave(call->ledger);
    if (r < 0)
        log_unrecorded(&err);
    if (goes_on)
        queue_detach(conn, call);
    else
        (void)chunk_free(chunk);
    output_wake(conn);
    return goes_on;
}

static void say(struct conn *conn, struct buf *line, bool answers) {
    CLEANUP(batch_fini) struct batch batch = {0};
    struct theseus_error err = {0};
    struct chunk *chunk = conn->lost ? NULL : chunk_new(line);

    if (conn->lost)
        return; /* nobody is there who would read it */
    if (!chunk) {
        log_error("no memory for a message to the client");
        return;
    }
    chunk->answers = answers;
    make_room(&batch, chunk);
    ledger_enter(conn->host->ledger);
    int r = add_locked(conn, chunk, &batch, &err);
    ledger_leave(conn->host->ledger);
    if (r < 0)
        log_unrecorded(&err);
    output_wake(conn);
}

void conn_say(struct conn *conn, struct buf *line) {
    say(conn, line, false);
}

void output_answer(struct conn *conn, struct buf *line) {
    say(conn, line, atomic_load(&conn->resumable));
}

void output_unpark(struct conn *conn) {
    for (;;) {
        struct loop_task *task = NULL;
        ledger_enter(conn->host->ledger);
        if (outbox_cost(&conn->outbox) < atomic_load(&conn->max_buffered))
            task = list_first(&conn->parked, struct loop_task, link);
        if (task)
            list_remove(&task->link);
        ledger_leave(conn->host->ledger);
        if (!task)
            return;
        loop_post_task(conn->host->loop, task);
    }
}

/* Who waited finds that its call is over. */
void output_unpark_all(struct conn *conn) {
    struct list parked;

    list_init(&parked);
    ledger_enter(conn->host->ledger);
    list_splice(&parked, &conn->parked);
    ledger_leave(conn->host->ledger);
    list_for_each (link, &parked) {
        list_remove(link);
        loop_post_task(conn->host->loop, list_entry(link, struct loop_task, link));
    }
}

/* Under the gate: so much has left; chunks that have left as a whole go to `done`. */
static int wrote_locked(struct conn *conn, size_t count, struct list *done, struct theseus_error *err) {
    struct batch *batch = &conn->host->shared->batch;

    batch->reserve = true; /* what has left must not leave again */
    outbox_wrote(&conn->outbox, count);
    struct position_record position = kept_position(conn);
    batch_put(batch, &position_kind, &position);
    for (struct chunk *chunk; (chunk = outbox_take_done(&conn->outbox));) {
        if (chunk->answers) {
            outbox_keep(&conn->outbox, chunk);
            continue;
        }
        struct output_record record = {.conn = conn->number, .offset = chunk->offset};
        batch_drop(batch, &output_kind, &record);
        list_append(done, &chunk->link);
    }
    return ledger_commit_locked(conn->host->ledger, batch, err);
}

enum { WRITE_DONE, WRITE_BLOCKED, WRITE_AGAIN };

static int write_once(struct conn *conn, struct theseus_error *err) {
    struct iovec parts[OUTPUT_PARTS];
    struct list done;
    int r = 0;

    list_init(&done);
    ledger_enter(conn->host->ledger);
    int count = outbox_parts(&conn->outbox, parts, OUTPUT_PARTS);
    ssize_t n = count > 0 ? stream_write(&conn->out, parts, count) : 0;
    int saved = errno;
    if (n > 0)
        r = wrote_locked(conn, (size_t)n, &done, err);
    bool empty = list_empty(&conn->outbox.chunks);
    ledger_leave(conn->host->ledger);
    list_for_each (link, &done)
        (void)chunk_free(list_entry(link, struct chunk, link));
    if (r < 0)
        return -1;
    if (n >= 0)
        return empty ? WRITE_DONE : WRITE_AGAIN;
    errno = saved;
    if (errno == EAGAIN || errno == EWOULDBLOCK)
        return WRITE_BLOCKED;
    return errno == EINTR ? WRITE_AGAIN : fail_errno(err, "the client cannot be written to");
}

static void broke(struct conn *conn, const struct theseus_error *err) ON_LOOP {
    log_info("connection %d: %s", (int)conn->number, err->message);
    conn->broken = true;
    conn_want(conn, STREAM_WRITE, 0);
}

void output_write(struct conn *conn) {
    struct theseus_error err = {0};
    int r = WRITE_AGAIN;

    for (int i = 0; i < WRITES_PER_TURN && r == WRITE_AGAIN && !conn->broken && !conn->waits; i++)
        r = write_once(conn, &err);
    if (conn->broken || conn->waits)
        return;
    if (r < 0)
        broke(conn, &err);
    else
        conn_want(conn, STREAM_WRITE, r == WRITE_DONE ? 0 : POLL_WRITE);
}
