/* New settings, agreed on and taken while a plugin is on its way. */
#include "test.h"

#include "plugin/plugins.h"

#include <sys/stat.h>

#include "plugin/fixture.h"
#include "plugin/imagedir.h"
#include "plugin/made.h"
#include "store/store.h"

/* The fixture `config`, whose start waits at a gate, in a directory of its own. */
struct applied {
    struct made_host *made;      /* owned, as all of these */
    char *place, *gate, *folder; /* the folder with the plugin */
    struct imagedir *dir;
    int exe_fd;
    struct plugins *plugins;
    struct config *next; /* about which the plugins are asked; NULL: it is the present one by now */
};

static void on_tools_touched(void *arg) {
    (void)arg;
}

static void on_idle(void *arg, struct generation *generation) {
    (void)arg;
    loop_enter();
    plugins_on_idle(generation);
}

static struct config *config_with(const struct applied *applied, int number) {
    CLEANUP(free)
    char *text = xasprintf("[server]\nstate_dir = %s/state\nruntime_dir = %s/run\n[plugins]\npath = %s\nwatch = no\n"
                           "[plugin:config]\ngate = %s\nnumber = %d\n",
                           applied->place, applied->place, applied->folder, applied->gate, number);
    struct said said;
    struct config *config = load_text(text, &said);

    assert_string_equal(said.text, "");
    return config;
}

static void make_present(struct applied *applied, struct config *config) {
    applied->made->config = config_free(applied->made->config);
    applied->made->config = config;
    applied->made->present = config;
}

/* The binary that loads a plugin to try it stands beside the folder of the tests. */
static int open_program(void) {
    CLEANUP(free) char *fixture = fixture_path("config");
    CLEANUP(free) char *folder = path_dir(fixture);
    CLEANUP(free) char *path = xasprintf("%s/../../theseus", folder);
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    return fd;
}

static struct applied *applied_new(void) {
    struct applied *applied = xcalloc(1, sizeof(*applied));
    struct made_host *made = made_host_new(1);
    struct plugin_host *host = &made->host;

    loop_enter();
    applied->made = made;
    applied->place = place_new();
    applied->gate = path_join(applied->place, "gate");
    applied->folder = path_join(applied->place, "plugins");
    assert_int_equal(mkfifo(applied->gate, 0600), 0);
    assert_int_equal(mkdir(applied->folder, 0700), 0);
    free(fixture_copy(applied->folder, "config"));
    make_present(applied, config_with(applied, 1));
    CLEANUP(free) char *database = path_join(applied->place, "theseus.db");
    host->lane = lane_new(host->loop, "plugins", "it waits");
    host->store = store_new(database);
    host->state = state_new(host->ledger);
    host->tools_touched = on_tools_touched;
    host->idle = on_idle;
    applied->dir = imagedir_new(made->config->server.runtime_dir, made->config->server.state_dir, "unit");
    applied->exe_fd = open_program();
    applied->plugins = plugins_new(host, applied->dir, applied->exe_fd);
    return applied;
}

static void applied_free_cleanup(struct applied **held) {
    struct applied *applied = *held;
    struct plugin_host *host = &applied->made->host;

    loop_enter();
    applied->plugins = plugins_free(applied->plugins);
    host->lane = lane_free(host->lane);
    host->state = state_free(host->state);
    host->store = store_free(host->store);
    applied->dir = imagedir_remove(applied->dir);
    (void)close(applied->exe_fd);
    made_host_free_cleanup(&applied->made);
    free(applied->gate);
    free(applied->folder);
    place_fini_cleanup(&applied->place);
    free(applied);
}

/* The plugin's start waits there when that is not -1; it goes on when the descriptor is closed. */
static int reach_gate(const struct applied *applied) {
    return open(applied->gate, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
}

static void open_gate(struct applied *applied) {
    int fd = -1;

    until(applied->made->host.loop, (fd = reach_gate(applied)) >= 0);
    (void)close(fd);
}

static void on_agreed(void *arg, const struct theseus_error *err) {
    struct applied *applied = arg;

    loop_enter();
    assert_null(err);
    make_present(applied, TAKE_PTR(applied->next));
    plugins_configure(applied->plugins);
}

/* The question is behind the start in the queue of the one thread that runs both. */
static void change_settings_during_start(struct applied *applied) {
    int fd = -1;

    until(applied->made->host.loop, (fd = reach_gate(applied)) >= 0);
    applied->next = config_with(applied, 2);
    plugins_check(applied->plugins, applied->next, on_agreed, applied);
    (void)close(fd);
}

static void see_idle(void *arg) {
    *(bool *)arg = true;
}

static void settle(struct applied *applied) {
    bool idle = false;
    struct loop_task task = {.run = see_idle, .arg = &idle};

    loop_enter();
    plugins_when_idle(applied->plugins, &task);
    until(applied->made->host.loop, idle);
}

/* The settings with that number, and how often it was given any. */
static void has_taken(struct applied *applied, int number, int times) {
    CLEANUP(free)
    char *shown = xasprintf("{\"config\":{\"gate\":\"%s\",\"number\":%d,\"switch\":false},\"has_secret\":false,"
                            "\"times\":%d}",
                            applied->gate, number, times);

    made_gives(applied->made, "config_get", NULL, false, shown);
}

static void tells_a_plugin_that_began_to_serve_while_others_were_asked(void **state) {
    CLEANUP(applied_free) struct applied *applied = applied_new();

    (void)state;
    loop_enter();
    plugins_load(applied->plugins);
    change_settings_during_start(applied);
    settle(applied);
    assert_null(applied->next);
    has_taken(applied, 2, 2);
}

/* The one that was asked is not the one that serves when the settings are given. */
static void tells_a_generation_that_replaced_the_one_that_was_asked(void **state) {
    CLEANUP(applied_free) struct applied *applied = applied_new();

    (void)state;
    loop_enter();
    plugins_load(applied->plugins);
    open_gate(applied);
    settle(applied);
    has_taken(applied, 1, 1);
    plugins_reload(applied->plugins, "config");
    change_settings_during_start(applied);
    settle(applied);
    assert_null(applied->next);
    has_taken(applied, 2, 2);
}

/* Asked and told like any other, and once. */
static void tells_a_plugin_that_serves(void **state) {
    CLEANUP(applied_free) struct applied *applied = applied_new();

    (void)state;
    loop_enter();
    plugins_load(applied->plugins);
    open_gate(applied);
    settle(applied);
    applied->next = config_with(applied, 2);
    plugins_check(applied->plugins, applied->next, on_agreed, applied);
    settle(applied);
    assert_null(applied->next);
    has_taken(applied, 2, 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_a_plugin_that_serves),
        cmocka_unit_test(tells_a_plugin_that_began_to_serve_while_others_were_asked),
        cmocka_unit_test(tells_a_generation_that_replaced_the_one_that_was_asked),
    };

    return cmocka_run_group_tests_name("plugin/apply", tests, NULL, NULL);
}
