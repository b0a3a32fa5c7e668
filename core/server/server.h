/*
 * The server: owns the parts and wires them. Made from a configuration and a ledger; whatever must survive it is in the
 * ledger, so that another server object can go on from there.
 */
#pragma once

#include "base/thread.h"
#include "config/config.h"
#include "ledger/ledger.h"
#include "loop/loop.h"

struct server;

enum { SERVER_TIDYING_MS = 250 }; /* what server_free() may take when a client waits for the end of the process */

struct server_args {
    struct config_source source;
    int in, out;            /* the client's descriptors; borrowed. -1: there is no such client */
    const char *transport;  /* of that connection */
    const char *program;    /* absolute path of theseus itself: test-loads run it */
    const char *boot_id;    /* names the directory of private copies; NULL: a new one */
    const char *database;   /* NULL: theseus.db in the state directory */
    char *const *argv;      /* of the process; NULL: it cannot restart itself */
    const char *started_by; /* path of what it restarts as; NULL: `program` */
    bool follows;        /* an image of this process came before, and has left the ledger: `in` and `out` are there */
    bool is_back;        /* it had been this one, and the one that followed it has failed */
    bool is_crash;       /* it has crashed */
    bool is_heir;        /* it was another process, which is gone: no descriptor is left; see heir.h */
    bool is_torn;        /* what the image before was reading or writing at its end is not known */
    bool keeps_settings; /* its file has a mistake: `config` is what the image before went by */
    bool listens;        /* other clients connect to a socket: the server does not end with a client */
    bool is_given;       /* … which is `given`, bound and listening already; borrowed */
    int given;
    bool rehearsal; /* only to see whether the plugins can be started: nothing happens outside of the process */
};

/* `config` is taken on success. With a ledger that holds a connection, that connection goes on. */
MUST_CHECK int server_new(struct server **ret_server, const struct server_args *args, struct config *config,
                          struct ledger *ledger, struct theseus_error *err) ON_LOOP;
/* Ends everything; the records in the ledger stay. */
struct server *server_free(struct server *server) ON_LOOP;

/* Serves until the client has gone or a signal says so. Returns the exit status. */
int server_run(struct server *server) ON_LOOP;
/* What is kept of its work for later servers is written; server_run() ends with it. */
void server_settle(struct server *server) ON_LOOP;
/* For tests: one turn of the loop. False: nothing happened. */
bool server_turn(struct server *server, int timeout_ms) ON_LOOP;
/* Loads the plugins, if nothing has yet brought that about. Afterwards: files that are refused, [{"file", "reason"}].
 */
void server_load(struct server *server) ON_LOOP;
bool server_is_loaded(const struct server *server) ON_LOOP;
int server_plugin_count(struct server *server) ON_LOOP; /* that serve */
json_t *server_refused_new(struct server *server) ON_LOOP;
json_t *server_warnings_new(struct server *server) ON_LOOP; /* sentences; new reference */
bool server_is_over(const struct server *server) ON_LOOP;
/* Is a thread in code that does not come back? Then nothing can be freed, and the process leaves by _exit(). */
bool server_is_stuck(const struct server *server) ON_LOOP;
/* Leaves the process in that case: child processes are ended, the directory of private copies is removed. */
_Noreturn void server_abandon(struct server *server, int status) ON_LOOP;

DEFINE_LOOP_CLEANUP(struct server *, server_free)
