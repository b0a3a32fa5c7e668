#include <stdlib.h>

#include "base/limits.h"
#include "base/log.h"
#include "conn/inner.h"
#include "rpc/jsontext.h"

static struct listen_record record_of(const struct listen *listen, struct span id) {
    const struct call_key *key = &listen->call->key;

    return (struct listen_record){key->conn, key->offset, key->index, id, listen->wants};
}

static int record(struct conn *conn, const struct listen *listen, struct theseus_error *err) {
    CLEANUP(buf_fini) struct buf id = {0};

    if (jsontext_write(listen->call->id, &id, err) < 0)
        return -1;
    struct listen_record put = record_of(listen, buf_span(&id));
    return ledger_put(conn->host->ledger, &listen_kind, &put, err);
}

static struct listen *add(struct conn *conn, struct call *call, unsigned wants) {
    struct listen *listen = xcalloc(1, sizeof(*listen));

    *listen = (struct listen){.call = call, .wants = wants};
    list_append(&conn->listens, &listen->link);
    list_remove(&call->link);
    conn->in_flight--;
    conn->listen_count++;
    return listen;
}

int conn_listen(struct conn *conn, struct call *call, unsigned wants, struct theseus_error *err) {
    if (conn->listen_count >= LIMIT_LISTENS)
        return fail(err, ERR_INTERNAL, "there are %d open subscriptions already", LIMIT_LISTENS);
    return record(conn, add(conn, call, wants), err);
}

static struct listen *find(struct conn *conn, const struct call *call) {
    list_for_each (link, &conn->listens) {
        struct listen *listen = list_entry(link, struct listen, link);
        if (listen->call == call)
            return listen;
    }
    return NULL;
}

void listen_forget(struct conn *conn, struct call *call) {
    struct listen *listen = find(conn, call);
    struct theseus_error err = {0};

    if (!listen)
        return;
    struct listen_record gone = record_of(listen, (struct span){0});
    if (ledger_drop(conn->host->ledger, &listen_kind, &gone, &err) < 0)
        log_error("%s", err.message);
    list_remove(&listen->link);
    conn->listen_count--;
    free(listen);
}

void listen_drop_all(struct conn *conn, struct batch *batch) {
    list_for_each (link, &conn->listens) {
        struct listen_record gone = record_of(list_entry(link, struct listen, link), (struct span){0});
        batch_drop(batch, &listen_kind, &gone);
    }
}

static void say(struct conn *conn, const char *method, json_t *params) {
    json_auto_t *owned = params;
    CLEANUP(buf_fini) struct buf line = {0};
    struct theseus_error err = {0};

    if (message_write_notification(method, owned, &line, &err) < 0)
        log_error("%s could not be written: %s", method, err.message);
    else
        conn_say(conn, &line);
}

static json_t *tag_new(const struct listen *listen) {
    return json_pack("{s:{s:O}}", "_meta", META_SUBSCRIPTION, listen->call->id);
}

/* A client that does not read is told once, when it reads again. */
void conn_tools_changed(struct conn *conn) {
    conn->tools_changed = output_is_full(conn);
    if (conn->tools_changed)
        return;
    if (conn->session.initialized)
        say(conn, "notifications/tools/list_changed", NULL);
    list_for_each (link, &conn->listens) {
        struct listen *listen = list_entry(link, struct listen, link);
        if ((listen->wants & LISTEN_TOOLS) && !call_is_over(listen->call))
            say(conn, "notifications/tools/list_changed", tag_new(listen));
    }
}

void conn_end_listens(struct conn *conn, const char *reason) {
    list_for_each (link, &conn->listens) {
        struct listen *listen = list_entry(link, struct listen, link);
        CLEANUP(call_unref) struct call *call = call_ref(listen->call);
        if (call_is_over(call))
            continue;
        call_answer(call, tag_new(listen));
        say(conn, "notifications/cancelled", json_pack("{s:O, s:s}", "requestId", call->id, "reason", reason));
    }
}

static void restore_listen(void *arg, const void *recorded) ON_LOOP {
    const struct listen_record *listen = recorded;
    struct theseus_error err = {0};
    struct conn *conn = arg;

    if (listen->conn != conn->number)
        return;
    json_auto_t *id = jsontext_read(listen->id, &err);
    struct call *call = id ? conn_find_call(conn, id) : NULL;
    if (!call) {
        log_error("a recorded subscription has no request: %s", err.message);
        return;
    }
    queue_leave_held(conn, call);
    conn->in_flight++;
    (void)add(conn, call, (unsigned)listen->wants);
    conn->host->ops->listening(conn->host->arg, conn, call);
}

void listen_restore(struct conn *conn) {
    ledger_each(conn->host->ledger, &listen_kind, restore_listen, conn);
}
