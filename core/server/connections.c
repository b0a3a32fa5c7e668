/* Service `connections`: who is connected, how, and since when. */
#include "server/facts.h"
#include "server/inner.h"
#include "server/services.h"

struct listing {
    struct server *server;
    json_t *list;
};

static void add(void *arg, struct conn *conn) {
    const struct listing *listing = arg;

    loop_enter();
    const struct session *session = conn_session(conn);
    (void)json_array_append_new(
        listing->list, json_pack("{s:I, s:s, s:O*, s:s, s:I, s:o, s:s, s:i, s:i, s:I, s:o}", "conn",
                                 (json_int_t)conn_number(conn), "session_id", session->id, "client", session->client,
                                 "transport", conn_transport(conn), "uid", (json_int_t)conn_uid(conn), "since",
                                 facts_time_new(conn_since_ms(conn) > 0 ? conn_since_ms(conn) : -1), "state",
                                 conn_state(conn), "in_flight", conn_in_flight(conn), "held", conn_held(conn),
                                 "resumptions", (json_int_t)conn_resumptions(conn), "away_since",
                                 conn_away_ms(conn) > 0 ? facts_time_new(conn_away_ms(conn)) : json_null()));
}

json_t *service_connections(struct server *server, struct run *run, const json_t *args, const json_t *facts) {
    struct listing listing = {server, json_array()};

    loop_enter();
    json_t *listener = listening_report_new(server);
    (void)run, (void)args, (void)facts;
    clients_each(server->clients, add, &listing);
    return json_pack("{s:o, s:o, s:o, s:o}", "connections", listing.list, "listener", listener ? listener : json_null(),
                     "resumptions", resume_report_new(server), "timestamp", facts_now_new());
}
