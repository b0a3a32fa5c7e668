/*
 * What clients hear of a restart that they did not ask for: that one is coming, and what became of it. Only a restart
 * by another image is told of, and its end only where its beginning was.
 */
#include "rpc/revision.h"
#include "server/restart_inner.h"

struct notice {
    int level;
    json_t *data;
};

static void tell_one(void *arg, struct conn *conn) ON_LOOP {
    const struct notice *notice = arg;

    conn_notice(conn, notice->level, notice->data);
}

/* Steals `data`. */
static void tell(struct server *server, const char *level, json_t *data) ON_LOOP {
    json_auto_t *owned = data;
    struct notice notice = {revision_log_level(level), owned};

    if (owned && server->clients)
        clients_each(server->clients, tell_one, &notice);
}

void restart_tell_pending(struct server *server) {
    struct restart_facts *facts = &server->restart.facts;

    facts->flags |= RESTART_TOLD;
    tell(server, "notice",
         json_pack("{s:s, s:s, s:s}", "event", "restart_pending", "reason", facts->reason, "message",
                   "the server is about to restart; requests are kept, and answered afterwards"));
}

void restart_tell_end(struct server *server, enum phase phase) {
    const struct restart *restart = &server->restart;
    const char *reason = restart->facts.reason ? restart->facts.reason : "";

    if (!(restart->facts.flags & RESTART_TOLD))
        return;
    if (phase == PHASE_COMPLETE) {
        tell(server, "notice",
             json_pack("{s:s, s:s, s:f, s:s}", "event", "restart_complete", "reason", reason, "blackout_ms",
                       (double)(restart->blackout_ns / 1000) / 1000, "message", "the server was restarted"));
        return;
    }
    const json_t *error = json_array_get(restart->errors, json_array_size(restart->errors) - 1);
    json_t *why = json_object_get(error, "message");
    tell(server, "warning",
         json_pack("{s:s, s:s, s:s, s:O?}", "event", "restart_failed", "reason", reason, "message",
                   "the restart failed, and the server goes on as before", "error", why));
}
