/* The server's own struct, for the files of this folder that are parts of it. */
#pragma once

#include <signal.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "base/binary.h"
#include "conn/clients.h"
#include "conn/listener.h"
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
#include "server/children.h"
#include "server/chronicle.h"
#include "server/heir.h"
#include "server/keeper.h"
#include "server/late.h"
#include "server/presence.h"
#include "server/quarantine.h"
#include "server/recovery.h"
#include "server/reloads.h"
#include "server/restart_facts.h"
#include "server/resume.h"
#include "server/retrial.h"
#include "server/server.h"
#include "server/sweep.h"
#include "server/tidy.h"
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
    bool held;               /* see reconfigure_hold() */
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

struct preflight;

/* The restart under way, or the last one. See restart.c, arrival.c. */
struct restart {
    struct restart_facts facts;
    bool under_way;
    bool in_place;      /* it turned out that no other image is needed */
    bool unchanged;     /* … nor anything else: the configuration is the same */
    bool paused;        /* tool calls are held */
    enum phase reached; /* by one that failed */
    json_t *errors;     /* owned: of the present or the last one */
    struct run *run;    /* a reference: who asked; NULL: nobody, or is answered */
    struct call *call;  /* the same in the image behind the exec */
    struct binary candidate;
    struct preflight *preflight;               /* owned */
    struct timer *limit, *early, *tick, *rest; /* owned */
    int64_t suspend_began_ns, suspend_limit_ms, interrupted_ns;
    struct loop_task launch, restored, served, next_tool, watched;
    int64_t blocked_ns;
    int turns;     /* of the loop since signals are blocked, or since clients are heard again */
    sigset_t mask; /* before signals were blocked */
    bool masked;
    struct lane_job job;
    bool job_runs;               /* until it has come back, which may be after the restart has failed */
    struct ledger *ledger;       /* borrowed: of the job */
    struct chronicle *chronicle; /* likewise */
    int r;                       /* likewise */
    struct theseus_error err;
    /* measured; negative: not known */
    bool refused; /* the candidate was */
    bool heard;   /* clients are, again */
    int64_t blackout_ns, held_ns;
    struct call **dismissed; /* owned, a reference each: not carried on; told so when this image is there to stay */
    size_t dismissed_count;
    int resumed, unanswered, lost; /* calls that went on; requests and calls that did not come along */
};

/* What the database's schema asks for, and what was done to it. See migrations.c. */
struct migrations {
    bool waits;            /* a restart is asked for when nothing is being loaded any more */
    struct loop_task idle; /* … then */
    struct timer *again;   /* owned: asks again */
    struct loop_task mismatch;
    atomic_bool older, newer; /* the schema was found to be, by any thread */
    bool core_is_older;       /* steps of the core's own are pending … */
    bool core_is_refused;     /* … and were tried in vain */
    bool looks;               /* for something newer, soon: … */
    struct timer *look;       /* … owned: then */
    bool program_wanted;      /* the database is newer, and so may the program be that is there */
    struct stat tried;        /* the program that was tried because the database is newer */
    struct loop_task looked;
    void (*then)(struct server *server);
    /* behind the exec */
    struct lane_job job;
    struct store_steps *parts; /* owned; `applied` says what was done */
    size_t count;
    char *backup; /* owned; NULL: none was made */
    json_t *done; /* owned */
    int r;
    struct theseus_error err;
};

/* What the server does by itself about threads that are stuck. See rescue.c. */
struct rescue {
    bool follows_one;   /* this image came from a restart for their sake */
    bool said;          /* that it is not restarted once more */
    int64_t not_before; /* loop's clock: after one that failed */
};

/* What is done about a lack of memory. See memory.c. */
struct memory {
    struct timer *look;       /* owned; runs while there is too little */
    struct loop_task noticed; /* any thread has found too little */
    int64_t short_ms;         /* loop's clock: since when; 0: there is enough */
};

/* What is kept and written down beside the work. See upkeep.c. */
struct upkeep {
    struct lane *lane; /* of the keeper and the sweep */
    struct chronicle *chronicle;
    struct reloads *reloads;
    struct keeper *keeper;
    struct sweep *sweep;
    struct late *late;
    struct tidy *tidy;
    struct loop_task state_is_back;
    int64_t leaving_since_ms; /* loop's clock; 0: not leaving */
};

/* See confirm.c. */
struct confirm {
    struct list questions; /* owned; once there is `look` */
    struct timer *look;    /* owned; NULL: nobody was asked yet */
};

/* See standby.c. */
struct standby {
    bool on;
    int images_lock, snapshot_lock; /* as they are recorded; -1: none is */
};

/* See listening.c. */
struct listening {
    struct listener *before;                 /* owned: at another path, where the image before listened */
    uint64_t accepted, refused, turned_away; /* by this image */
};

struct server {
    struct config_source source;
    char *program, *directory, *boot_id; /* owned */
    char *origin;                        /* owned: boot id of the first image of this process */
    char *started_by;                    /* owned: the path by which the server was started, and restarts */
    char *const *argv;                   /* borrowed; NULL: this is no process of its own, and cannot restart */
    bool follows, is_back;               /* an earlier image; one that failed, which had followed this one */
    int64_t started_ms;                  /* the process; wall clock */
    uint64_t images;                     /* that have served in it, this one included */
    int64_t last_duration_ms;            /* of a restart; 0: there was none */
    struct restart restart;
    struct migrations migrations;
    struct verdict verdict; /* on the crash that this image follows */
    struct rescue rescue;
    struct memory memory;
    struct recovery recovery;
    struct heir heir;
    struct retrial retrial;
    struct standby standby;
    struct confirm confirm;
    struct children *children;         /* owned: those that an image before has left; NULL: this is the first one */
    int status;                        /* of the process, at its end */
    struct watch_binary *watch_binary; /* owned; NULL: not watching */
    int exe_fd;
    struct loop *loop;
    struct ledger *ledger; /* borrowed */
    struct config *config; /* owned */
    bool lends_config;     /* it could not be made, and the configuration is not its own */
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
    struct conn_shared *conn_shared; /* owned */
    struct clients *clients;         /* owned */
    bool listens;                    /* clients come and go; else there is one, and the server is for it alone */
    struct listener *listener;       /* owned; NULL: not, or not any more */
    struct listening listening;
    struct resume resume;
    char tools_digest[HASH_TEXT_BYTES], resources_digest[HASH_TEXT_BYTES]; /* of the lists that clients know */
    struct loop_task loaded, look_again, asked_by_signal;
    bool look_wanted; /* SIGHUP came while this image arrived */
    bool awake;       /* work was wanted: files may be made, plugins are loaded */
    bool was_awake;   /* an image before was */
    char *image_path; /* owned: the directory of private copies that it had; NULL: none */
    struct signal_watch *signals[4];
    struct reconfigure reconfigure;
    struct control control;
    struct upkeep upkeep;
    json_t *warned;              /* owned: what the log was told of already; NULL: nothing */
    struct mcp_tasks *mcp_tasks; /* owned */
    struct presence *presence;   /* owned */
    struct {
        int64_t count; /* times that configuration and plugins were looked at because a signal asked for it */
        char *outcome; /* owned: of the last one */
        struct loop_task idle;
        bool waits; /* for the plugins, to be counted then */
    } looks;
    struct subscribed *subscribed; /* owned */
    struct loop_task topics;       /* looks what is subscribed to now */
    struct timer *leave_timer;
    bool leaving, closed, cancelled, over;
    int64_t leave_due_ms;
};

/* Names of descriptors that go from image to image. */
#define KEPT_IMAGES_LOCK "images.lock"
#define KEPT_SNAPSHOT_LOCK "snapshot.lock"
#define KEPT_LISTENER "listener"             /* a socket that was bound here … */
#define KEPT_GIVEN_LISTENER "listener.given" /* … or that the process was started with */

/* server.c */
void server_set_info(struct server *server) ON_LOOP; /* what clients are told of the server, from the configuration */

/* upcalls.c: what the lower floors tell and ask */
void upcalls_init(struct server *server) ON_LOOP;
void upcalls_wake(void *arg); /* the first real work */
void upcalls_on_conn_over(void *arg, struct conn *conn);
void upcalls_on_hangup(void *arg, int signum);

/* boot.c: who this server is, from image to image */
void boot_init(struct server *server, const struct server_args *args) ON_LOOP;
MUST_CHECK int boot_keep(struct server *server, struct theseus_error *err) ON_LOOP;

/* warnings.c */
void warnings_look(struct server *server) ON_LOOP;   /* the plugins or the configuration have changed */
json_t *warnings_new(struct server *server) ON_LOOP; /* sentences, with file and line in front; new reference */

/* reconfigure.c */
void reconfigure_init(struct server *server) ON_LOOP;
void reconfigure_fini(struct server *server) ON_LOOP;
void reconfigure(struct server *server, reconfigured_fn *done, void *arg) ON_LOOP; /* done may be NULL */
/* While an image arrives nothing is looked at again: what is asked for meanwhile is done when that is over. */
void reconfigure_hold(struct server *server, bool hold) ON_LOOP;
bool reconfigure_is_held(const struct server *server) ON_LOOP;
bool reconfigure_needs_image(const struct server *server) ON_LOOP;
/* {"file", "line", "text"}: the file as it is now is not taken. New reference; NULL: it is. */
json_t *reconfigure_refused_new(const struct server *server) ON_LOOP;
/* {file, loaded_at, generation, pending_reexec[], refused{file, line, text}}; new reference. */
json_t *reconfigure_report_new(const struct server *server) ON_LOOP;

/* control.c: theseus_control() */
void control_init(struct server *server);
void control_close(struct server *server) ON_LOOP; /* every thread that waits is sent away */
void control_fini(struct server *server) ON_LOOP;  /* no thread can ask any more */
json_t *control_run(void *arg, struct run *run, const char *verb, const json_t *args);

/* triggers.c */
void triggers_on_signal(void *arg, int signum);
void triggers_apply(struct server *server) ON_LOOP; /* as the configuration says now */
void triggers_fini(struct server *server) ON_LOOP;
/* rescue.c: threads that do not come back from a plugin's code */
void rescue_init(struct server *server) ON_LOOP; /* an image that follows another: it is known why */
void rescue_on_stuck(void *arg);
void rescue_on_stalled(void *arg); /* any thread */
/* False: there will be no other image, since that was of no use before, or cannot be. */
bool rescue_from(struct server *server, const char *trouble) ON_LOOP;
json_t *rescue_report_new(const struct server *server, json_t *issues) ON_LOOP; /* for the health check */
/* memory.c: limits.memory */
void memory_init(struct server *server) ON_LOOP;
void memory_fini(struct server *server) ON_LOOP;
void memory_apply(struct server *server) ON_LOOP; /* as the configuration says now */
char *memory_refuses(void *arg);
bool memory_on_starved(struct server *server, struct conn *conn) ON_LOOP; /* conn_ops::starved */
json_t *memory_report_new(struct server *server, json_t *issues) ON_LOOP; /* for the health check */
/* upkeep.c: snapshot, history, sweep */
void upkeep_init(struct server *server) ON_LOOP;   /* before the connection is made */
void upkeep_fini(struct server *server) ON_LOOP;   /* after the plugins, before the store */
void upkeep_wake(struct server *server) ON_LOOP;   /* the first real work: state comes back before plugins load */
void upkeep_loaded(struct server *server) ON_LOOP; /* the plugins are loaded */
void upkeep_reconfigured(struct server *server) ON_LOOP;
/* The plugins will not be loaded, and the snapshot is to be sealed all the same. -1: it cannot be. */
MUST_CHECK int upkeep_begin_without_plugins(struct server *server, struct theseus_error *err) ON_LOOP;
void upkeep_leave(struct server *server) ON_LOOP;  /* seals what there is */
void upkeep_finish(struct server *server) ON_LOOP; /* the same again, when calls have ended; waits for it */
bool upkeep_is_stuck(const struct server *server) ON_LOOP;
void upkeep_on_secret(void *arg, const char *plugin, const char *key, const json_t *value);
void upkeep_on_settled(void *arg);
struct asker upkeep_asker(const struct theseus_client_info *client); /* borrows */
/* For the audit, and for the event that comes of it. `client` NULL: a signal; `refusal` NULL: it is going to be done.
 */
void upkeep_asked_to_reload(struct server *server, const struct theseus_client_info *client, const char *plugin,
                            const char *refusal) ON_LOOP;
void upkeep_configured(struct server *server, const char *outcome) ON_LOOP;
/* The lock of the snapshots, from image to image: what is to be kept open (borrowed; -1: none), and going on with it,
 * which takes it. The latter before anything wakes the server; -1 as well, in an image that follows another. */
int upkeep_lock_fd(const struct server *server) ON_LOOP;
MUST_CHECK int upkeep_adopt_lock(struct server *server, int fd, struct theseus_error *err) ON_LOOP;

/* extensions.c: of the protocol */
void extensions_init(struct server *server) ON_LOOP;
void extensions_connected(struct server *server) ON_LOOP;       /* the connection is there, and not started */
void extensions_plugins_changed(struct server *server) ON_LOOP; /* other generations may serve */
void extensions_let_go(struct server *server) ON_LOOP;          /* the server leaves: tasks are let go */
void extensions_finish(struct server *server) ON_LOOP;          /* what is on its way to the database; waits for it */
void extensions_fini(struct server *server) ON_LOOP;            /* the connection is gone; before the store */
bool extensions_are_stuck(const struct server *server) ON_LOOP;

/* listening.c: the socket on which other clients connect */
bool listening_is_open(const struct config *config); /* may other users connect? */
MUST_CHECK int listening_begin(struct server *server, const struct server_args *args,
                               struct theseus_error *err) ON_LOOP;
bool listening_goes_on(struct ledger *ledger);       /* did the image before, on a socket that it was given? */
void listening_go(struct server *server) ON_LOOP;    /* clients are let in */
void listening_apply(struct server *server) ON_LOOP; /* as the configuration says now */
void listening_end(struct server *server) ON_LOOP;   /* the server leaves: nobody is let in any more */
void listening_fini(struct server *server) ON_LOOP;
json_t *listening_report_new(const struct server *server) ON_LOOP;

/* describe.c: what others see of this server */
void describe_init(struct server *server) ON_LOOP;
void describe_fini(struct server *server) ON_LOOP;  /* the keeper's lane is gone */
void describe_begin(struct server *server) ON_LOOP; /* no probe; and as the configuration says now */
void describe_changed(struct server *server) ON_LOOP;
void describe_clients_changed(struct server *server) ON_LOOP;
void describe_reconfigured(void *arg, const char *outcome); /* because a signal asked for it: see server.looks */

/* missing.c: "; plugin 'x' is refused: why", behind what is said of a tool that is not there; empty: nothing. Owned. */
char *missing_words(struct server *server, const struct call *call) ON_LOOP;
char *missing_on_call(void *arg, const struct call *call); /* for struct plugin_host; on the loop */

/* leave.c */
/* For calls to end, and for cancelled ones to end; with SERVER_TIDYING_MS together under the 1.5 s that a server may
 * take to leave. */
enum { LEAVE_GRACE_MS = 850, LEAVE_CANCELLED_MS = 300 };
void leave_begin(struct server *server, const char *why, int64_t grace_ms) ON_LOOP;
void leave_closed(struct server *server) ON_LOOP;
void leave_on_signal(void *arg, int signum);
void leave_end_children(struct server *server) ON_LOOP; /* what calls have left running */
