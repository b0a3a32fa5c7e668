#include <stdlib.h>

#include "base/limits.h"
#include "base/log.h"
#include "conn/inner.h"
#include "loop/timer.h"

/* After anything that may have changed what can be done: once, at the end of the turn. */
static void settle(void *arg) {
    struct conn *conn = arg;

    loop_enter();
    atomic_store(&conn->max_buffered, conn_config(conn)->limits.max_buffered);
    queue_take_off(conn);
    queue_serve(conn);
    output_write(conn);
    if (queue_can_serve(conn)) /* what has just left made room for calls that were held */
        output_wake(conn);
    output_unpark(conn);
    if (conn->changed)
        conn_list_changed(conn, conn->changed);
    input_want(conn);
    if (conn->told || !(conn->broken || (conn->ended && conn_is_idle(conn))))
        return;
    conn->told = true;
    conn->host->ops->closed(conn->host->arg, conn);
}

void conn_flush(struct conn *conn) {
    settle(conn);
}

void conn_serve(struct conn *conn) {
    expiry_again(conn);
    output_wake(conn);
}

struct conn *conn_new(const struct conn_host *host, uint64_t number) {
    struct conn *conn = xcalloc(1, sizeof(*conn));

    conn->host = host;
    conn->number = number;
    conn->in.fd = conn->out.fd = -1;
    conn->loop_thread = pthread_self();
    conn->wake = (struct loop_task){.run = settle, .arg = conn};
    conn->flush = (struct loop_task){.run = settle, .arg = conn};
    conn->ids = map_new();
    atomic_init(&conn->max_buffered, conn_config(conn)->limits.max_buffered);
    session_init(&conn->session);
    outbox_init(&conn->outbox, 0);
    list_init(&conn->over);
    list_init(&conn->parked);
    list_init(&conn->working);
    list_init(&conn->held);
    list_init(&conn->listens);
    list_init(&conn->detached);
    return conn;
}

struct conn *conn_free(struct conn *conn) {
    if (!conn)
        return NULL;
    loop_forget(conn->host->loop, &conn->wake);
    loop_forget(conn->host->loop, &conn->flush);
    conn->hangup = timer_free(conn->hangup);
    conn->expiry = timer_free(conn->expiry);
    conn->starved = timer_free(conn->starved);
    conn->in_poll = poll_free(conn->in_poll);
    conn->out_poll = poll_free(conn->out_poll);
    queue_fini(conn);
    list_for_each (link, &conn->listens)
        listen_free(list_entry(link, struct listen, link));
    outbox_fini(&conn->outbox);
    batch_fini(&conn->batch);
    conn->frame = frame_free(conn->frame);
    stream_close(&conn->in);
    stream_close(&conn->out);
    session_fini(&conn->session);
    free(conn->pieces);
    free(conn->transport);
    free(conn);
    return NULL;
}

int conn_open_streams(struct conn *conn, int in, int out, struct theseus_error *err) {
    if (stream_open(&conn->in, in, STREAM_READ, err) < 0)
        return error_prefix(err, "the client's input: ");
    if (stream_open(&conn->out, out, STREAM_WRITE, err) < 0)
        return error_prefix(err, "the client's output: ");
    return 0;
}

int conn_prepare(struct conn *conn, struct theseus_error *err) {
    /* A position and the lines that one write ends; or what one read brings, with what came before it. */
    if (batch_reserve(&conn->batch, OUTPUT_PARTS + 1, LIMIT_READ_CHUNK + LIMIT_INPUT_PIECE, err) < 0)
        return -1;
    if (poll_new(&conn->in_poll, conn->host->loop, conn->in.fd, input_on_readable, conn, err) < 0)
        return -1;
    return poll_new(&conn->out_poll, conn->host->loop, conn->out.fd, output_on_writable, conn, err);
}

int conn_put_record(struct conn *conn, struct theseus_error *err) {
    struct buf texts[SESSION_TEXTS] = {0};
    struct conn_record record = {.conn = conn->number,
                                 .transport = span_of(conn->transport),
                                 .fd_in = (uint64_t)conn->in.fd,
                                 .fd_out = (uint64_t)conn->out.fd,
                                 .blocks = (conn->in.blocks ? 1 : 0) | (conn->out.blocks ? 2 : 0)};
    int r = session_pack(&conn->session, &record, texts, err);

    if (r == 0)
        r = ledger_put(conn->host->ledger, &conn_kind, &record, err);
    for (size_t i = 0; i < SESSION_TEXTS; i++)
        buf_fini(&texts[i]);
    return r;
}

int conn_open(struct conn **ret_conn, const struct conn_host *host, uint64_t number, int in, int out,
              const char *transport, struct theseus_error *err) {
    CLEANUP(conn_free) struct conn *conn = conn_new(host, number);

    conn->transport = xstrdup(transport);
    conn->frame = frame_new((*host->config)->limits.max_line, 0, false);
    if (conn_open_streams(conn, in, out, err) < 0 || conn_prepare(conn, err) < 0 || conn_put_record(conn, err) < 0)
        return -1;
    *ret_conn = TAKE_PTR(conn);
    return 0;
}

static void drop_outputs_locked(struct conn *conn, struct batch *batch) {
    list_for_each (link, &conn->outbox.chunks) {
        struct output_record record = {.conn = conn->number, .offset = list_entry(link, struct chunk, link)->offset};
        batch_drop(batch, &output_kind, &record);
    }
}

/* Takes the gate when there is memory for dropping what waits to be written; other threads may add to it meanwhile. */
static int enter_with_room(struct conn *conn, struct batch *batch, struct theseus_error *err) {
    size_t room = 0;

    ledger_enter(conn->host->ledger);
    while (conn->outbox.count > room) {
        room = 2 * conn->outbox.count;
        ledger_leave(conn->host->ledger);
        if (batch_reserve(batch, room, 0, err) < 0)
            return -1;
        ledger_enter(conn->host->ledger);
    }
    return 0;
}

void conn_forget(struct conn *conn) {
    CLEANUP(batch_fini) struct batch batch = {0};
    struct conn_record record = {.conn = conn->number};
    struct position_record position = {.conn = conn->number};
    struct theseus_error err = {0};

    queue_forget(conn, &batch);
    listen_drop_all(conn, &batch);
    input_drop_pieces(conn, &batch);
    batch_drop(&batch, &conn_kind, &record);
    batch_drop(&batch, &position_kind, &position);
    int r = enter_with_room(conn, &batch, &err);
    if (r == 0) {
        drop_outputs_locked(conn, &batch);
        r = ledger_commit_locked(conn->host->ledger, &batch, &err);
        ledger_leave(conn->host->ledger);
    }
    if (r < 0)
        log_error("a connection's records stay behind: %s", err.message);
}

void conn_start(struct conn *conn) {
    conn->started = true;
    queue_serve_urgent(conn);
    detached_begin(conn);
    expiry_again(conn);
    input_cut(conn);
    output_wake(conn);
}

void conn_stop_reading(struct conn *conn) {
    conn->stopped = true;
    input_want(conn);
}

bool conn_is_idle(const struct conn *conn) {
    ledger_enter(conn->host->ledger);
    bool written = list_empty(&conn->outbox.chunks);
    ledger_leave(conn->host->ledger);
    return written && conn->in_flight == 0 && conn->held_count == 0;
}

struct session *conn_session(struct conn *conn) {
    return &conn->session;
}

void conn_session_changed(struct conn *conn) {
    struct theseus_error err = {0};

    if (conn_put_record(conn, &err) < 0)
        log_error("the session could not be recorded and would be lost in a restart: %s", err.message);
}

const char *conn_transport(const struct conn *conn) {
    return conn->transport;
}

bool conn_is_starved(const struct conn *conn) {
    return conn->is_starved;
}

int64_t conn_first_line_ns(const struct conn *conn) {
    return conn->first_line_ns;
}

int64_t conn_last_line_ns(const struct conn *conn) {
    return conn->last_line_ns;
}

int conn_in_flight(const struct conn *conn) {
    return conn->in_flight;
}

int conn_held(const struct conn *conn) {
    return conn->held_count;
}
