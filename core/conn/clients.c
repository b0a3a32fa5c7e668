#include "conn/clients.h"

#include <stdlib.h>

#include "base/log.h"
#include "conn/inner.h"

#define NUMBERS_NAME "clients"

struct clients {
    struct clients_origin origin;
    struct list conns;     /* conn::link, owned; in the order of their numbers */
    struct list over;      /* conn::link, owned: to be freed at the end of the turn */
    struct map *by_number; /* uint64_t → struct conn: of both lists */
    uint64_t last;         /* number that was given out */
    struct loop_task reap;
};

static struct span key_of(const uint64_t *number) {
    return (struct span){(const char *)number, sizeof(*number)};
}

static void add(struct clients *clients, struct conn *conn) {
    list_append(&clients->conns, &conn->link);
    (void)map_put(clients->by_number, key_of(&conn->number), conn);
    if (conn->number > clients->last)
        clients->last = conn->number;
}

/* ---- the end of one ---- */

static void on_reap(void *arg) {
    struct clients *clients = arg;
    struct list over;

    loop_enter();
    list_init(&over);
    list_splice(&over, &clients->over);
    list_for_each (link, &over) {
        struct conn *conn = list_entry(link, struct conn, link);
        log_info("connection %d is over", (int)conn->number);
        (void)map_take(clients->by_number, key_of(&conn->number));
        (void)conn_end(conn);
    }
}

void clients_closed(struct clients *clients, struct conn *conn) {
    if (clients->origin.keep_stdio && conn_is_stdio(conn)) {
        conn_forget(conn);
        clients->origin.over(clients->origin.arg, conn);
        return;
    }
    if (!conn->lost)
        conn_lose(conn);
    if (!list_empty(&conn->detached))
        return; /* it is told once more when they are over */
    conn->told = true;
    list_remove(&conn->link);
    list_append(&clients->over, &conn->link);
    listen_topics(conn, NULL);
    loop_defer(conn->host->loop, &clients->reap);
    clients->origin.over(clients->origin.arg, conn);
}

void clients_drop(struct clients *clients, struct conn *conn) {
    conn->told = true;
    list_remove(&conn->link);
    list_append(&clients->over, &conn->link);
    loop_defer(conn->host->loop, &clients->reap);
}

/* ---- life ---- */

struct clients *clients_new(const struct clients_origin *origin) {
    struct clients *clients = xcalloc(1, sizeof(*clients));

    clients->origin = *origin;
    clients->by_number = map_new();
    clients->reap = (struct loop_task){.run = on_reap, .arg = clients};
    list_init(&clients->conns);
    list_init(&clients->over);
    return clients;
}

struct clients *clients_free(struct clients *clients) {
    if (!clients)
        return NULL;
    loop_forget(clients->origin.host->loop, &clients->reap);
    list_splice(&clients->conns, &clients->over);
    list_for_each (link, &clients->conns)
        (void)conn_free(list_entry(link, struct conn, link));
    clients->by_number = map_free(clients->by_number);
    free(clients);
    return NULL;
}

/* One that no other connection has had, and none will have. */
static int next_number(struct clients *clients, uint64_t *ret_number, struct theseus_error *err) {
    struct counter_record record = {.name = span_of(NUMBERS_NAME), .value = clients->last + 1};

    if (ledger_put(clients->origin.host->ledger, &counter_kind, &record, err) < 0)
        return -1;
    *ret_number = ++clients->last;
    return 0;
}

int clients_open(struct clients *clients, int in, int out, const char *transport, struct theseus_error *err) {
    struct conn *conn = NULL;
    uint64_t number;

    if (next_number(clients, &number, err) < 0 ||
        conn_open(&conn, clients->origin.host, number, in, out, transport, err) < 0)
        return -1;
    add(clients, conn);
    return 0;
}

static int awaited_of(struct clients *clients, uid_t uid) ON_LOOP {
    int count = 0;

    list_for_each (link, &clients->conns) {
        const struct conn *conn = list_entry(link, struct conn, link);
        count += conn->waits && conn_uid(conn) == uid;
    }
    return count;
}

/* The oldest one of the user who has most of them: others do not pay for it. */
static struct conn *one_too_many(struct clients *clients) ON_LOOP {
    struct conn *oldest = NULL;
    int most = 0;

    list_for_each (link, &clients->conns) {
        struct conn *conn = list_entry(link, struct conn, link);
        bool is_same = oldest && conn_uid(conn) == conn_uid(oldest);
        int count = !conn->waits ? 0 : is_same ? most : awaited_of(clients, conn_uid(conn));
        if (count > most || (conn->waits && is_same && conn->away_ms < oldest->away_ms))
            oldest = conn;
        most = count > most ? count : most;
    }
    return oldest;
}

/* Sessions that are awaited cost memory, too: no more of them than there may be clients. */
static void limit_awaited(struct clients *clients) ON_LOOP {
    int awaited = 0, max = (*clients->origin.host->config)->limits.max_clients;

    list_for_each (link, &clients->conns)
        awaited += list_entry(link, struct conn, link)->waits;
    if (awaited > max)
        resume_give_up(one_too_many(clients));
}

int clients_accept(struct clients *clients, int fd, uid_t uid, struct theseus_error *err) {
    CLEANUP(fd_close) int owned = fd;
    struct conn *conn = NULL;
    uint64_t number;

    if (next_number(clients, &number, err) < 0 ||
        conn_accept(&conn, clients->origin.host, number, fd_take(&owned), uid, err) < 0)
        return -1;
    limit_awaited(clients);
    add(clients, conn);
    conn_start(conn);
    return 0;
}

/* ---- coming back ---- */

struct found {
    struct conn_restored *items; /* owned */
    size_t count;
};

static void note_conn(void *arg, const void *recorded) {
    const struct conn_record *record = recorded;
    struct found *found = arg;

    if ((found->count & (found->count - 1)) == 0) /* full: it grows by doubling */
        found->items = xreallocarray(found->items, 2 * found->count + 1, sizeof(struct conn_restored));
    found->items[found->count++] = (struct conn_restored){.number = record->conn, .in = -1, .out = -1};
}

static void note_counter(void *arg, const void *record) {
    *(uint64_t *)arg = ((const struct counter_record *)record)->value;
}

int clients_restore(struct clients *clients, int in, int out, struct theseus_error *err) {
    struct ledger *ledger = clients->origin.host->ledger;
    struct counter_record counter = {.name = span_of(NUMBERS_NAME)};
    struct found found = {0};
    int r = 0;

    (void)ledger_find(ledger, &counter_kind, &counter, note_counter, &clients->last);
    ledger_each(ledger, &conn_kind, note_conn, &found);
    if (found.count == 0 && clients->origin.keep_stdio)
        note_conn(&found, &(struct conn_record){.conn = 1}); /* its record is lost; the client is there */
    if (found.count > 0) {
        found.items[0].in = in;
        found.items[0].out = out;
    }
    conn_restore_all(clients->origin.host, found.items, found.count);
    for (size_t i = 0; i < found.count; i++) {
        if (found.items[i].conn) {
            add(clients, found.items[i].conn);
            continue;
        }
        log_error("connection %d does not go on: %s", (int)found.items[i].number, found.items[i].err.message);
        if (i == 0 && clients->origin.keep_stdio) {
            *err = found.items[i].err;
            r = -1;
        }
    }
    free(found.items);
    return r;
}

/* ---- which there are ---- */

struct conn *clients_find(const struct clients *clients, uint64_t number) {
    return map_get(clients->by_number, key_of(&number));
}

void clients_each(struct clients *clients, clients_fn *visit, void *arg) {
    list_for_each (link, &clients->conns)
        visit(arg, list_entry(link, struct conn, link));
}

#define each(conn, clients)                 \
    list_for_each (link, &(clients)->conns) \
        for (struct conn *conn = list_entry(link, struct conn, link); conn; conn = NULL)

size_t clients_count(struct clients *clients) {
    size_t count = 0;

    each(conn, clients) count += !conn->waits; /* who is over has no descriptors any more */
    return count;
}

void clients_each_call(struct clients *clients, conn_visit_fn *visit, void *arg) {
    each(conn, clients) conn_each_call(conn, visit, arg);
}

void clients_hear(struct clients *clients) {
    each(conn, clients) conn_hear(conn);
}

void clients_start(struct clients *clients) {
    each(conn, clients) conn_start(conn);
}

void clients_serve(struct clients *clients) {
    each(conn, clients) conn_serve(conn);
}

void clients_flush(struct clients *clients) {
    each(conn, clients) conn_flush(conn);
}

void clients_stop_reading(struct clients *clients) {
    each(conn, clients) conn_stop_reading(conn);
}

void clients_let_go(struct clients *clients) {
    each(conn, clients) conn_let_go(conn);
}

void clients_cancel_all(struct clients *clients) {
    each(conn, clients) conn_cancel_all(conn);
}

void clients_let_go_detached(struct clients *clients) {
    each(conn, clients) conn_let_go_detached(conn);
}

void clients_unknown_position(struct clients *clients) {
    each(conn, clients) conn_unknown_position(conn);
}

void clients_sessions_changed(struct clients *clients) {
    each(conn, clients) conn_session_changed(conn);
}

void clients_list_changed(struct clients *clients, unsigned lists) {
    each(conn, clients) conn_list_changed(conn, lists);
}

void clients_end_listens(struct clients *clients, const char *reason) {
    each(conn, clients) conn_end_listens(conn, reason);
}

void clients_tell(struct clients *clients, const char *kind, const char *name, const char *method, json_t *params) {
    each(conn, clients) conn_tell(conn, kind, name, method, params);
}

bool clients_are_idle(struct clients *clients) {
    bool idle = true;

    each(conn, clients) idle &= conn_is_idle(conn);
    return idle;
}

bool clients_are_initialized(struct clients *clients) {
    bool any = false;

    each(conn, clients) any |= conn->session.initialized;
    return any;
}
