#include "server/inner.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "ledger/ledgerfile.h"
#include "server/confirm.h"
#include "server/copies.h"
#include "server/crash.h"
#include "server/handover.h"
#include "server/late.h"
#include "server/migrations.h"
#include "server/program.h"
#include "server/quarantine.h"
#include "server/restart_inner.h"
#include "server/settings.h"
#include "server/standby.h"
#include "server/supervisor.h"
#include "server/wayback.h"

/* ---- what the lower floors ask for ---- */

/* Is it of another list than the one that clients know? */
static bool takes_digest(char known[static HASH_TEXT_BYTES], const char digest[static HASH_TEXT_BYTES]) {
    bool first = known[0] == '\0', differs = strcmp(digest, known) != 0;

    memcpy(known, digest, HASH_TEXT_BYTES);
    return differs && !first;
}

/* The lists may have changed: clients are told only of those that really have. */
static void on_tools_touched(void *arg) {
    struct server *server = arg;
    char tools[HASH_TEXT_BYTES], resources[HASH_TEXT_BYTES];
    unsigned lists = 0;

    loop_enter();
    if (!plugins_are_loaded(server->plugins))
        return;
    plugins_tools_changed(server->plugins);
    registry_tools_digest(server->registry, tools);
    registry_resources_digest(server->registry, resources);
    if (takes_digest(server->tools_digest, tools))
        lists |= LISTEN_TOOLS;
    if (takes_digest(server->resources_digest, resources))
        lists |= LISTEN_RESOURCES;
    standby_update(server);
    if (lists && server->clients)
        clients_list_changed(server->clients, lists);
    extensions_plugins_changed(server);
}

static void on_refused(void *arg, const struct call *call, const char *name, const char *why) {
    const struct server *server = arg;
    const struct asker by = upkeep_asker(&call->client);

    chronicle_asked(server->upkeep.chronicle, &by, call->client.session, "call", name, why);
}

static void on_generation_idle(void *arg, struct generation *generation) {
    (void)arg;
    loop_enter();
    plugins_on_idle(generation);
}

static void open_log(struct server *server) {
    CLEANUP(free) char *dir = path_join(server->config->server.state_dir, "log");
    CLEANUP(free) char *path = path_join(dir, "theseus.log");
    struct theseus_error err = {0};

    if (log_is_open())
        return;
    if (fs_make_private_dir(server->config->server.state_dir, &err) < 0 || fs_make_private_dir(dir, &err) < 0 ||
        log_open(path, &err) < 0)
        log_warning("there is no log file: %s", err.message);
}

static void on_plugins_loaded(void *arg) {
    struct server *server = arg;

    loop_enter();
    upkeep_loaded(server);
    standby_update(server);
    on_tools_touched(server);
}

/* A probe lives for milliseconds and leaves no trace: files, threads and plugins come with the first real work. */
static bool wake(struct server *server) ON_LOOP {
    if (server->awake)
        return false;
    server->awake = true;
    ledger_be_lean(server->ledger, false);
    if (!server->plugin_host.rehearsal)
        open_log(server);
    log_info("theseus %s, pid %d, serves '%s'", THESEUS_VERSION, (int)getpid(), server->directory);
    if (!crash_is_handled())
        log_info("this build has a sanitizer, which has the signals of crashes: a crash ends the server");
    triggers_apply(server);
    upkeep_wake(server);
    standby_update(server);
    return true;
}

/* Behind an exec the plugins that served come back by themselves; loading their files first would lose their state. */
static void on_wake(void *arg) {
    struct server *server = arg;

    loop_enter();
    if (wake(server) && !(server->follows && server->was_awake))
        plugins_when_loaded(server->plugins, &server->loaded);
}

static void on_conn_ended(void *arg, struct conn *conn) {
    struct method_env *env = arg;
    struct server *server = env->arg;

    loop_enter();
    (void)conn;
    describe_clients_changed(server);
    if (!server->listens)
        leave_begin(server, "the client has closed its end", LEAVE_GRACE_MS);
}

static void on_conn_closed(void *arg, struct conn *conn) {
    struct method_env *env = arg;
    struct server *server = env->arg;

    loop_enter();
    clients_closed(server->clients, conn);
}

static void on_conn_over(void *arg, struct conn *conn) {
    struct server *server = arg;

    loop_enter();
    resume_note_over(server, conn);
    describe_clients_changed(server);
    if (server->listens)
        tidy_later(server->upkeep.tidy);
    else
        leave_closed(server);
}

static void on_acknowledged(void *arg) {
    struct server *server = arg;

    loop_enter();
    tidy_later(server->upkeep.tidy);
}

static bool on_conn_starved(void *arg, struct conn *conn) {
    const struct method_env *env = arg;

    loop_enter();
    return memory_on_starved(env->arg, conn);
}

static void on_reloaded(void *arg, const char *outcome) {
    const struct server *server = arg;

    describe_reconfigured(arg, outcome);
    if (server->listener)
        supervisor_ready();
}

static void on_look_again(void *arg) {
    struct server *server = arg;

    loop_enter();
    if (reconfigure_is_held(server)) {
        server->look_wanted = true;
        return;
    }
    log_info("SIGHUP: the configuration and the plugins are looked at again");
    if (server->listener)
        supervisor_reloading();
    upkeep_asked_to_reload(server, NULL, NULL, NULL);
    reconfigure(server, on_reloaded, server);
    if (server->awake)
        plugins_rescan(server->plugins);
}

/* However many of them have come. */
static void on_hangup(void *arg, int signum) {
    struct server *server = arg;

    loop_enter();
    (void)signum;
    loop_defer(server->loop, &server->look_again);
}

/* ---- making ---- */

static char *random_id(void) {
    unsigned char random[8];

    if (getentropy(random, sizeof(random)) < 0)
        abort();
    return xasprintf("%02x%02x%02x%02x%02x%02x%02x%02x", random[0], random[1], random[2], random[3], random[4],
                     random[5], random[6], random[7]);
}

static char *text_of(struct span span) {
    return xstrndup(span.data, span.len);
}

/* What an image before has left: who we are. */
static void read_boot(void *arg, const void *recorded) {
    const struct boot_record *record = recorded;
    struct server *server = arg;

    free(server->started_by);
    server->origin = text_of(record->origin);
    server->started_by = text_of(record->program);
    server->image_path = record->image_path.len ? text_of(record->image_path) : NULL;
    server->started_ms = (int64_t)record->started_ms;
    server->images = record->images;
    server->last_duration_ms = (int64_t)record->last_duration_ms;
    server->was_awake = record->awake;
    if (record->tools.len < sizeof(server->tools_digest))
        memcpy(server->tools_digest, record->tools.data, record->tools.len);
    if (record->resources.len < sizeof(server->resources_digest))
        memcpy(server->resources_digest, record->resources.data, record->resources.len);
}

/* It goes on under the name of another one, and is itself all the same. */
static void begin_process(struct server *server, const struct server_args *args) {
    free(server->started_by);
    server->started_by = xstrdup(args->started_by ? args->started_by : args->program);
    server->started_ms = clock_wall_ms();
    server->images = 0;
}

static void make_ids(struct server *server, const struct server_args *args) {
    struct boot_record record = {.number = 1};

    server->boot_id = args->boot_id ? xstrdup(args->boot_id) : random_id();
    server->started_by = xstrdup(args->started_by ? args->started_by : args->program);
    server->started_ms = clock_wall_ms();
    if (args->follows)
        (void)ledger_find(server->ledger, &boot_kind, &record, read_boot, server);
    if (!server->origin)
        server->origin = xstrdup(server->boot_id);
    if (server->heir.came)
        begin_process(server, args);
    server->images++;
}

int server_record_boot(struct server *server, struct theseus_error *err) {
    const char *images = imagedir_path(server->imagedir);
    struct boot_record record = {.number = 1,
                                 .origin = span_of(server->origin),
                                 .boot = span_of(server->boot_id),
                                 .program = span_of(server->started_by),
                                 .image_path = span_of(images ? images : ""),
                                 .started_ms = (uint64_t)server->started_ms,
                                 .images = server->images,
                                 .tools = span_of(server->tools_digest),
                                 .resources = span_of(server->resources_digest),
                                 .awake = server->awake,
                                 .last_duration_ms = (uint64_t)server->last_duration_ms};

    return ledger_put(server->ledger, &boot_kind, &record, err);
}

static void wire(struct server *server) {
    const struct config *const *config = (const struct config *const *)&server->config;

    server->plugin_host = (struct plugin_host){
        .loop = server->loop,
        .loop_thread = pthread_self(),
        .ledger = server->ledger,
        .workers = server->workers,
        .lane = server->lane,
        .store = server->store,
        .registry = server->registry,
        .config = config,
        .tools_touched = on_tools_touched,
        .idle = on_generation_idle,
        .control = control_run,
        .misses = missing_on_call,
        .refused = on_refused,
        .secret = upkeep_on_secret,
        .settled = upkeep_on_settled,
        .outdated = server->argv ? migrations_on_outdated : NULL,
        .stuck = rescue_on_stuck,
        .stalled = rescue_on_stalled,
        .explains = recovery_explains,
        .crashed = quarantine_on_crashed,
        .arg = server,
    };
    method_env_init(&server->methods);
    resume_init(server);
    server->methods.loop = server->loop;
    server->methods.config = config;
    server->methods.plugin_host = &server->plugin_host;
    server->methods.boot_id = server->boot_id;
    server->methods.directory = server->directory;
    server->methods.wake = on_wake;
    server->methods.claims = arrival_claims;
    server->methods.refuses = memory_refuses;
    server->methods.resume = resume_asked;
    server->methods.acknowledged = on_acknowledged;
    server->methods.answered = confirm_take_answer;
    server->methods.arg = server;
    server->conn_ops = (struct conn_ops){
        .is_urgent = method_is_urgent,
        .request = method_on_request,
        .listening = method_on_listening,
        .notification = method_on_notification,
        .response = method_on_response,
        .ended = on_conn_ended,
        .closed = on_conn_closed,
        .starved = on_conn_starved,
    };
    server->conn_host = (struct conn_host){
        .loop = server->loop,
        .ledger = server->ledger,
        .config = config,
        .boot_id = server->origin,
        .ops = &server->conn_ops,
        .arg = &server->methods,
    };
    server->loaded = (struct loop_task){.run = on_plugins_loaded, .arg = server};
    server->look_again = (struct loop_task){.run = on_look_again, .arg = server};
}

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
        .host = &server->conn_host, .over = on_conn_over, .arg = server, .keep_stdio = !server->listens});
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
    wire(server);
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
    server->signals[2] = signal_watch_new(server->loop, SIGHUP, on_hangup, server);
    server->signals[3] = signal_watch_new(server->loop, SIGUSR2, triggers_on_signal, server);
}

static void has_session(struct server *server) ON_LOOP {
    if ((server->follows && server->was_awake) || clients_are_initialized(server->clients))
        on_wake(server); /* a session that goes on: its tools are wanted again */
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
    make_ids(server, args);
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
    on_wake(server);
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
