/*
 * A new configuration while the server runs: read into a structure of its own, shown to every plugin concerned, and
 * taken only when all of it is good. Until then, and if not, the present one goes on.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "server/inner.h"
#include "server/settings.h"

struct waiting {
    struct list link;
    reconfigured_fn *done;
    void *arg;
    bool begun; /* the file was read after it was asked for */
};

static void on_start(void *arg);

/* Who asked while the file was being worked on waits for the next time: it may have changed meanwhile. */
static void tell(struct server *server, const char *outcome) {
    list_for_each (link, &server->reconfigure.waiting) {
        struct waiting *waiting = list_entry(link, struct waiting, link);
        if (!waiting->begun)
            continue;
        list_remove(&waiting->link);
        if (waiting->done)
            waiting->done(waiting->arg, outcome);
        free(waiting);
    }
}

static void end(struct server *server, const char *outcome) ON_LOOP {
    struct reconfigure *state = &server->reconfigure;

    state->busy = false;
    tell(server, outcome);
    upkeep_configured(server, outcome);
    if (state->again) {
        state->again = false;
        loop_post_task(server->loop, &state->start);
    }
}

static void clear_refusal(struct refusal *refused) {
    free(refused->file);
    free(refused->text);
    *refused = (struct refusal){0};
}

static void note_refusal(struct refusal *refused, const char *file, int line, const char *text) {
    clear_refusal(refused);
    refused->file = file ? xstrdup(file) : NULL;
    refused->line = line;
    refused->text = xstrdup(text);
}

/* What plugins say of the settings begins with FILE:LINE: where these stand in a file. */
static void note_message(struct refusal *refused, const char *message) {
    const char *text = strstr(message, ": ");
    const char *colon = text;
    char *end = NULL;

    while (colon && colon > message && *(colon - 1) != ':')
        colon--;
    long line = colon && colon > message ? strtol(colon, &end, 10) : 0;
    if (message[0] != '/' || line <= 0 || end != text) {
        note_refusal(refused, NULL, 0, message);
        return;
    }
    CLEANUP(free) char *file = xstrndup(message, (size_t)(colon - 1 - message));
    note_refusal(refused, file, (int)line, text + strlen(": "));
}

static void refuse(struct server *server, const struct theseus_error *err) ON_LOOP {
    struct reconfigure *state = &server->reconfigure;
    CLEANUP(free) char *outcome = xasprintf("refused: %s", err->message);

    log_warning("the configuration is refused, the present one goes on: %s", err->message);
    if (!state->refused.text)
        note_message(&state->refused, err->message);
    state->next = config_free(state->next);
    end(server, outcome);
}

static void on_problem(void *arg, const char *file, int line, const char *text) {
    struct refusal *refused = arg;

    if (!refused->text)
        note_refusal(refused, line > 0 ? file : NULL, line, text);
}

static void note_change(void *arg, const char *name, bool in_place) {
    *(bool *)arg = true;
    if (in_place)
        log_info("configuration: %s has changed", name);
    else
        log_warning("configuration: %s has changed; that takes effect when the server is restarted", name);
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
    state->loaded_ms = clock_wall_ms();
    state->generation++;
    settings_keep(server);
    log_set_level(server->config->server.log_level);
    server_set_info(server);
    workers_resize(server->workers, server->config->server.workers);
    memory_apply(server);
    plugins_configure(server->plugins);
    watch_files(server);
    triggers_apply(server);
    listening_apply(server);
    upkeep_reconfigured(server);
    if (state->at_start)
        (void)config_free(before);
    else
        state->at_start = before;
    clients_serve(server->clients);
    end(server, "reloaded");
}

static void begin_all(struct reconfigure *state) {
    list_for_each (link, &state->waiting)
        list_entry(link, struct waiting, link)->begun = true;
}

static void on_start(void *arg) {
    struct server *server = arg;
    struct reconfigure *state = &server->reconfigure;
    struct theseus_error err = {0};
    bool changed = false;

    loop_enter();
    state->busy = true;
    begin_all(state);
    clear_refusal(&state->refused);
    if (config_load(&state->next, &server->source, on_problem, &state->refused, &err) < 0) {
        refuse(server, &err);
        return;
    }
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

void reconfigure_hold(struct server *server, bool hold) {
    struct reconfigure *state = &server->reconfigure;

    state->held = state->busy = hold;
    if (!hold && state->again) {
        state->again = false;
        loop_post_task(server->loop, &state->start);
    }
}

bool reconfigure_is_held(const struct server *server) {
    return server->reconfigure.held;
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
    state->loaded_ms = clock_wall_ms();
    state->generation = 1;
    state->start = (struct loop_task){.run = on_start, .arg = server};
    watch_files(server);
}

void reconfigure_fini(struct server *server) {
    struct reconfigure *state = &server->reconfigure;

    if (!state->start.run)
        return;
    loop_forget(server->loop, &state->start);
    begin_all(state);
    tell(server, "refused: the server is ending");
    forget_dirs(state);
    state->watch = watch_free(state->watch);
    state->next = config_free(state->next);
    state->at_start = config_free(state->at_start);
    clear_refusal(&state->refused);
}

/* ---- what there is to be told ---- */

static void add_pending(void *arg, const char *name, bool in_place) {
    if (!in_place)
        (void)json_array_append_new(arg, json_string(name));
}

static json_t *refusal_new(const struct refusal *refused) {
    if (!refused->text)
        return json_null();
    return json_pack("{s:s?, s:o, s:s}", "file", refused->file, "line",
                     refused->line > 0 ? json_integer(refused->line) : json_null(), "text", refused->text);
}

json_t *reconfigure_refused_new(const struct server *server) {
    return server->reconfigure.refused.text ? refusal_new(&server->reconfigure.refused) : NULL;
}

static void note_pending(void *arg, const char *name, bool in_place) {
    (void)name;
    *(bool *)arg |= !in_place;
}

bool reconfigure_needs_image(const struct server *server) {
    const struct config *at_start = server->reconfigure.at_start;
    bool needs = false;

    if (at_start)
        config_diff(at_start, server->config, note_pending, &needs);
    return needs;
}

json_t *reconfigure_report_new(const struct server *server) {
    const struct reconfigure *state = &server->reconfigure;
    char loaded[CLOCK_TEXT_BYTES];
    json_t *pending = json_array();

    if (state->at_start)
        config_diff(state->at_start, server->config, add_pending, pending);
    return json_pack("{s:s, s:b, s:s, s:I, s:o, s:o}", "file", server->config->file, "file_exists",
                     server->config->file_exists, "loaded_at", clock_rfc3339(state->loaded_ms, loaded), "generation",
                     (json_int_t)state->generation, "pending_reexec", pending, "refused", refusal_new(&state->refused));
}
