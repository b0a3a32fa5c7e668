#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/log.h"
#include "conn/inner.h"
#include "rpc/jsontext.h"

static struct listen_record record_of(const struct listen *listen, struct span id, struct span topics) {
    const struct call_key *key = &listen->call->key;

    return (struct listen_record){key->conn, key->offset, key->index, id, listen->wants, topics};
}

static int record(struct conn *conn, const struct listen *listen, struct theseus_error *err) {
    CLEANUP(buf_fini) struct buf id = {0};
    CLEANUP(buf_fini) struct buf topics = {0};

    if (jsontext_write(listen->call->id, &id, err) < 0 ||
        (listen->topics && jsontext_write(listen->topics, &topics, err) < 0))
        return -1;
    struct listen_record put = record_of(listen, buf_span(&id), buf_span(&topics));
    return ledger_put(conn->host->ledger, &listen_kind, &put, err);
}

/* Takes the reference to the topics. */
static struct listen *add(struct conn *conn, struct call *call, unsigned wants, json_t *topics) {
    struct listen *listen = xcalloc(1, sizeof(*listen));

    *listen = (struct listen){.call = call, .wants = wants, .topics = topics};
    list_append(&conn->listens, &listen->link);
    list_remove(&call->link);
    conn->in_flight--;
    conn->listen_count++;
    return listen;
}

void listen_free(struct listen *listen) {
    list_remove(&listen->link);
    json_decref(listen->topics);
    free(listen);
}

void listen_topics(struct conn *conn, const json_t *added) {
    if (conn->host->ops->topics)
        conn->host->ops->topics(conn->host->arg, conn, added);
}

int conn_listen(struct conn *conn, struct call *call, unsigned wants, json_t *topics, struct theseus_error *err) {
    if (conn->listen_count >= LIMIT_LISTENS)
        return fail(err, ERR_INTERNAL, "there are %d open subscriptions already", LIMIT_LISTENS);
    struct listen *listen = add(conn, call, wants, json_incref(topics));
    listen_topics(conn, json_object_get(topics, TOPIC_RESOURCES));
    return record(conn, listen, err);
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
    struct listen_record gone = record_of(listen, (struct span){0}, (struct span){0});
    if (ledger_drop(conn->host->ledger, &listen_kind, &gone, &err) < 0)
        log_error("%s", err.message);
    conn->listen_count--;
    listen_free(listen);
    listen_topics(conn, NULL);
}

void listen_drop_all(struct conn *conn, struct batch *batch) {
    list_for_each (link, &conn->listens) {
        struct listen_record gone =
            record_of(list_entry(link, struct listen, link), (struct span){0}, (struct span){0});
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

static const struct {
    unsigned list;
    const char *method;
} changes[] = {{LISTEN_TOOLS, "notifications/tools/list_changed"},
               {LISTEN_RESOURCES, "notifications/resources/list_changed"}};

static void tell_changed(struct conn *conn, unsigned list, const char *method) {
    if (conn->session.initialized)
        say(conn, method, NULL);
    list_for_each (link, &conn->listens) {
        struct listen *listen = list_entry(link, struct listen, link);
        if ((listen->wants & list) && !call_is_over(listen->call))
            say(conn, method, tag_new(listen));
    }
}

/* A client that does not read is told once, when it reads again. */
void conn_list_changed(struct conn *conn, unsigned lists) {
    conn->changed = output_is_full(conn) ? conn->changed | lists : 0;
    if (conn->changed)
        return;
    for (size_t i = 0; i < ARRAY_SIZE(changes); i++)
        if (lists & changes[i].list)
            tell_changed(conn, changes[i].list, changes[i].method);
}

static bool has_name(const json_t *names, const char *name) {
    json_t *one;
    size_t i;

    json_array_foreach (names, i, one) {
        if (strcmp(json_string_value(one), name) == 0)
            return true;
    }
    return false;
}

static void visit_names(const json_t *names, conn_topic_fn *visit, void *arg) {
    const json_t *name;
    size_t i;

    json_array_foreach (names, i, name)
        visit(arg, json_string_value(name));
}

void conn_each_topic(struct conn *conn, const char *kind, conn_topic_fn *visit, void *arg) {
    if (strcmp(kind, TOPIC_RESOURCES) == 0)
        visit_names(conn->session.subscriptions, visit, arg);
    list_for_each (link, &conn->listens)
        visit_names(json_object_get(list_entry(link, struct listen, link)->topics, kind), visit, arg);
}

/* A client that does not read is spared: what it missed it can ask for. */
void conn_tell(struct conn *conn, const char *kind, const char *name, const char *method, json_t *params) {
    if (output_is_full(conn))
        return;
    if (strcmp(kind, TOPIC_RESOURCES) == 0 && has_name(conn->session.subscriptions, name))
        say(conn, method, json_incref(params));
    list_for_each (link, &conn->listens) {
        struct listen *listen = list_entry(link, struct listen, link);
        if (!has_name(json_object_get(listen->topics, kind), name) || call_is_over(listen->call))
            continue;
        json_t *tagged = tag_new(listen);
        (void)json_object_update_missing(tagged, params);
        say(conn, method, tagged);
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

void listen_restore(struct conn *conn, const struct listen_record *listen) {
    struct theseus_error err = {0};

    json_auto_t *id = jsontext_read(listen->id, &err);
    struct call *call = id ? conn_find_call(conn, id) : NULL;
    if (!call) {
        log_error("a recorded subscription has no request: %s", err.message);
        return;
    }
    json_t *topics = listen->topics.len ? jsontext_read(listen->topics, &err) : NULL;
    if (listen->topics.len && !topics)
        log_error("the topics of a recorded subscription cannot be read: %s", err.message);
    queue_leave_held(conn, call);
    conn->in_flight++;
    (void)add(conn, call, (unsigned)listen->wants, topics);
    conn->host->ops->listening(conn->host->arg, conn, call);
}
