/*
 * The whole plugin floor with real files: plugins, lane, workers, registry. It can be thrown away and made anew from
 * its ledger and its directory of copies, as after an exec.
 */
#pragma once

#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>

#include "call/owner.h"
#include "plugin/fixture.h"
#include "plugin/imagedir.h"
#include "plugin/plugins.h"
#include "plugin/registry.h"
#include "plugin/run.h"
#include "plugin/state.h"
#include "store/store.h"

struct floor {
    struct owner *owner;
    char *place, *files, *copies; /* owned: a directory, and in it that of the plugins and that of their copies */
    struct config *config;
    const struct config *present;
    struct imagedir *dir;
    int lock_fd; /* of `copies`, kept from image to image; -1: not yet */
    int exe_fd;
    struct plugin_host host;
    struct plugins *plugins;
    uint64_t offset;
    bool told; /* floor_on_told() came */
    struct theseus_error err;
};

static inline void floor_touched(void *arg) {
    (void)arg;
}

static inline void floor_on_idle(void *arg, struct generation *generation) {
    (void)arg;
    loop_enter();
    plugins_on_idle(generation);
}

static inline void floor_on_told(void *arg) {
    ((struct floor *)arg)->told = true;
}

static inline void floor_on_saved(void *arg, const struct theseus_error *err) {
    struct floor *floor = arg;

    floor->told = true;
    floor->err = err ? *err : (struct theseus_error){0};
}

static inline void floor_take_config(struct floor *floor, const char *text) {
    CLEANUP(free)
    char *all = xasprintf("[server]\nlog_level = error\nstate_dir = %s/state\n[plugins]\npath = %s\n"
                          "settle_ms = 10\n%s",
                          floor->place, floor->files, text);
    struct said said;

    floor->config = config_free(floor->config);
    floor->config = load_text(all, &said);
    if (!floor->config)
        print_error("%s\n", said.text);
    assert_non_null(floor->config);
    floor->present = floor->config;
}

/* Everything that an exec takes away. */
static inline void floor_up(struct floor *floor, int workers) {
    CLEANUP(free) char *run = path_join(floor->place, "run"), *state = path_join(floor->place, "state");
    CLEANUP(free) char *database = path_join(floor->place, "theseus.db");
    struct theseus_error err = {0};

    loop_enter();
    floor->dir = imagedir_new(run, state, "boot");
    if (floor->lock_fd >= 0 && imagedir_adopt(floor->dir, floor->copies, floor->lock_fd, &err) < 0)
        print_error("%s\n", err.message);
    assert_int_equal(err.code, ERR_UNSET);
    floor->lock_fd = -1;
    floor->host = (struct plugin_host){
        .loop = floor->owner->loop,
        .loop_thread = pthread_self(),
        .ledger = floor->owner->ledger,
        .workers = workers_new(floor->owner->loop, workers),
        .lane = lane_new(floor->owner->loop, "plugins", "it waits"),
        .store = store_new(database),
        .registry = registry_new(),
        .state = state_new(floor->owner->ledger),
        .config = &floor->present,
        .tools_touched = floor_touched,
        .idle = floor_on_idle,
        .arg = floor,
    };
    floor->plugins = plugins_new(&floor->host, floor->dir, floor->exe_fd);
}

/* An exec leaves the copies where they are; plugins that are stopped take them along. */
static inline void floor_keep_copies(const struct floor *floor, const char *aside, bool back) {
    CLEANUP(free) char *kept = path_join(floor->place, aside);
    const char *from = back ? kept : floor->copies, *to = back ? floor->copies : kept;
    DIR *dir = NULL;

    (void)mkdir(kept, 0700);
    dir = opendir(from);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir));) {
        CLEANUP(free) char *old = path_join(from, entry->d_name), *new = path_join(to, entry->d_name);
        if (entry->d_type == DT_REG && strcmp(entry->d_name, "lock") != 0)
            assert_true(link(old, new) == 0 || errno == EEXIST);
    }
    (void)closedir(dir);
    if (back)
        (void)nftw(kept, place_remove, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void floor_take_down(struct floor *floor) {
    loop_enter();
    plugins_let_go(floor->plugins);
    floor->host.workers = workers_free(floor->host.workers);
    floor->plugins = plugins_free(floor->plugins);
    floor->host.lane = lane_free(floor->host.lane);
    floor->host.state = state_free(floor->host.state);
    floor->host.registry = registry_free(floor->host.registry);
    floor->host.store = store_free(floor->host.store);
}

/* As by an exec. Calls must be over, or have been given up by the test. */
static inline void floor_exec(struct floor *floor, int workers) {
    const char *path = imagedir_path(floor->dir);

    loop_enter();
    free(TAKE_PTR(floor->copies));
    if (path) {
        floor->copies = xstrdup(path);
        floor->lock_fd = fcntl(imagedir_lock_fd(floor->dir), F_DUPFD_CLOEXEC, 3);
        floor_keep_copies(floor, "aside", false);
    }
    floor_take_down(floor);
    floor->dir = imagedir_free(floor->dir);
    if (floor->copies)
        floor_keep_copies(floor, "aside", true);
    floor_up(floor, workers);
}

static inline void floor_load(struct floor *floor) {
    struct loop_task task = {.run = floor_on_told, .arg = floor};

    loop_enter();
    floor->told = false;
    plugins_when_loaded(floor->plugins, &task);
    until(floor->owner->loop, floor->told);
}

static inline void floor_restore(struct floor *floor) {
    struct loop_task task = {.run = floor_on_told, .arg = floor};

    loop_enter();
    floor->told = false;
    plugins_restore(floor->plugins, &task);
    until(floor->owner->loop, floor->told);
}

static inline void floor_be_idle(struct floor *floor) {
    struct loop_task task = {.run = floor_on_told, .arg = floor};

    loop_enter();
    floor->told = false;
    plugins_when_idle(floor->plugins, &task);
    until(floor->owner->loop, floor->told);
}

/* A handler whose call is answered needs a moment to come back, for which a `save` does not wait very long. */
static inline void floor_rest(struct floor *floor) {
    until(floor->owner->loop, plugins_can_save(floor->plugins));
}

static inline void floor_save(struct floor *floor) {
    loop_enter();
    floor->told = false;
    plugins_save(floor->plugins, floor_on_saved, floor);
    until(floor->owner->loop, floor->told);
}

static inline void floor_drop_in(const struct floor *floor, const char *name, const char *as) {
    CLEANUP(buf_fini) struct buf bytes = fixture_bytes(name);
    CLEANUP(free) char *to = xasprintf("%s/%s.so", floor->files, as);
    CLEANUP(free) char *draft = xasprintf("%s.new", to);

    write_bytes(draft, buf_span(&bytes).data, bytes.len);
    assert_int_equal(rename(draft, to), 0);
}

/* `fixtures` ends with NULL; `text` is of the configuration. */
static inline struct floor *floor_new(const char *const *fixtures, const char *text, int workers) {
    struct floor *floor = xcalloc(1, sizeof(*floor));
    CLEANUP(free) char *program = fixture_program();

    loop_enter();
    log_set_level(LOG_ERROR);
    floor->owner = owner_new();
    floor->place = place_new();
    floor->files = path_join(floor->place, "plugins");
    floor->lock_fd = -1;
    floor->exe_fd = open(program, O_RDONLY | O_CLOEXEC);
    assert_true(floor->exe_fd >= 0);
    assert_int_equal(mkdir(floor->files, 0700), 0);
    for (; *fixtures; fixtures++)
        floor_drop_in(floor, *fixtures, *fixtures);
    floor_take_config(floor, text);
    floor_up(floor, workers);
    return floor;
}

static inline void floor_free_cleanup(struct floor **held) {
    struct floor *floor = *held;

    loop_enter();
    floor_take_down(floor);
    floor->dir = imagedir_remove(floor->dir);
    floor->config = config_free(floor->config);
    owner_free_cleanup(&floor->owner);
    (void)close(floor->exe_fd);
    place_fini_cleanup(&floor->place);
    free(floor->files);
    free(floor->copies);
    free(floor);
}

/* Accepted, and given to the plugins. The answer says its id, which is the offset of the call. */
static inline struct call *floor_call(struct floor *floor, const char *tool, const char *args) {
    uint64_t offset = ++floor->offset;
    CLEANUP(free)
    char *text = xasprintf("{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"tools/call\",\"params\":{\"arguments\":%s}}",
                           (int)offset, args ? args : "{}");
    struct call *call = owner_call_new(floor->owner, text, offset);

    loop_enter();
    run_start(&floor->host, call, tool, json_object_get(call->message.params, "arguments"));
    return call;
}

static inline void floor_end(struct floor *floor, struct call *call) {
    until(floor->owner->loop, call_is_over(call));
    call_end_on_loop(call);
    (void)call_unref(call);
}

static inline int floor_answers(const struct floor *floor) {
    ledger_enter(floor->owner->ledger);
    int answers = floor->owner->answers;
    ledger_leave(floor->owner->ledger);
    return answers;
}

/* As a connection that goes with the image: the call stays recorded, and nobody answers it any more. */
static inline void floor_give_up(struct call *call) {
    loop_enter();
    atomic_store(&call->state, CALL_OVER);
    atomic_store(&call->cancelled, true);
    call_end_on_loop(call);
    (void)call_unref(call);
}

/* The same call in the next image. */
static inline struct call *floor_call_again(struct floor *floor, const struct call_key *key, const char *tool,
                                            const char *args) {
    CLEANUP(free)
    char *text = xasprintf("{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"tools/call\",\"params\":{\"arguments\":%s}}",
                           (int)key->offset, args);
    struct call *call = owner_call_new(floor->owner, text, key->offset);

    loop_enter();
    keep_restore(call);
    run_start(&floor->host, call, tool, json_object_get(call->message.params, "arguments"));
    return call;
}

/* Its answer has this text. */
static inline void floor_gives(struct floor *floor, const char *tool, const char *args, const char *text) {
    floor_end(floor, floor_call(floor, tool, args));
    CLEANUP(free) char *said = owner_said(floor->owner);
    if (!strstr(said, text))
        print_error("tool '%s' said %s\nnot %s\n", tool, said, text);
    assert_non_null(strstr(said, text));
}

static inline json_int_t floor_generation(struct floor *floor, const char *plugin) {
    loop_enter();
    json_auto_t *generations = plugins_generations_new(floor->plugins);
    return json_integer_value(json_object_get(generations, plugin)); /* 0: there is none */
}
