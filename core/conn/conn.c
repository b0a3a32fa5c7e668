#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "conn/inner.h"
#include "loop/timer.h"

int conn_shared_new(struct conn_shared **ret_shared, struct theseus_error *err) {
    struct conn_shared *shared = xcalloc(1, sizeof(*shared));

    /* A position and the lines that one write ends; or what one read brings, with what came before it. */
    if (batch_reserve(&shared->batch, OUTPUT_PARTS + 1, LIMIT_READ_CHUNK + LIMIT_INPUT_PIECE, err) < 0) {
        (void)conn_shared_free(shared);
        return -1;
    }
    *ret_shared = shared;
    return 0;
}

struct conn_shared *conn_shared_free(struct conn_shared *shared) {
    if (!shared)
        return NULL;
    batch_fini(&shared->batch);
    buf_fini(&shared->room);
    free(shared);
    return NULL;
}

static bool is_over(struct conn *conn) ON_LOOP {
    if (conn->waits)
        return false;
    if (conn->lost)
        return list_empty(&conn->detached);
    return conn->broken || (conn->ended && conn_is_idle(conn));
}

/* After anything that may have changed what can be done: once, at the end of the turn. */
static void settle(void *arg) {
    struct conn *conn = arg;

    loop_enter();
    if (conn->freed)
        return;
    atomic_store(&conn->max_buffered, conn_config(conn)->limits.max_buffered);
    queue_take_off(conn);
    queue_serve(conn);
    output_write(conn);
    if ((conn->ended || conn->broken) && resume_is_possible(conn)) /* which the writing may just have found out */
        resume_await(conn);
    kept_relieve(conn);
    if (queue_can_serve(conn)) /* what has just left made room for calls that were held */
        output_wake(conn);
    output_unpark(conn);
    if (conn->changed)
        conn_list_changed(conn, conn->changed);
    input_want(conn);
    if (conn->told || !is_over(conn))
        return;
    conn->told = true;
    conn->host->ops->closed(conn->host->arg, conn);
}

void conn_flush(struct conn *conn) {
    settle(conn);
}

void conn_serve(struct conn *conn) {
    resume_watch(conn);
    expiry_again(conn);
    output_wake(conn);
}

struct conn *conn_new(const struct conn_host *host, uint64_t number) {
    struct conn *conn = xcalloc(1, sizeof(*conn));

    conn->host = host;
    conn->number = number;
    atomic_init(&conn->refs, 1);
    list_init(&conn->link);
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

/* ---- life: calls that are over may be looked at by other threads for a while, and through them the connection ---- */

static void on_released(void *arg) {
    struct conn *conn = arg;

    loop_enter();
    loop_forget(conn->host->loop, &conn->wake); /* a thread that had ended a call came too late to be heard */
    loop_forget(conn->host->loop, &conn->flush);
    free(conn);
}

void conn_release(void *owner) {
    struct conn *conn = owner;

    if (atomic_fetch_sub(&conn->refs, 1) > 1)
        return;
    if (pthread_equal(pthread_self(), conn->loop_thread))
        on_released(conn);
    else
        loop_post(conn->host->loop, on_released, conn);
}

struct call *conn_call_new(struct conn *conn) {
    (void)atomic_fetch_add(&conn->refs, 1);
    return call_new(&output_call_ops, conn, conn->host->ledger, conn->host->loop);
}

struct conn *conn_of(const struct call *call) {
    return call->owner;
}

struct conn *conn_free(struct conn *conn) {
    if (!conn)
        return NULL;
    list_remove(&conn->link);
    conn->freed = true;
    conn->first = timer_free(conn->first);
    conn->hangup = timer_free(conn->hangup);
    conn->pace = timer_free(conn->pace);
    conn->expiry = timer_free(conn->expiry);
    conn->starved = timer_free(conn->starved);
    conn->grace = timer_free(conn->grace);
    queue_fini(conn);
    list_for_each (link, &conn->listens)
        listen_free(list_entry(link, struct listen, link));
    outbox_fini(&conn->outbox);
    conn->frame = frame_free(conn->frame);
    conn_close_streams(conn);
    session_fini(&conn->session);
    free(conn->pieces);
    free(conn->transport);
    conn_release(conn);
    return NULL;
}

int conn_open_streams(struct conn *conn, int in, int out, struct theseus_error *err) {
    if (stream_open(&conn->in, in, STREAM_READ, err) < 0)
        return error_prefix(err, "the client's input: ");
    if (stream_open(&conn->out, out, STREAM_WRITE, err) < 0)
        return error_prefix(err, "the client's output: ");
    return 0;
}

static void on_ready(void *arg, int events) {
    struct conn *conn = arg;

    loop_enter();
    if (events & POLL_WRITE)
        conn_flush(conn);
    if ((events & (POLL_READ | POLL_HANGUP)) && conn->wants[STREAM_READ])
        input_on_readable(conn, events);
}

int conn_prepare(struct conn *conn, struct theseus_error *err) {
    if (poll_new(&conn->poll, conn->host->loop, conn->in.fd, on_ready, conn, err) < 0)
        return -1;
    if (conn->out.fd == conn->in.fd)
        return 0;
    return poll_new(&conn->out_poll, conn->host->loop, conn->out.fd, on_ready, conn, err);
}

void conn_want(struct conn *conn, int direction, int events) {
    conn->wants[direction] = events;
    if (!conn->poll)
        return;
    poll_want(conn->poll, conn->wants[STREAM_READ] | (conn->out_poll ? 0 : conn->wants[STREAM_WRITE]));
    if (conn->out_poll)
        poll_want(conn->out_poll, conn->wants[STREAM_WRITE]);
}

void conn_close_streams(struct conn *conn) {
    conn->poll = poll_free(conn->poll);
    conn->out_poll = poll_free(conn->out_poll);
    if (conn->out.fd != conn->in.fd)
        stream_close(&conn->out);
    stream_close(&conn->in);
    conn->out.fd = -1;
}

int conn_pack_record(struct conn *conn, struct conn_record *record, struct buf texts[SESSION_TEXTS],
                     struct theseus_error *err) {
    *record = (struct conn_record){.conn = conn->number,
                                   .transport = span_of(conn->transport),
                                   .fd_in = (uint64_t)conn->in.fd,
                                   .fd_out = (uint64_t)conn->out.fd,
                                   .blocks = (conn->in.blocks ? 1 : 0) | (conn->out.blocks ? 2 : 0),
                                   .uid = conn->has_uid ? UINT64_C(1) + conn->uid : 0,
                                   .since_ms = (uint64_t)conn->since_ms,
                                   .lost = conn->lost,
                                   .away_ms = (uint64_t)conn->away_ms,
                                   .doubtful = conn->doubtful,
                                   .resumptions = conn->resumptions,
                                   .refused = conn->refused};
    return session_pack(&conn->session, record, texts, err);
}

int conn_put_record(struct conn *conn, struct theseus_error *err) {
    struct buf texts[SESSION_TEXTS] = {0};
    struct conn_record record;
    int r = conn_pack_record(conn, &record, texts, err);

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
    conn->since_ms = clock_wall_ms();
    if (conn_open_streams(conn, in, out, err) < 0 || conn_prepare(conn, err) < 0 || conn_put_record(conn, err) < 0)
        return -1;
    *ret_conn = TAKE_PTR(conn);
    return 0;
}

int conn_accept(struct conn **ret_conn, const struct conn_host *host, uint64_t number, int fd, uid_t uid,
                struct theseus_error *err) {
    CLEANUP(conn_free) struct conn *conn = conn_new(host, number);

    conn->transport = xstrdup("unix");
    conn->frame = frame_new((*host->config)->limits.max_line, 0, false);
    conn->has_uid = true;
    conn->uid = uid;
    conn->since_ms = clock_wall_ms();
    if (stream_take(&conn->in, fd, err) < 0)
        return -1;
    conn->out = conn->in;
    if (conn_prepare(conn, err) < 0 || conn_put_record(conn, err) < 0)
        return -1;
    *ret_conn = TAKE_PTR(conn);
    return 0;
}

static void drop_outputs_locked(struct conn *conn, struct batch *batch) {
    const struct list *const lists[] = {&conn->outbox.kept, &conn->outbox.chunks};

    for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
        list_for_each (link, (struct list *)lists[i]) {
            struct output_record record = {.conn = conn->number,
                                           .offset = list_entry(link, struct chunk, link)->offset};
            batch_drop(batch, &output_kind, &record);
        }
}

/* Takes the gate when there is memory for dropping what waits to be written; other threads may add to it meanwhile. */
static int enter_with_room(struct conn *conn, struct batch *batch, struct theseus_error *err) {
    size_t room = 0;

    ledger_enter(conn->host->ledger);
    while (conn->outbox.count + conn->outbox.kept_count > room) {
        room = 2 * (conn->outbox.count + conn->outbox.kept_count);
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

void conn_hear(struct conn *conn) {
    if (conn->waits || conn->lost)
        return;
    conn->hears = true;
    queue_serve_urgent(conn);
    input_cut(conn);
    output_wake(conn);
}

void conn_start(struct conn *conn) {
    conn->hears = false;
    conn->started = true;
    queue_serve_urgent(conn);
    detached_begin(conn);
    expiry_again(conn);
    input_cut(conn);
    if (conn->waits)
        resume_await(conn);
    else
        first_watch(conn);
    output_wake(conn);
}

void conn_stop_reading(struct conn *conn) {
    conn->stopped = true;
    input_want(conn);
}

bool conn_is_idle(const struct conn *conn) {
    ledger_enter(conn->host->ledger);
    bool written = conn->waits || list_empty(&conn->outbox.chunks); /* else nobody is there to write to */
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
    listen_topics(conn, conn->session.subscriptions);
}

uint64_t conn_number(const struct conn *conn) {
    return conn->number;
}

int64_t conn_since_ms(const struct conn *conn) {
    return conn->since_ms;
}

bool conn_is_stdio(const struct conn *conn) {
    return strcmp(conn->transport, "stdio") == 0;
}

uid_t conn_uid(const struct conn *conn) {
    return conn->has_uid ? conn->uid : getuid();
}

const char *conn_transport(const struct conn *conn) {
    return conn->transport;
}

bool conn_is_starved(const struct conn *conn) {
    return conn->is_starved && !conn->stopped && !conn->ended && !conn->broken; /* else nothing is read any more */
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

void conn_buffered(const struct conn *conn, size_t *ret_in, size_t *ret_out) {
    *ret_in = conn->held_bytes;
    ledger_enter(conn->host->ledger);
    *ret_out = outbox_bytes(&conn->outbox);
    ledger_leave(conn->host->ledger);
}
