#include "server/server.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/log.h"
#include "ledger/ledgerfile.h"
#include "server/confirm.h"
#include "server/copies.h"
#include "server/handover.h"
#include "server/inner.h"
#include "server/late.h"
#include "server/migrations.h"
#include "server/program.h"
#include "server/restart_inner.h"
#include "server/settings.h"
#include "server/standby.h"
#include "server/wayback.h"

/* Answers on any thread refer to it, and jansson reads a count without regard for other threads: so it is one that
 * jansson does not count, as its own `true` is, and lives as long as the server. */
void server_set_info(struct server *server) {
    const char *name = server->config->server.name;
    json_t *info = json_pack("{s:s, s:s, s:s}", "name", name, "title", "Theseus", "version", THESEUS_VERSION);

    if (!info || json_equal(info, server->methods.server_info)) {
        json_decref(info); /* a name that is no UTF-8, or the same: the one before stays */
        return;
    }
    info->refcount = (size_t)-1;
    server->infos = xreallocarray(server->infos, server->info_count + 1, sizeof(json_t *));
    server->infos[server->info_count++] = info;
    server->methods.server_info = info;
}

static void free_infos(struct server *server) {
    for (size_t i = 0; i < server->info_count; i++) {
        server->infos[i]->refcount = 1;
        json_decref(server->infos[i]);
    }
    free(server->infos);
}

/* The private copies of the image before. Without them the files are copied again. */
static void adopt_images(struct server *server) ON_LOOP {
    CLEANUP(fd_close) int lock = server->follows ? handover_take(server->ledger, KEPT_IMAGES_LOCK) : -1;
    struct theseus_error err = {0};

    if (lock < 0 || !server->image_path)
        return;
    if (imagedir_adopt(server->imagedir, server->image_path, lock, &err) < 0)
        log_warning("the copies of plugins cannot be used again: %s", err.message);
    else
        (void)fd_take(&lock);
}

/* The snapshots of the image before go on being ours. */
static void adopt_snapshots(struct server *server) ON_LOOP {
    struct theseus_error err = {0};

    if (server->follows && upkeep_adopt_lock(server, handover_take(server->ledger, KEPT_SNAPSHOT_LOCK), &err) < 0)
        log_warning("the snapshots of the image before are not taken over: %s", err.message);
}

static int make_clients(struct server *server, struct theseus_error *err) ON_LOOP {
    if (conn_shared_new(&server->conn_shared, err) < 0)
        return -1;
    server->conn_host.shared = server->conn_shared;
    server->clients = clients_new(&(struct clients_origin){
        .host = &server->conn_host, .over = upcalls_on_conn_over, .arg = server, .keep_stdio = !server->listens});
    return 0;
}

static int make_parts(struct server *server, const struct server_args *args, struct theseus_error *err) ON_LOOP {
    const struct config *config = server->config;
    CLEANUP(free) char *database = path_join(config->server.state_dir, "theseus.db");

    /* A server that is no process of its own, as in a test, has its program elsewhere. */
    server->exe_fd = args->argv ? program_open() : open(args->program, O_RDONLY | O_CLOEXEC);
    if (server->exe_fd < 0)
        return fail_errno(err, "cannot open the program that runs ('%s')", args->program);
    server->loop = loop_new();
    if (!server->loop)
        return fail_errno(err, "cannot make an event loop");
    if (server->follows) {
        late_offer(server->ledger);
        arrival_meet_children(server);
    }
    memory_init(server);
    server->workers = workers_new(server->loop, config->server.workers);
    server->lane = lane_new(server->loop, "plugins", "no plugin can be loaded, changed or stopped");
    server->store = store_new(args->database ? args->database : database);
    server->registry = registry_new();
    server->imagedir = imagedir_new(config->server.runtime_dir, config->server.state_dir, server->origin);
    adopt_images(server);
    upcalls_init(server);
    migrations_init(server);
    server->plugins = plugins_new(&server->plugin_host, server->imagedir, server->exe_fd);
    server->methods.plugins = server->plugins;
    arrival_load_early(server);
    server->state = server->plugin_host.state = state_new(server->ledger); /* it may be much: beside the loading */
    upkeep_init(server);
    extensions_init(server);
    adopt_snapshots(server);
    server_set_info(server);
    if (make_clients(server, err) < 0)
        return -1;
    return server->methods.server_info ? 0 : fail(err, ERR_INVALID, "server.name is not valid");
}

static void note_conn(void *arg, const void *record) {
    (void)record;
    *(bool *)arg = true;
}

/* Those that the ledger has; or the first one, if there is one to begin with. */
static int connect_clients(struct server *server, const struct server_args *args, struct theseus_error *err) ON_LOOP {
    bool any = false;

    ledger_each(server->ledger, &conn_kind, note_conn, &any);
    any |= server->follows && (server->listens || ledger_damaged(server->ledger) > 0);
    if (!any)
        return args->in < 0 ? 0 : clients_open(server->clients, args->in, args->out, args->transport, err);
    if (clients_restore(server->clients, server->follows ? -1 : args->in, server->follows ? -1 : args->out, err) < 0)
        return -1;
    if (server->heir.came && args->in >= 0 &&
        clients_open(server->clients, args->in, args->out, args->transport, err) < 0)
        return -1;
    if (server->follows && args->is_torn)
        clients_unknown_position(server->clients);
    return 0;
}

static void watch_signals(struct server *server) ON_LOOP {
    server->signals[0] = signal_watch_new(server->loop, SIGTERM, leave_on_signal, server);
    server->signals[1] = signal_watch_new(server->loop, SIGINT, leave_on_signal, server);
    server->signals[2] = signal_watch_new(server->loop, SIGHUP, upcalls_on_hangup, server);
    server->signals[3] = signal_watch_new(server->loop, SIGUSR2, triggers_on_signal, server);
}

static void has_session(struct server *server) ON_LOOP {
    if ((server->follows && server->was_awake) || clients_are_initialized(server->clients))
        upcalls_wake(server); /* a session that goes on: its tools are wanted again */
}

int server_new(struct server **ret_server, const struct server_args *args, struct config *config, struct ledger *ledger,
               struct theseus_error *err) {
    CLEANUP(server_free) struct server *server = xcalloc(1, sizeof(*server));

    server->source = args->source;
    server->config = config;
    server->ledger = ledger;
    server->exe_fd = -1;
    server->program = xstrdup(args->program);
    server->directory = getcwd(NULL, 0);
    if (!server->directory)
        server->directory = xstrdup("/");
    server->argv = args->argv;
    server->follows = args->follows;
    server->is_back = args->is_back;
    server->listens = args->listens || (args->follows && listening_goes_on(ledger));
    server->recovery.came = args->is_crash;
    server->heir.came = args->is_heir;
    if (server->heir.came)
        heir_prepare(server);
    boot_init(server, args);
    control_init(server);
    restart_init(server);
    if (server->follows) {
        arrival_prepare(server);
        rescue_init(server);
    }
    log_set_level(config->server.log_level);
    int r = make_parts(server, args, err);
    server->plugin_host.rehearsal = args->rehearsal;
    if (r == 0)
        r = connect_clients(server, args, err);
    if (r == 0 && server->listens)
        r = listening_begin(server, args, err);
    if (r < 0) {
        arrival_give_up(ledger, err);
        server->lends_config = true; /* it stays the caller's, and is looked at to the end */
        return -1;
    }
    settings_keep(server);
    extensions_connected(server);
    if (!wayback_is_open())
        standby_begin(server);
    reconfigure_init(server);
    watch_signals(server);
    has_session(server);
    if (server->follows) {
        arrival_begin(server);
        if (args->keeps_settings)
            reconfigure(server, NULL, NULL); /* which says what is wrong with the file */
    } else {
        clients_start(server->clients);
        listening_go(server);
    }
    *ret_server = TAKE_PTR(server);
    return 0;
}

struct server *server_free(struct server *server) {
    if (!server)
        return NULL;
    if (server->loop)
        standby_end(server);
    if (server->presence)
        presence_end(server->presence);
    triggers_fini(server);
    confirm_fini(server);
    restart_fini(server);
    if (server->loop)
        migrations_fini(server);
    recovery_fini(server);
    heir_fini(server);
    control_close(server);
    if (server->clients)
        clients_let_go(server->clients);
    if (server->loop)
        method_env_fini(&server->methods);
    if (server->loop)
        resume_fini(server);
    for (size_t i = 0; i < ARRAY_SIZE(server->signals); i++)
        server->signals[i] = signal_watch_free(server->signals[i]);
    server->leave_timer = timer_free(server->leave_timer);
    memory_fini(server);
    if (server->loop)
        reconfigure_fini(server);
    if (server->plugins)
        plugins_let_go(server->plugins);
    server->workers = workers_free(server->workers); /* no worker is in a plugin from here on */
    server->plugins = plugins_free(server->plugins);
    if (server->loop) {
        loop_forget(server->loop, &server->loaded);
        loop_forget(server->loop, &server->look_again);
        control_fini(server);
    }
    listening_fini(server);
    server->clients = clients_free(server->clients);
    server->lane = lane_free(server->lane);
    extensions_fini(server);
    server->children = children_free(server->children);
    if (server->upkeep.lane)
        upkeep_fini(server);
    server->imagedir = imagedir_remove(server->imagedir);
    server->state = state_free(server->state);
    server->registry = registry_free(server->registry);
    server->store = store_free(server->store);
    server->loop = loop_free(server->loop);
    server->conn_shared = conn_shared_free(server->conn_shared);
    free_infos(server);
    if (!server->lends_config)
        server->config = config_free(server->config);
    if (server->exe_fd >= 0)
        (void)close(server->exe_fd);
    json_decref(server->warned);
    free(server->program);
    free(server->directory);
    free(server->boot_id);
    free(server->origin);
    free(server->started_by);
    free(server->image_path);
    free(server);
    return NULL;
}

int server_run(struct server *server) {
    loop_run(server->loop);
    wayback_close(); /* nobody is there any more for whom another image would go on */
    standby_end(server);
    clients_flush(server->clients);
    extensions_finish(server);
    upkeep_finish(server);
    presence_remove(server->presence);
    leave_end_children(server);
    return server->status;
}

void server_settle(struct server *server) {
    upkeep_finish(server);
}

bool server_turn(struct server *server, int timeout_ms) {
    return loop_turn(server->loop, timeout_ms);
}

void server_load(struct server *server) {
    upcalls_wake(server);
}

bool server_is_loaded(const struct server *server) {
    return plugins_are_loaded(server->plugins);
}

int server_plugin_count(struct server *server) {
    json_auto_t *generations = plugins_generations_new(server->plugins);

    return (int)json_object_size(generations);
}

json_t *server_refused_new(struct server *server) {
    return plugins_refused_new(server->plugins);
}

json_t *server_warnings_new(struct server *server) {
    return warnings_new(server);
}

bool server_is_over(const struct server *server) {
    return server->over;
}

bool server_is_stuck(const struct server *server) {
    return workers_busy(server->workers) > 0 || lane_stuck(server->lane) > 0 || upkeep_is_stuck(server) ||
           extensions_are_stuck(server) || plugins_have_runs(server->plugins);
}

void server_abandon(struct server *server, int status) {
    log_warning("a call or a plugin does not come back; leaving without it");
    leave_end_children(server);
    copies_end(server->ledger);
    ledgerfile_remove(ledger_fd(server->ledger));
    imagedir_clear(server->imagedir); /* whoever is stuck may still be looking at the object */
    log_close();
    _exit(status);
}
