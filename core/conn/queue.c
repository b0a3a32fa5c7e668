/*
 * Which call is worked on when. At most limits.max_in_flight are; the others wait in the order of their arrival. Beyond
 * buffer.max_buffer_size of them the parsed form is given away and made again from the line when the call's turn comes.
 */
#include <stdlib.h>

#include "base/log.h"
#include "call/keep.h"
#include "conn/inner.h"

/* What a held call costs beside its line: its struct, its place in the map, its id. */
enum { HELD_OVERHEAD = sizeof(struct call) + 160 };

static size_t held_cost(const struct call *call) {
    return call->text.len + HELD_OVERHEAD;
}

void queue_refuse(struct conn *conn, const json_t *id, const struct theseus_error *error) {
    CLEANUP(buf_fini) struct buf line = {0};
    const struct revision *revision = conn->session.revision;
    struct theseus_error err = {0};

    log_info("connection %d: %s", (int)conn->number, error->message);
    if (!id && revision && !revision->idless_errors)
        return; /* that revision's error responses name a request, and this one has no name */
    if (message_write_error(id, error, NULL, &line, &err) < 0)
        log_error("an error could not be written: %s", err.message);
    else if (id)
        output_answer(conn, &line);
    else
        conn_say(conn, &line);
}

static struct call *id_find(const struct conn *conn, const json_t *id) {
    CLEANUP(buf_fini) struct buf key = {0};

    if ((!json_is_string(id) && !json_is_integer(id)) || message_id_key(id, &key, NULL) < 0)
        return NULL;
    return map_get(conn->ids, buf_span(&key));
}

void queue_refuse_unread(struct conn *conn, const json_t *id, const struct theseus_error *error) {
    queue_refuse(conn, id_find(conn, id) ? NULL : id, error);
}

static int id_put(struct conn *conn, struct call *call, struct theseus_error *err) {
    CLEANUP(buf_fini) struct buf key = {0};

    if (message_id_key(call->id, &key, err) < 0)
        return -1;
    if (map_get(conn->ids, buf_span(&key)))
        return fail(err, ERR_REQUEST, "a request with id %.*s is already in flight", (int)key.len,
                    key.data + key.start);
    (void)map_put(conn->ids, buf_span(&key), call);
    return 0;
}

static void id_drop(struct conn *conn, const struct call *call) {
    CLEANUP(buf_fini) struct buf key = {0};

    if (message_id_key(call->id, &key, NULL) == 0)
        (void)map_take(conn->ids, buf_span(&key));
    else
        log_error("no memory to forget a request's id");
}

static void work_on(struct conn *conn, struct call *call) ON_LOOP {
    expiry_watch(conn);
    pace_count(conn);
    conn->in_flight++;
    list_append(&conn->working, &call->link);
    call->text = (struct span){0};
    conn->host->ops->request(conn->host->arg, conn, call);
}

static void hold(struct conn *conn, struct call *call) ON_LOOP {
    expiry_watch(conn);
    list_append(&conn->held, &call->link);
    conn->held_count++;
    call->held = held_cost(call);
    conn->held_bytes += call->held;
    if (conn->held_count > conn_config(conn)->buffer.max_buffer_size)
        call->held_text = try_malloc(call->text.len); /* none: then it is kept parsed */
    if (call->held_text) {
        memcpy(call->held_text, call->text.data, call->text.len);
        message_fini(&call->message);
    }
    call->text = (struct span){call->held_text, call->held_text ? call->text.len : 0};
}

static bool may_work(struct conn *conn) ON_LOOP {
    return conn->in_flight < conn_config(conn)->limits.max_in_flight && !output_is_full(conn) && pace_allows(conn);
}

/* Ends a call that was never worked on with an error that does not name it: its id is another's, still in flight. */
static void refuse_duplicate(struct conn *conn, struct call *call, const struct theseus_error *error) ON_LOOP {
    CLEANUP(batch_fini) struct batch batch = {0};
    struct theseus_error err = {0};

    keep_drop_all(call, &batch);
    if (ledger_commit(conn->host->ledger, &batch, &err) < 0)
        log_error("%s", err.message);
    queue_refuse(conn, NULL, error);
    (void)call_unref(call);
}

/* Before all is there again: a ping needs nothing of it. */
static bool is_heard(const struct conn *conn, const struct call *call) {
    return conn->started || (conn->hears && strcmp(call->method, "ping") == 0);
}

void queue_accept(struct conn *conn, struct call *call) {
    struct theseus_error err = {0};

    if (id_put(conn, call, &err) < 0) {
        refuse_duplicate(conn, call, &err);
        return;
    }
    call->urgent = conn->host->ops->is_urgent(conn->host->arg, &call->message);
    if (is_heard(conn, call) && (call->urgent || (conn->held_count == 0 && may_work(conn))))
        work_on(conn, call);
    else
        hold(conn, call);
}

void queue_leave_held(struct conn *conn, struct call *call) {
    list_remove(&call->link);
    conn->held_count--;
    conn->held_bytes -= call->held;
    call->held = 0;
}

/* The parsed form again, where it was given away. */
static int read_again(struct call *call, struct theseus_error *err) {
    struct message message;

    if (call->message.root)
        return 0;
    if (message_read(call->text, &message, err) < 0) {
        message_fini(&message);
        return -1;
    }
    call->message = message;
    free(TAKE_PTR(call->held_text));
    return 0;
}

bool queue_can_serve(struct conn *conn) {
    return conn->started && conn->held_count > 0 && may_work(conn);
}

static void serve(struct conn *conn, struct call *call) ON_LOOP {
    struct theseus_error err = {0};

    queue_leave_held(conn, call);
    if (read_again(call, &err) < 0) {
        conn->in_flight++;
        list_append(&conn->working, &call->link);
        call_fail(call, &err, NULL);
    } else {
        work_on(conn, call);
    }
}

void queue_serve(struct conn *conn) {
    struct call *call;

    while (conn->started && may_work(conn) && (call = list_first(&conn->held, struct call, link)))
        serve(conn, call);
}

void queue_serve_urgent(struct conn *conn) {
    list_for_each (link, &conn->held) {
        struct call *call = list_entry(link, struct call, link);
        if (call->urgent && is_heard(conn, call) && !call_is_over(call))
            serve(conn, call);
    }
}

static void take_off(struct conn *conn, struct call *call) ON_LOOP {
    if (atomic_load(&call->detached)) {
        list_remove(&call->link);
        call_end_on_loop(call);
        conn->host->ops->outcome(conn->host->arg, conn, call);
        (void)call_unref(call);
        return;
    }
    if (call->held)
        queue_leave_held(conn, call);
    else if (!list_is_linked(&call->link))
        listen_forget(conn, call);
    else
        conn->in_flight--;
    list_remove(&call->link);
    id_drop(conn, call);
    call_end_on_loop(call);
    (void)call_unref(call);
}

void queue_detach(struct conn *conn, struct call *call) {
    list_remove(&call->link);
    conn->in_flight--;
    id_drop(conn, call);
    detached_add(conn, call);
}

void queue_take_off(struct conn *conn) {
    struct list over;

    list_init(&over);
    ledger_enter(conn->host->ledger);
    list_splice(&over, &conn->over);
    ledger_leave(conn->host->ledger);
    list_for_each (link, &over) {
        list_remove(link);
        take_off(conn, list_entry(link, struct call, over_link));
    }
}

struct call *conn_find_call(struct conn *conn, const json_t *id) {
    return id_find(conn, id);
}

void conn_cancel(struct conn *conn, const json_t *id) {
    struct call *call = id_find(conn, id);

    if (!call || strcmp(call->method, "initialize") == 0)
        return;
    call_cancel(call);
    queue_take_off(conn); /* at once: the next line may use its id again */
}

/* Every call there is; `visit` may free it. */
typedef void each_fn(struct span key, void *value, void *arg);

static void each(struct conn *conn, each_fn *visit, void *arg) {
    list_for_each (link, &conn->detached)
        visit((struct span){0}, list_entry(link, struct call, link), arg);
    map_each(conn->ids, visit, arg);
}

static void cancel_one(struct span key, void *value, void *arg) {
    (void)key;
    (void)arg;
    call_cancel(value);
}

void conn_cancel_all(struct conn *conn) {
    each(conn, cancel_one, NULL);
}

/* A reference each, in the order of acceptance. */
struct calls {
    struct call **items;
    size_t count;
};

static void count(struct span key, void *value, void *arg) {
    (void)key;
    (void)value;
    ++*(size_t *)arg;
}

static void collect(struct span key, void *value, void *arg) {
    struct calls *calls = arg;

    (void)key;
    calls->items[calls->count++] = call_ref(value);
}

void conn_each_call(struct conn *conn, conn_visit_fn *visit, void *arg) {
    struct calls calls = {0};
    size_t all = 0;

    each(conn, count, &all);
    calls.items = xcalloc(all + 1, sizeof(struct call *));
    each(conn, collect, &calls);
    for (size_t i = 0; i < calls.count; i++) {
        if (!call_is_over(calls.items[i]))
            visit(arg, calls.items[i]);
        (void)call_unref(calls.items[i]);
    }
    free(calls.items);
}

/* ---- coming back ---- */

void queue_restore(struct conn *conn, const struct request_record *request) {
    struct theseus_error err = {0};
    struct message message;

    if (message_read(request->text, &message, &err) < 0 || message.kind != MESSAGE_REQUEST) {
        log_error("a recorded request cannot be read back: %s", err.message);
        message_fini(&message);
        return;
    }
    struct call *call = conn_call_new(conn);
    call_set_message(call, &message);
    call_set_key(call, (struct call_key){request->conn, request->offset, request->index}, conn->host->boot_id);
    call->accepted_ns = (int64_t)request->accepted_ns;
    keep_restore(call);
    call->text = request->text;
    if (detached_is_recorded(conn, call))
        detached_add(conn, call);
    else
        queue_accept(conn, call);
}

/* Whoever still runs it may answer: nobody is there. */
static void drop_records(struct span key, void *value, void *arg) {
    (void)key;
    keep_drop_all(value, arg);
}

void queue_forget(struct conn *conn, struct batch *batch) {
    each(conn, drop_records, batch);
}

static void let_go(struct span key, void *value, void *arg) {
    struct call *call = value;

    (void)key;
    (void)arg;
    atomic_store(&call->state, CALL_OVER);
    atomic_store(&call->cancelled, true);
}

/* Under the gate: nobody else is ending one of them at this moment, and nobody does later. */
static void let_go_all(struct conn *conn) {
    ledger_enter(conn->host->ledger);
    each(conn, let_go, NULL);
    ledger_leave(conn->host->ledger);
}

void conn_let_go(struct conn *conn) {
    conn->started = conn->hears = false;
    conn_stop_reading(conn);
    let_go_all(conn);
}

static void drop(struct span key, void *value, void *arg) {
    struct call *call = value;

    loop_enter();
    (void)key;
    (void)arg;
    list_remove(&call->over_link);
    list_remove(&call->link);
    call_end_on_loop(call);
    (void)call_unref(call);
}

void queue_fini(struct conn *conn) {
    let_go_all(conn);
    each(conn, drop, NULL);
    conn->ids = map_free(conn->ids);
}
