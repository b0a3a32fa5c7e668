#include "server/sessions.h"

#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static json_t *text_new(struct span text) {
    return text.len > 0 ? json_stringn(text.data, text.len) : json_null();
}

static json_t *json_of(struct span text) {
    json_t *value = text.len > 0 ? json_loadb(text.data, text.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL) : NULL;

    return value ? value : json_null();
}

/* ---- is somebody there? ---- */

enum presence { PRESENT, HUNG_UP, CLOSED };
static const char *const state_names[] = {"active", "disconnected", "disconnected"};

static enum presence presence_of(uint64_t fd) {
    struct pollfd asked = {.fd = (int)fd};

    if (fd > INT32_MAX || poll(&asked, 1, 0) < 0 || (asked.revents & POLLNVAL))
        return CLOSED;
    return asked.revents & (POLLERR | POLLHUP) ? HUNG_UP : PRESENT;
}

static void add_reason(json_t *session, enum presence in, enum presence out) {
    static const char *const words[] = {NULL, "the client has closed its end of",
                                        "the server has no open descriptor for"};
    enum presence worst = in > out ? in : out;

    if (worst == PRESENT)
        return;
    json_t *reason = json_pack("s++", words[worst], " the connection's ", worst == in ? "input" : "output");
    (void)json_object_set_new(session, "reason", reason);
}

/* ---- is there a way to tell it something? ---- */

struct search {
    uint64_t conn;
    bool found;
};

static void find_listen(void *arg, const void *record) {
    struct search *search = arg;

    if (((const struct listen_record *)record)->conn == search->conn)
        search->found = true;
}

struct listing {
    struct ledger *ledger;
    json_t *list;
};

static void add_session(void *arg, const void *recorded) {
    const struct conn_record *record = recorded;
    const struct listing *listing = arg;
    struct search search = {.conn = record->conn, .found = record->log_level > 0};
    const enum presence in = presence_of(record->fd_in), out = presence_of(record->fd_out);

    if (!search.found)
        ledger_each(listing->ledger, &listen_kind, find_listen, &search);
    json_t *session = json_pack("{s:I, s:o, s:o, s:o, s:s, s:b, s:b}", "conn", (json_int_t)record->conn, "session_id",
                                text_new(record->session), "client", json_of(record->client), "transport",
                                text_new(record->transport), "state", state_names[in > out ? in : out], "reachable",
                                in == PRESENT && out == PRESENT, "notifiable", search.found);
    if (record->away_ms > 0)
        (void)json_object_set_new(session, "awaited", json_true());
    else
        add_reason(session, in, out);
    (void)json_array_append_new(listing->list, session);
}

json_t *sessions_new(struct ledger *ledger) {
    struct listing listing = {ledger, json_array()};

    ledger_each(ledger, &conn_kind, add_session, &listing);
    return listing.list;
}
