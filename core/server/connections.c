/* Service `connections`: who is connected, how, and since when. */
#include "server/facts.h"
#include "server/inner.h"
#include "server/services.h"

static const char *state_of(struct server *server, const struct conn *conn) ON_LOOP {
    if (conn_is_lost(conn))
        return "disconnected";
    return server->follows && conn_first_line_ns(conn) == 0 ? "restored" : "active";
}

struct listing {
    struct server *server;
    json_t *list;
};

static void add(void *arg, struct conn *conn) {
    const struct listing *listing = arg;

    loop_enter();
    const struct session *session = conn_session(conn);
    (void)json_array_append_new(
        listing->list,
        json_pack("{s:I, s:s, s:O*, s:s, s:I, s:o, s:s, s:i, s:i}", "conn", (json_int_t)conn_number(conn), "session_id",
                  session->id, "client", session->client, "transport", conn_transport(conn), "uid",
                  (json_int_t)conn_uid(conn), "since",
                  facts_time_new(conn_since_ms(conn) > 0 ? conn_since_ms(conn) : -1), "state",
                  state_of(listing->server, conn), "in_flight", conn_in_flight(conn), "held", conn_held(conn)));
}

json_t *service_connections(struct server *server, struct run *run, const json_t *args, const json_t *facts) {
    struct listing listing = {server, json_array()};

    loop_enter();
    json_t *listener = listening_report_new(server);
    (void)run, (void)args, (void)facts;
    clients_each(server->clients, add, &listing);
    return json_pack("{s:o, s:o, s:o}", "connections", listing.list, "listener", listener ? listener : json_null(),
                     "timestamp", facts_now_new());
}
