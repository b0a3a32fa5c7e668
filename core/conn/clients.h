/*
 * The set of all connections of a server: the one that it was started with, on its standard input and output, and those
 * that a listener has accepted. Each has a number that is given out once in the life of the ledger.
 *
 * A connection that is over is told to `over` and freed at the end of the turn, its records with it; the first one, on
 * which the life of a server without listener depends, is kept.
 */
#pragma once

#include "conn/conn.h"

struct clients;

struct clients_origin {
    const struct conn_host *host;
    /* The client has gone, and everything that it has asked for is over. It is freed next, unless `keep_stdio`. */
    void (*over)(void *arg, struct conn *conn);
    void *arg;
    bool keep_stdio;
};

struct clients *clients_new(const struct clients_origin *origin) ON_LOOP;
struct clients *clients_free(struct clients *clients) ON_LOOP; /* the records stay */

/* As conn_open() and conn_accept(). */
MUST_CHECK int clients_open(struct clients *clients, int in, int out, const char *transport,
                            struct theseus_error *err) ON_LOOP;
MUST_CHECK int clients_accept(struct clients *clients, int fd, uid_t uid, struct theseus_error *err) ON_LOOP;
/* All that the ledger has. `in` and `out` as for conn_restore(), of the first one. One that cannot be gone on with is
 * left out and said, save the first one. */
MUST_CHECK int clients_restore(struct clients *clients, int in, int out, struct theseus_error *err) ON_LOOP;
/* For struct conn_ops: that connection is over. */
void clients_closed(struct clients *clients, struct conn *conn) ON_LOOP;

/* One that is lost, and of which nothing is left. */
void clients_drop(struct clients *clients, struct conn *conn) ON_LOOP;

size_t clients_count(struct clients *clients) ON_LOOP; /* without those that are awaited, or over */
struct conn *clients_find(const struct clients *clients, uint64_t number) ON_LOOP; /* NULL: there is none */

/* ---- each of them ---- */

typedef void clients_fn(void *arg, struct conn *conn);
void clients_each(struct clients *clients, clients_fn *visit, void *arg) ON_LOOP; /* in the order of their numbers */
void clients_each_call(struct clients *clients, conn_visit_fn *visit, void *arg) ON_LOOP;
void clients_hear(struct clients *clients) ON_LOOP;
void clients_start(struct clients *clients) ON_LOOP;
void clients_serve(struct clients *clients) ON_LOOP;
void clients_flush(struct clients *clients) ON_LOOP;
void clients_stop_reading(struct clients *clients) ON_LOOP;
void clients_let_go(struct clients *clients) ON_LOOP;
void clients_cancel_all(struct clients *clients) ON_LOOP;
void clients_let_go_detached(struct clients *clients) ON_LOOP;
void clients_unknown_position(struct clients *clients) ON_LOOP;
void clients_sessions_changed(struct clients *clients) ON_LOOP;
void clients_list_changed(struct clients *clients, unsigned lists) ON_LOOP;
void clients_end_listens(struct clients *clients, const char *reason) ON_LOOP;
void clients_tell(struct clients *clients, const char *kind, const char *name, const char *method,
                  json_t *params) ON_LOOP;
bool clients_are_idle(struct clients *clients) ON_LOOP;
bool clients_are_initialized(struct clients *clients) ON_LOOP; /* has any of them a session that goes on? */

DEFINE_LOOP_CLEANUP(struct clients *, clients_free)
