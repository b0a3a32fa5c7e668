/*
 * A session that outlives its stream. When the stream of one that began with a hello ends, all that its client has
 * asked for goes on and the answers collect, until another stream takes the session over or the client is not awaited
 * any more. What was not read to the end of a line is gone: the client knows that nobody has answered it.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "conn/inner.h"
#include "loop/timer.h"

/* ---- the stream has gone ---- */

static void on_grace(void *arg) {
    struct conn *conn = arg;

    loop_enter();
    log_info("connection %d: its client has not come back in time", (int)conn->number);
    resume_give_up(conn);
}

void resume_give_up(struct conn *conn) {
    conn->grace = timer_free(conn->grace);
    conn->waits = false;
    conn->broken = conn->expired = true;
    output_wake(conn);
}

void resume_watch(struct conn *conn) {
    int64_t left = conn->away_ms + (int64_t)conn_config(conn)->listen.session_expiry * 1000 - clock_wall_ms();

    if (!conn->waits)
        return;
    if (!conn->grace)
        conn->grace = timer_new(conn->host->loop, on_grace, conn);
    timer_start(conn->grace, left > 0 ? left : 0, 0);
}

/* What is left of the input is no line, and never will be one. */
static int drop_rest(struct conn *conn, struct theseus_error *err) ON_LOOP {
    CLEANUP(batch_fini) struct batch batch = {.reserve = true};

    input_drop_pieces(conn, &batch);
    conn->frame = frame_free(conn->frame);
    conn->frame = frame_new(conn_config(conn)->limits.max_line, conn->read, false);
    struct position_record position = kept_position(conn);
    batch_put(&batch, &position_kind, &position);
    return ledger_commit(conn->host->ledger, &batch, err);
}

static void close_stream(struct conn *conn) ON_LOOP {
    conn->first = timer_free(conn->first);
    conn->hangup = timer_free(conn->hangup);
    conn->starved = timer_free(conn->starved);
    conn->is_starved = conn->ended = conn->broken = conn->told = false;
    conn_want(conn, STREAM_READ, 0);
    conn_want(conn, STREAM_WRITE, 0);
    conn_close_streams(conn);
}

void resume_await(struct conn *conn) {
    struct theseus_error err = {0};

    close_stream(conn);
    conn->waits = true;
    if (conn->away_ms == 0) {
        log_info("connection %d: its stream has ended; the client may come back", (int)conn->number);
        conn->away_ms = clock_wall_ms();
        conn->refused = 0;
    }
    if (drop_rest(conn, &err) < 0 || conn_put_record(conn, &err) < 0)
        log_error("connection %d: that its stream has ended is not recorded: %s", (int)conn->number, err.message);
    resume_watch(conn);
}

bool resume_is_possible(const struct conn *conn) {
    return atomic_load(&conn->resumable) && !conn->lost && !conn->expired &&
           conn_config(conn)->listen.session_expiry > 0;
}

void conn_be_resumable(struct conn *conn) {
    atomic_store(&conn->resumable, true);
}

void conn_bye(struct conn *conn) {
    atomic_store(&conn->resumable, false);
    conn->session.secret[0] = '\0';
    kept_forget(conn);
    conn_session_changed(conn);
}

bool conn_waits(const struct conn *conn) {
    return conn->waits;
}

bool conn_has_expired(const struct conn *conn) {
    return conn->expired;
}

void conn_note_refused(struct conn *conn) {
    conn->refused++;
    conn_session_changed(conn);
}

const char *conn_state(const struct conn *conn) {
    if (conn->lost)
        return "disconnected";
    if (conn->waits)
        return conn->refused > 0 ? "failed" : "disconnected";
    if (conn->resumptions == 0)
        return conn->restored && conn->first_line_ns == 0 ? "restored" : "active";
    return conn->outbox.acknowledged < conn->resumed_up_to ? "reconnecting" : "restored";
}

int64_t conn_away_ms(const struct conn *conn) {
    return conn->away_ms;
}

uint64_t conn_resumptions(const struct conn *conn) {
    return conn->resumptions;
}

/* ---- another one takes it over ---- */

bool conn_is_only_asking(const struct conn *conn) {
    return conn->in_flight == 1 && conn->held_count == 0 && conn->listen_count == 0 &&
           frame_rest(conn->frame).len == 0 && output_is_written(conn) && !conn->session.secret[0] &&
           !conn->session.revision && !conn->waits && !conn->lost && !conn->ended && !conn->broken;
}

static struct map *named_new(const json_t *unanswered) {
    struct map *named = map_new();
    const json_t *id;
    size_t i;

    json_array_foreach (unanswered, i, id) {
        CLEANUP(buf_fini) struct buf key = {0};
        if (message_id_key(id, &key, NULL) == 0)
            (void)map_put(named, buf_span(&key), named);
    }
    return named;
}

static bool is_in(struct map *ids, const json_t *id) {
    CLEANUP(buf_fini) struct buf key = {0};

    return message_id_key(id, &key, NULL) == 0 && map_get(ids, buf_span(&key));
}

static void cancel_unnamed(void *arg, struct call *call) {
    if (!atomic_load(&call->detached) && !is_in(arg, call->id))
        call_cancel(call);
}

/* One that is over and was not taken off yet has its answer on the way. */
static const char *fate_of(struct conn *conn, struct map *answered, const json_t *id) ON_LOOP {
    if (is_in(answered, id))
        return "answered";
    if (conn_find_call(conn, id))
        return "pending";
    return conn->doubtful ? "uncertain" : "never seen";
}

static json_t *fates_new(struct conn *conn, const json_t *unanswered, uint64_t received) ON_LOOP {
    struct map *named = named_new(unanswered);
    json_t *fates = json_array(), *id;
    size_t i;

    conn_each_call(conn, cancel_unnamed, named);
    queue_take_off(conn);
    struct map *answered = kept_ids_new(conn, received);
    json_array_foreach ((json_t *)unanswered, i, id)
        (void)json_array_append_new(fates, json_pack("{s:O, s:s}", "id", id, "fate", fate_of(conn, answered, id)));
    (void)map_free(named);
    (void)map_free(answered);
    return fates;
}

/* Under the gate: all that the client has not had, behind the first line of the new stream; `received` is what it has
 * had, whatever is recorded as written, and from there both go on counting. Chunks that are over go to `gone`. */
static void say_again_locked(struct conn *conn, struct chunk *first, uint64_t received, struct list *gone,
                             struct batch *batch) {
    struct outbox *outbox = &conn->outbox;
    struct list again;

    list_init(&again);
    list_splice(&again, &outbox->kept);
    list_splice(&again, &outbox->chunks);
    uint64_t acknowledged = outbox->acknowledged, end = outbox->end;
    outbox_init(outbox, end);
    outbox->acknowledged = acknowledged;
    outbox_add(outbox, first);
    list_for_each (link, &again) {
        struct chunk *chunk = list_entry(link, struct chunk, link);
        struct output_record old = {.conn = conn->number, .offset = chunk->offset};
        batch_drop(batch, &output_kind, &old);
        list_remove(&chunk->link);
        if (chunk->answers && outbox->acknowledged < received) {
            outbox->acknowledged++;
            list_append(gone, &chunk->link);
        } else {
            outbox_add(outbox, chunk);
        }
    }
    outbox->acknowledged = conn->resumed_up_to = received; /* some may have been given up, or lost */
    list_for_each (link, &outbox->chunks) {
        const struct chunk *chunk = list_entry(link, struct chunk, link);
        struct output_record record = kept_output(conn, chunk);
        batch_put(batch, &output_kind, &record);
        conn->resumed_up_to += chunk->answers;
    }
}

/* What is recorded of the connection that the stream was opened for. */
static void drop_opener(struct conn *from, struct batch *batch) ON_LOOP {
    struct conn_record record = {.conn = from->number};
    struct position_record position = {.conn = from->number};

    queue_forget(from, batch);
    input_drop_pieces(from, batch);
    batch_drop(batch, &conn_kind, &record);
    batch_drop(batch, &position_kind, &position);
}

static void move_stream(struct conn *conn, struct conn *from) ON_LOOP {
    from->poll = poll_free(from->poll);
    from->out_poll = poll_free(from->out_poll);
    conn->in = from->in;
    conn->out = from->out;
    from->in.fd = from->out.fd = -1;
    from->lost = from->stopped = from->told = true;
    conn->grace = timer_free(conn->grace);
    conn->waits = false;
    conn->away_ms = 0;
    conn->refused = 0;
    conn->resumptions++;
}

/* Takes the gate when there is memory for what say_again_locked() records; other threads may add to it meanwhile.
 * Without it nothing is recorded, and all is said all the same. */
static void enter_with_room(struct conn *conn, size_t first, struct batch *batch) ON_LOOP {
    const struct outbox *outbox = &conn->outbox;
    size_t count = 0, bytes = 0;

    ledger_enter(conn->host->ledger);
    while (!batch->failed && (outbox->count + outbox->kept_count > count || outbox_cost(outbox) > bytes)) {
        count = 2 * (outbox->count + outbox->kept_count);
        bytes = 2 * outbox_cost(outbox);
        ledger_leave(conn->host->ledger);
        /* Each is dropped and put; beside them there are the first line and the position. */
        batch->failed = batch_reserve(batch, 2 * count + 2, first + bytes, NULL) < 0;
        ledger_enter(conn->host->ledger);
    }
}

static int put_taken_over(struct conn *conn, struct conn *from, struct chunk *first, uint64_t received,
                          struct theseus_error *err) ON_LOOP {
    CLEANUP(batch_fini) struct batch batch = {.reserve = true};
    struct buf texts[SESSION_TEXTS] = {0};
    struct conn_record record;
    struct list gone;

    list_init(&gone);
    drop_opener(from, &batch);
    int r = conn_pack_record(conn, &record, texts, err);
    batch_put(&batch, &conn_kind, &record);
    enter_with_room(conn, first->len, &batch);
    say_again_locked(conn, first, received, &gone, &batch);
    struct position_record position = kept_position(conn);
    batch_put(&batch, &position_kind, &position);
    if (r == 0)
        r = ledger_commit_locked(conn->host->ledger, &batch, err);
    ledger_leave(conn->host->ledger);
    list_for_each (link, &gone)
        (void)chunk_free(list_entry(link, struct chunk, link));
    for (size_t i = 0; i < SESSION_TEXTS; i++)
        buf_fini(&texts[i]);
    return r;
}

int conn_take_over(struct conn *conn, struct conn *from, const struct conn_resumption *resumption,
                   struct theseus_error *err) {
    CLEANUP(buf_fini) struct buf line = {0};

    if (!conn->waits)
        resume_await(conn);
    json_auto_t *result = json_deep_copy(resumption->result);
    (void)json_object_set_new(result, "fates", fates_new(conn, resumption->unanswered, resumption->received));
    if (message_write_result(resumption->id, result, &line, err) < 0)
        return -1;
    struct chunk *first = chunk_new(&line);
    if (!first)
        return fail(err, ERR_MEMORY, "no memory for the answer");
    move_stream(conn, from);
    if (put_taken_over(conn, from, first, resumption->received, err) < 0)
        log_error("connection %d: that it goes on is not recorded: %s", (int)conn->number, err->message);
    if (conn_prepare(conn, err) < 0) {
        log_error("connection %d: %s", (int)conn->number, err->message);
        conn->broken = true;
    }
    log_info("connection %d goes on with the stream of connection %d", (int)conn->number, (int)from->number);
    output_wake(conn);
    return 0;
}
