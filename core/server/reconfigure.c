/*
 * A new configuration while the server runs: read into a structure of its own, shown to every plugin concerned, and
 * taken only when all of it is good. Until then, and if not, the present one goes on.
 */
#include <stdlib.h>

#include "base/fs.h"
#include "base/log.h"
#include "server/inner.h"

struct waiting {
    struct list link;
    reconfigured_fn *done;
    void *arg;
};

static void on_start(void *arg);

static void tell(struct server *server, const char *outcome) {
    list_for_each (link, &server->reconfigure.waiting) {
        struct waiting *waiting = list_entry(link, struct waiting, link);
        list_remove(&waiting->link);
        if (waiting->done)
            waiting->done(waiting->arg, outcome);
        free(waiting);
    }
}

static void end(struct server *server, const char *outcome) {
    struct reconfigure *state = &server->reconfigure;

    state->busy = false;
    tell(server, outcome);
    upkeep_configured(server, outcome);
    if (state->again) {
        state->again = false;
        loop_post_task(server->loop, &state->start);
    }
}

static void refuse(struct server *server, const struct theseus_error *err) {
    struct reconfigure *state = &server->reconfigure;
    CLEANUP(free) char *outcome = xasprintf("refused: %s", err->message);

    log_warning("the configuration is refused, the present one goes on: %s", err->message);
    free(state->refused);
    state->refused = xstrdup(err->message);
    state->next = config_free(state->next);
    end(server, outcome);
}

static void note_change(void *arg, const char *name, bool in_place) {
    *(bool *)arg = true;
    if (in_place)
        log_info("configuration: %s has changed", name);
    else
        log_warning("configuration: %s has changed; that takes effect when the server is started again", name);
}

static void watch_files(struct server *server);

/* Every plugin agrees: from here on the new one counts. */
static void on_agreed(void *arg, const struct theseus_error *err) {
    struct server *server = arg;
    struct reconfigure *state = &server->reconfigure;

    loop_enter();
    if (err) {
        refuse(server, err);
        return;
    }
    struct config *before = server->config;
    server->config = TAKE_PTR(state->next);
    log_set_level(server->config->server.log_level);
    server_set_info(server);
    workers_resize(server->workers, server->config->server.workers);
    plugins_configure(server->plugins);
    watch_files(server);
    upkeep_reconfigured(server);
    (void)config_free(before);
    conn_serve(server->conn);
    end(server, "reloaded");
}

static void on_start(void *arg) {
    struct server *server = arg;
    struct reconfigure *state = &server->reconfigure;
    struct theseus_error err = {0};
    bool changed = false;

    loop_enter();
    state->busy = true;
    if (config_load(&state->next, &server->source, NULL, NULL, &err) < 0) {
        refuse(server, &err);
        return;
    }
    free(TAKE_PTR(state->refused));
    config_diff(server->config, state->next, note_change, &changed);
    if (changed) {
        plugins_check(server->plugins, state->next, on_agreed, server);
        return;
    }
    state->next = config_free(state->next);
    end(server, "unchanged");
}

void reconfigure(struct server *server, reconfigured_fn *done, void *arg) {
    struct reconfigure *state = &server->reconfigure;
    struct waiting *waiting = xcalloc(1, sizeof(*waiting));

    waiting->done = done;
    waiting->arg = arg;
    list_append(&state->waiting, &waiting->link);
    if (state->busy)
        state->again = true;
    else
        loop_post_task(server->loop, &state->start);
}

/* ---- watching the file ---- */

static void on_change(void *arg, const char *dir, const char *name) {
    struct server *server = arg;

    loop_enter();
    (void)dir;
    for (char **file = server->config->search; *file; file++)
        if (!name || strcmp(path_base(*file), name) == 0) {
            reconfigure(server, NULL, NULL);
            return;
        }
}

static void forget_dirs(struct reconfigure *state) ON_LOOP {
    for (char **dir = state->dirs; dir && *dir; dir++) {
        if (state->watch)
            watch_remove_dir(state->watch, *dir);
        free(*dir);
    }
    free(TAKE_PTR(state->dirs));
}

/* Every place where the file is, or might come to be. */
static void watch_files(struct server *server) ON_LOOP {
    struct reconfigure *state = &server->reconfigure;
    char *const *search = server->config->search;
    size_t count = 0;

    forget_dirs(state);
    if (!server->config->plugins.watch) {
        state->watch = watch_free(state->watch);
        return;
    }
    if (!state->watch)
        state->watch = watch_new(server->loop, server->config->plugins.settle_ms, on_change, server);
    watch_set_settle(state->watch, server->config->plugins.settle_ms);
    while (search[count])
        count++;
    state->dirs = xcalloc(count + 1, sizeof(char *));
    for (size_t i = 0; i < count; i++) {
        struct theseus_error err = {0};
        state->dirs[i] = path_dir(search[i]);
        if (watch_add_dir(state->watch, state->dirs[i], &err) < 0)
            log_warning("'%s' is not watched: %s", search[i], err.message);
    }
}

void reconfigure_init(struct server *server) {
    struct reconfigure *state = &server->reconfigure;

    list_init(&state->waiting);
    state->start = (struct loop_task){.run = on_start, .arg = server};
    watch_files(server);
}

void reconfigure_fini(struct server *server) {
    struct reconfigure *state = &server->reconfigure;

    if (!state->start.run)
        return;
    loop_forget(server->loop, &state->start);
    tell(server, "refused: the server is ending");
    forget_dirs(state);
    state->watch = watch_free(state->watch);
    state->next = config_free(state->next);
    free(TAKE_PTR(state->refused));
}
