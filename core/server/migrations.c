#include "server/migrations.h"

#include <stdlib.h>

#include "base/log.h"
#include "server/restart_inner.h"
#include "server/wayback.h"
#include "store/schema.h"
#include "store/upgrade.h"

enum {
    AGAIN_MS = 500, /* what a failed restart has begun is still ending */
    LOOK_MS = 100,  /* however many calls find the database newer */
};

/* ---- asking for a restart ---- */

/* A program that may know the database, other than the one that runs; each is tried once. */
static bool has_other_program(struct server *server) {
    struct stat running, there;

    return fstat(server->exe_fd, &running) == 0 && stat(server->started_by, &there) == 0 &&
           !binary_is_same(&running, &there) && !binary_is_same(&server->migrations.tried, &there);
}

static bool is_wanted(const struct server *server) ON_LOOP {
    const struct migrations *migrations = &server->migrations;

    return plugins_proposals(server->plugins) > 0 || (migrations->core_is_older && !migrations->core_is_refused) ||
           migrations->program_wanted;
}

static void ask(struct server *server) ON_LOOP {
    const struct asker by = {.transport = "schema", .uid = -1};
    const struct restart_request request = {.reason = "schema_migration",
                                            .graceful = true,
                                            .preserve_state = true,
                                            .timeout_s = server->config->restart.total_restart,
                                            .by = &by};
    struct theseus_error err = {0};

    if (server->restart.job_runs)
        timer_start(server->migrations.again, AGAIN_MS, 0);
    else if (restart_ask(server, &request, &err) < 0)
        log_warning("the database's schema cannot be migrated: no restart: %s", err.message);
}

static void on_idle(void *arg) {
    struct server *server = arg;

    loop_enter();
    server->migrations.waits = false;
    if (!is_wanted(server) || server->restart.under_way || server->leaving)
        return;
    server->migrations.program_wanted = false; /* tried once */
    ask(server);
}

/* What else is being loaded may want the same. One under way takes it along, or calls us when it is over. */
static void ask_when_idle(struct server *server) ON_LOOP {
    struct migrations *migrations = &server->migrations;

    if (migrations->waits || server->restart.under_way)
        return;
    migrations->waits = true;
    plugins_when_idle(server->plugins, &migrations->idle);
}

static void on_again(void *arg) {
    loop_enter();
    ask_when_idle(arg);
}

void migrations_on_outdated(void *arg) {
    loop_enter();
    ask_when_idle(arg);
}

static const char *why_it_failed(const struct server *server) {
    const json_t *error = json_array_get(server->restart.errors, 0);
    const char *text = json_string_value(json_object_get(error, "message"));
    const char *problem = json_string_value(json_object_get(error, "text")); /* of the configuration */

    return text ? text : problem ? problem : "the restart failed";
}

void migrations_on_restarted(struct server *server) {
    const struct restart_facts *facts = &server->restart.facts;

    if (restart_is_for_schema(server) && !server->recovery.came)
        server->migrations.core_is_refused = facts->phase != PHASE_COMPLETE;
    if (facts->phase == PHASE_COMPLETE)
        plugins_drop_proposals(server->plugins);
    else if (!server->recovery.came)
        plugins_withdraw(server->plugins, restart_is_for_schema(server) ? why_it_failed(server) : NULL);
    else if (server->restart.reached <= PHASE_STARTING) /* who knows what the crash was for: it is tried again */
        plugins_withdraw(server->plugins, NULL);
    else if (server->recovery.note.plugin[0])
        plugins_give_up(server->plugins, server->recovery.note.plugin, server->recovery.what);
    if (is_wanted(server))
        ask_when_idle(server);
}

/* ---- a schema that is not what this program knows ---- */

static void look_for_newer(struct server *server) ON_LOOP {
    struct migrations *migrations = &server->migrations;

    plugins_look(server->plugins);
    if (!has_other_program(server) || stat(server->started_by, &migrations->tried) < 0)
        return;
    log_info("the database is newer than this program, and another one stands at '%s'", server->started_by);
    migrations->program_wanted = true;
    ask_when_idle(server);
}

static void on_look(void *arg) {
    struct server *server = arg;

    loop_enter();
    server->migrations.looks = false;
    atomic_store(&server->migrations.newer, false);
    if (!server->leaving)
        look_for_newer(server);
}

static void on_mismatch(void *arg) {
    struct server *server = arg;
    struct migrations *migrations = &server->migrations;

    loop_enter();
    if (!server->argv || server->plugin_host.rehearsal)
        return; /* a server that cannot restart */
    if (atomic_exchange(&migrations->older, false)) {
        migrations->core_is_older = true;
        if (is_wanted(server))
            ask_when_idle(server);
    }
    if (!atomic_load(&migrations->newer) || migrations->looks)
        return;
    migrations->looks = true;
    timer_start(migrations->look, LOOK_MS, 0);
}

/* Any thread. */
static void on_told(void *arg, enum errc code) {
    struct server *server = arg;
    struct migrations *migrations = &server->migrations;

    atomic_store(code == ERR_NEWER ? &migrations->newer : &migrations->older, true);
    loop_post_task(server->loop, &migrations->mismatch);
}

/* ---- looking for what is pending ---- */

static void on_looked(void *arg) {
    struct server *server = arg;

    loop_enter();
    if (restart_goes_on(server) && restart_is_for_schema(server))
        server->migrations.then(server);
}

void migrations_look(struct server *server, migrations_fn *then) {
    struct migrations *migrations = &server->migrations;

    migrations->then = then;
    migrations->looked = (struct loop_task){.run = on_looked, .arg = server};
    plugins_rescan(server->plugins);
    loop_forget(server->loop, &migrations->looked);
    plugins_when_idle(server->plugins, &migrations->looked);
}

/* ---- behind the exec ---- */

/* The commit is the second point of no return: an older image would not know the schema. */
static void on_committing(void *arg) {
    (void)arg;
    wayback_hold();
}

static int steps_known(const struct store_steps *part) {
    int known = 0;

    while (part->steps && part->steps[known])
        known++;
    return known;
}

/*
 * What the database is ahead of belongs to somebody newer, and is not touched; the others go on. What has no tables yet
 * makes them when it is started, or first needs them. On the lane.
 */
static int choose_parts(struct server *server, struct theseus_error *err) {
    struct migrations *migrations = &server->migrations;
    size_t count = 0;

    for (size_t i = 0; i < migrations->count; i++) {
        const struct store_steps *part = &migrations->parts[i];
        struct theseus_error why = {0};
        int pending = 0;
        int r = store_pending(server->store, part->component, part->steps, &pending, &why);
        if (r < 0 && why.code != ERR_NEWER)
            return fail(err, (enum errc)why.code, "%s", why.message);
        if (r == 0 && pending < steps_known(part))
            migrations->parts[count++] = *part;
    }
    migrations->count = count;
    return 0;
}

static int migrate(struct server *server, struct theseus_error *err) {
    struct migrations *migrations = &server->migrations;
    const int64_t left = restart_left_ms(&server->restart);

    if (choose_parts(server, err) < 0)
        return -1;
    const struct upgrade upgrade = {.parts = migrations->parts,
                                    .count = migrations->count,
                                    .wait_ms = left > 1 ? (int)left : 1,
                                    .committing = on_committing};
    return upgrade_run(server->store, &upgrade, &migrations->backup, err);
}

static void migrate_run(void *job) {
    struct migrations *migrations = container_of((struct lane_job *)job, struct migrations, job);
    struct server *server = container_of(migrations, struct server, migrations);

    migrations->r = migrate(server, &migrations->err);
    if (migrations->r < 0)
        wayback_release();
    else if (migrations->backup)
        wayback_close();
    else
        wayback_release(); /* nothing was pending any more, or there was nothing to lose */
}

static void note_done(struct migrations *migrations) {
    CLEANUP(buf_fini) struct buf text = {0};

    for (size_t i = 0; i < migrations->count; i++) {
        const struct store_steps *part = &migrations->parts[i];
        int known = steps_known(part);
        if (part->applied == 0)
            continue;
        (void)json_array_append_new(migrations->done, json_pack("{s:s, s:i, s:i}", "component", part->component,
                                                                "steps", part->applied, "version", known));
        if (buf_printf(&text, NULL, "%s%s %d", text.len ? ", " : "", part->component, known) < 0)
            abort(); /* no memory for a few names */
    }
    CLEANUP(free) char *list = text.len ? buf_take_string(&text) : xstrdup("nothing, another process was faster");
    log_info("the database's schema is migrated: %s%s%s", list,
             migrations->backup ? "; the database before is in " : "", migrations->backup ? migrations->backup : "");
}

static void on_migrated(struct lane_job *job, bool timed_out) {
    struct migrations *migrations = container_of(job, struct migrations, job);
    struct server *server = container_of(migrations, struct server, migrations);

    loop_enter();
    (void)timed_out; /* it has no limit of its own: the alarm is there */
    if (migrations->r < 0) {
        arrival_give_up(server->ledger, &migrations->err);
        return;
    }
    note_done(migrations);
    migrations->then(server);
}

static void on_mustered(void *arg, struct store_steps *schemas, size_t count, const struct theseus_error *err) {
    struct server *server = arg;
    struct migrations *migrations = &server->migrations;

    loop_enter();
    migrations->parts = xreallocarray(schemas, count + 1, sizeof(*schemas));
    migrations->parts[count] = (struct store_steps){.component = SCHEMA_CORE, .steps = schema_core_steps};
    migrations->count = count + 1;
    if (err) {
        arrival_give_up(server->ledger, err);
        return;
    }
    migrations->err = (struct theseus_error){0};
    migrations->job = (struct lane_job){.run = migrate_run, .done = on_migrated};
    lane_submit(server->lane, &migrations->job);
}

void migrations_run(struct server *server, migrations_fn *then) {
    struct migrations *migrations = &server->migrations;

    migrations->then = then;
    if (!server->awake) {
        on_mustered(server, NULL, 0, NULL);
        return;
    }
    plugins_muster(server->plugins, on_mustered, server);
    plugins_restore(server->plugins, &server->restart.restored);
}

json_t *migrations_done_new(const struct server *server) {
    return json_incref(server->migrations.done);
}

/* ---- life ---- */

void migrations_init(struct server *server) {
    struct migrations *migrations = &server->migrations;

    migrations->done = json_array();
    migrations->idle = (struct loop_task){.run = on_idle, .arg = server};
    migrations->again = timer_new(server->loop, on_again, server);
    migrations->look = timer_new(server->loop, on_look, server);
    migrations->mismatch = (struct loop_task){.run = on_mismatch, .arg = server};
    store_on_mismatch(server->store, on_told, server);
}

void migrations_fini(struct server *server) {
    struct migrations *migrations = &server->migrations;

    store_on_mismatch(server->store, NULL, NULL);
    loop_forget(server->loop, &migrations->mismatch);
    loop_forget(server->loop, &migrations->idle);
    loop_forget(server->loop, &migrations->looked);
    migrations->again = timer_free(migrations->again);
    migrations->look = timer_free(migrations->look);
    json_decref(TAKE_PTR(migrations->done));
    free(migrations->parts);
    free(migrations->backup);
}
