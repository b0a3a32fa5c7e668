/* The server's own struct, for the files of this folder that are parts of it. */
#pragma once

#include "conn/conn.h"
#include "loop/lane.h"
#include "loop/signal.h"
#include "loop/timer.h"
#include "loop/watch.h"
#include "loop/workers.h"
#include "method/method.h"
#include "plugin/imagedir.h"
#include "plugin/plugins.h"
#include "plugin/registry.h"
#include "plugin/state.h"
#include "server/server.h"
#include "store/store.h"

/* Somebody who wants the configuration read again: told once what came of it. */
typedef void reconfigured_fn(void *arg, const char *outcome); /* "unchanged", "reloaded", "refused: …" */

/* Why the files as they are now are not taken; text NULL: they are. */
struct refusal {
    char *file, *text; /* owned; file NULL: it is of no file */
    int line;          /* 0: of no line */
};

struct reconfigure {
    struct watch *watch; /* owned; NULL: not watching */
    char **dirs;         /* owned, NULL-terminated */
    struct config *next; /* owned: read, and being asked about */
    struct refusal refused;
    struct config *at_start; /* owned: what this image began with; NULL: server.config is that */
    int64_t loaded_ms;       /* wall clock: when the present one was taken */
    unsigned generation;     /* configurations that were taken, the first included */
    bool busy, again;
    struct list waiting; /* who wants to know; owned */
    struct loop_task start;
};

struct control {
    pthread_mutex_t lock;
    struct list waiting; /* question::link: threads that wait for the loop; under the lock */
    struct list open;    /* question::on_loop: what the loop has still to do with; under the lock */
    bool closed;
};

struct server {
    struct config_source source;
    char *program, *directory, *boot_id; /* owned */
    int exe_fd;
    struct loop *loop;
    struct ledger *ledger; /* borrowed */
    struct config *config; /* owned */
    struct workers *workers;
    struct lane *lane;
    struct store *store;
    struct registry *registry;
    struct state *state;
    struct imagedir *imagedir;
    struct plugins *plugins;
    struct plugin_host plugin_host;
    struct method_env methods;
    json_t **infos; /* owned: the present methods.server_info last, and those before it */
    size_t info_count;
    struct conn_ops conn_ops;
    struct conn_host conn_host;
    struct conn *conn;
    char tools_digest[33]; /* of the list that clients know */
    struct loop_task loaded;
    bool awake; /* work was wanted: files may be made, plugins are loaded */
    struct signal_watch *signals[4];
    struct reconfigure reconfigure;
    struct control control;
    struct timer *leave_timer;
    bool leaving, closed, cancelled, over;
    int64_t leave_due_ms;
    int64_t started_ns;
};

/* server.c */
void server_set_info(struct server *server) ON_LOOP; /* what clients are told of the server, from the configuration */

/* reconfigure.c */
void reconfigure_init(struct server *server) ON_LOOP;
void reconfigure_fini(struct server *server) ON_LOOP;
void reconfigure(struct server *server, reconfigured_fn *done, void *arg) ON_LOOP; /* done may be NULL */
/* {file, loaded_at, generation, pending_reexec[], refused{file, line, text}}; new reference. */
json_t *reconfigure_report_new(const struct server *server) ON_LOOP;

/* control.c: theseus_control() */
void control_init(struct server *server);
void control_close(struct server *server) ON_LOOP; /* every thread that waits is sent away */
void control_fini(struct server *server) ON_LOOP;  /* no thread can ask any more */
json_t *control_run(void *arg, struct run *run, const char *verb, const json_t *args);

/* leave.c */
/* For calls to end, and for cancelled ones to end; with SERVER_TIDYING_MS together under the 1.5 s that a server may
 * take to leave. */
enum { LEAVE_GRACE_MS = 850, LEAVE_CANCELLED_MS = 300 };
void leave_begin(struct server *server, const char *why, int64_t grace_ms) ON_LOOP;
void leave_closed(struct server *server) ON_LOOP;
void leave_on_signal(void *arg, int signum);
void leave_end_children(struct server *server) ON_LOOP; /* what calls have left running */
