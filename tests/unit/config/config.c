#include "test.h"

#include "config/config.h"

#include "base/limits.h"
#include "config/dir.h"
#include "config/load.h"

/* The home is the directory, and nothing names a file. */
static void live_in(const struct dir *dir) {
    assert_int_equal(setenv("HOME", dir->path, 1), 0);
    assert_int_equal(unsetenv("THESEUS_CONFIG"), 0);
}

static struct config *load(const char *path, const char *system_file, struct said *said, struct theseus_error *err) {
    const struct config_source source = {.path = path, .system_file = system_file};
    struct config *config = NULL;

    *said = (struct said){0};
    *err = (struct theseus_error){0};
    int r = config_load(&config, &source, note, said, err);
    assert_true(r == 0 ? config && !err->code : !config && err->code);
    return config;
}

static void name_is(const char *path, const char *system_file, const char *name, const char *file) {
    struct said said;
    struct theseus_error err;
    CLEANUP(config_free) struct config *config = load(path, system_file, &said, &err);

    assert_string_equal(said.text, "");
    assert_string_equal(config->server.name, name);
    assert_string_equal(config->file, file);
}

static void prefers_the_named_file_then_the_environment_the_home_and_the_system(void **state) {
    CLEANUP(dir_remove) struct dir dir = dir_new();
    CLEANUP(free) char *named = dir_file(&dir, "named.ini", "[server]\nname = named\n", 0600);
    CLEANUP(free) char *variable = dir_file(&dir, "variable.ini", "[server]\nname = variable\n", 0600);
    CLEANUP(free) char *home = dir_file(&dir, ".config/theseus/theseus.ini", "[server]\nname = home\n", 0600);
    CLEANUP(free) char *system_file = dir_file(&dir, "system.ini", "[server]\nname = system\n", 0644);

    (void)state;
    live_in(&dir);
    assert_int_equal(setenv("THESEUS_CONFIG", variable, 1), 0);
    name_is(named, system_file, "named", named);
    name_is(NULL, system_file, "variable", variable);
    assert_int_equal(unsetenv("THESEUS_CONFIG"), 0);
    name_is(NULL, system_file, "home", home);
    assert_int_equal(unlink(home), 0);
    name_is(NULL, system_file, "system", system_file);
}

static void goes_without_a_file_and_says_where_it_would_be(void **state) {
    CLEANUP(dir_remove) struct dir dir = dir_new();
    CLEANUP(free) char *home = path_join(dir.path, ".config/theseus/theseus.ini");
    CLEANUP(free) char *system_file = path_join(dir.path, "system.ini");
    struct said said;
    struct theseus_error err;

    (void)state;
    live_in(&dir);
    CLEANUP(config_free) struct config *config = load(NULL, system_file, &said, &err);
    assert_non_null(config);
    assert_false(config->file_exists);
    assert_string_equal(config->file, home);
    assert_string_equal(config->search[0], home);
    assert_string_equal(config->search[1], system_file);
    assert_null(config->search[2]);
}

static void accepts_a_named_file_that_does_not_exist_yet(void **state) {
    CLEANUP(dir_remove) struct dir dir = dir_new();
    CLEANUP(free) char *named = path_join(dir.path, "not/there.ini");
    struct said said;
    struct theseus_error err;

    (void)state;
    live_in(&dir);
    CLEANUP(config_free) struct config *config = load(named, NULL, &said, &err);
    assert_non_null(config);
    assert_false(config->file_exists);
    assert_string_equal(config->file, named);
    assert_null(config->search[1]);
    assert_int_equal(setenv("THESEUS_CONFIG", named, 1), 0);
    CLEANUP(config_free) struct config *by_variable = load(NULL, NULL, &said, &err);
    assert_non_null(by_variable);
    assert_string_equal(by_variable->file, named);
}

static void takes_a_relative_name_from_the_current_directory(void **state) {
    CLEANUP(free) char *here = getcwd(NULL, 0);
    CLEANUP(free) char *wanted = path_join(here, "not-there.ini");
    struct said said;
    struct theseus_error err;
    CLEANUP(config_free) struct config *config = load("not-there.ini", NULL, &said, &err);

    (void)state;
    assert_non_null(config);
    assert_string_equal(config->file, wanted);
}

static void asks_the_password_database_without_a_home(void **state) {
    struct said said;
    struct theseus_error err;

    (void)state;
    assert_int_equal(unsetenv("HOME"), 0);
    assert_int_equal(unsetenv("THESEUS_CONFIG"), 0);
    CLEANUP(free) char *wanted = path_join(fs_home(), ".local/state/theseus");
    CLEANUP(config_free) struct config *config = load("/not/there.ini", NULL, &said, &err);
    assert_non_null(config);
    assert_string_equal(config->server.state_dir, wanted);
}

static void refuses_to_read(const char *path, const char *why) {
    struct said said;
    struct theseus_error err;
    CLEANUP(free) char *line = xasprintf("%s\n", why);

    assert_null(load(path, NULL, &said, &err));
    assert_string_equal(err.message, why);
    assert_string_equal(said.text, line);
}

static void refuses_a_file_that_others_may_write(void **state) {
    CLEANUP(dir_remove) struct dir dir = dir_new();
    CLEANUP(free) char *path = dir_file(&dir, "x.ini", "", 0622);
    CLEANUP(free) char *why = xasprintf("'%s' may be written by others; mend it with: chmod go-w '%s'", path, path);

    (void)state;
    refuses_to_read(path, why);
}

static void refuses_a_file_in_a_directory_that_others_may_write(void **state) {
    CLEANUP(dir_remove) struct dir dir = dir_new();
    CLEANUP(free) char *path = dir_file(&dir, "x.ini", "", 0600);
    CLEANUP(free)
    char *why = xasprintf("'%s' may be written by others; mend it with: chmod go-w '%s'", dir.path, dir.path);

    (void)state;
    assert_int_equal(chmod(dir.path, 0777), 0);
    refuses_to_read(path, why);
}

static void refuses_what_is_no_file(void **state) {
    CLEANUP(dir_remove) struct dir dir = dir_new();
    CLEANUP(free) char *pipe_path = path_join(dir.path, "pipe");
    CLEANUP(free) char *loop_path = path_join(dir.path, "loop");
    CLEANUP(free) char *no_dir = xasprintf("'%s' is not a regular file", dir.path);
    CLEANUP(free) char *no_pipe = xasprintf("'%s' is not a regular file", pipe_path);
    CLEANUP(free) char *no_loop = xasprintf("cannot open '%s': Too many levels of symbolic links", loop_path);

    (void)state;
    assert_int_equal(mkfifo(pipe_path, 0600), 0);
    assert_int_equal(symlink("loop", loop_path), 0);
    refuses_to_read(dir.path, no_dir);
    refuses_to_read(pipe_path, no_pipe);
    refuses_to_read(loop_path, no_loop);
}

static void refuses_a_file_that_is_too_large(void **state) {
    CLEANUP(dir_remove) struct dir dir = dir_new();
    CLEANUP(free) char *path = dir_file(&dir, "x.ini", "", 0600);
    CLEANUP(free) char *why = xasprintf("'%s' is larger than %d bytes", path, LIMIT_CONFIG_FILE);

    (void)state;
    assert_int_equal(truncate(path, LIMIT_CONFIG_FILE + 1), 0);
    refuses_to_read(path, why);
}

static void puts_the_first_problem_into_the_error(void **state) {
    CLEANUP(dir_remove) struct dir dir = dir_new();
    CLEANUP(free) char *path = dir_file(&dir, "x.ini", "[server]\nname =\nworker = 3\n", 0600);
    CLEANUP(free) char *why = xasprintf("%s:2: server.name: a text of 0 bytes is out of range (1 to 128)", path);
    struct said said;
    struct theseus_error err;

    (void)state;
    assert_null(load(path, NULL, &said, &err));
    assert_string_equal(err.message, why);
    assert_int_equal(err.code, ERR_INVALID);
    assert_non_null(strstr(said.text, "x.ini:3: unknown key 'worker' in [server]; did you mean 'workers'?"));
}

/* NULL: the command line is wrong. What is wrong with the file is in `said`. */
static struct config *load_readable(const char *path, const char *set, struct said *said, struct theseus_error *err) {
    const struct config_source source = {.path = path, .sets = &set, .set_count = set ? 1 : 0};
    struct config *config = NULL;

    *said = (struct said){0};
    *err = (struct theseus_error){0};
    int r = config_load_readable(&config, &source, note, said, err);
    assert_int_equal(r, err->code ? -1 : *said->text ? CONFIG_IN_PART : 0);
    return config;
}

static void reads_for_an_onlooker_what_can_be_read(void **state) {
    static const char text[] =
        "[server]\nstate_dir = /state\nworkers = many\nno_such = 1\n[limits\nmax_line = 2M\n"
        "[server]\nruntime_dir = /run/x\n[plugins]\nsettle_ms = 7\n[plugin:a]\n.isolation = ?\nb = c\n";
    CLEANUP(dir_remove) struct dir dir = dir_new();
    CLEANUP(free) char *path = dir_file(&dir, "x.ini", text, 0600);
    struct said said;
    struct theseus_error err;
    CLEANUP(config_free) struct config *config = load_readable(path, NULL, &said, &err);
    CLEANUP(config_free) struct config *defaults = load_readable("/not/there.ini", NULL, &said, &err);

    (void)state;
    assert_string_equal(said.text, "");
    assert_string_equal(config->server.state_dir, "/state");
    assert_string_equal(config->server.runtime_dir, "/run/x");
    assert_int_equal(config->plugins.settle_ms, 7);
    assert_int_equal(config->server.workers, defaults->server.workers);
    assert_int_equal(config->limits.max_line, defaults->limits.max_line);
    assert_string_equal(setting(&config->plugin_sections[0], "b"), "c");
}

static void tells_an_onlooker_all_that_is_wrong_with_the_file(void **state) {
    CLEANUP(dir_remove) struct dir dir = dir_new();
    CLEANUP(free) char *path = dir_file(&dir, "x.ini", "[server]\nname =\nno_such = 1\n", 0600);
    CLEANUP(free) char *open_path = dir_file(&dir, "open.ini", "[server]\nname = a\n", 0622);
    struct said said;
    struct theseus_error err;
    CLEANUP(config_free) struct config *config = load_readable(path, "server.state_dir=/state", &said, &err);

    (void)state;
    assert_non_null(strstr(said.text, "x.ini:2: server.name: "));
    assert_non_null(strstr(said.text, "x.ini:3: unknown key 'no_such' in [server]"));
    assert_string_equal(config->server.state_dir, "/state");
    CLEANUP(config_free) struct config *untrusted = load_readable(open_path, NULL, &said, &err);
    assert_non_null(strstr(said.text, "may be written by others"));
    assert_string_not_equal(untrusted->server.name, "a");
}

static void refuses_an_onlooker_what_is_wrong_on_the_command_line(void **state) {
    CLEANUP(dir_remove) struct dir dir = dir_new();
    CLEANUP(free) char *path = dir_file(&dir, "x.ini", "[server]\nname =\n", 0600);
    struct said said;
    struct theseus_error err;

    (void)state;
    assert_null(load_readable(path, "server.no_such=1", &said, &err));
    assert_non_null(strstr(err.message, "--set server.no_such: unknown key"));
    assert_null(load_readable(path, "limits.memory=1", &said, &err));
    assert_null(load_readable(path, "limits.max_line=999M", &said, &err));
    assert_null(load_readable(path, "plugin:x..memory=zz", &said, &err));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prefers_the_named_file_then_the_environment_the_home_and_the_system),
        cmocka_unit_test(goes_without_a_file_and_says_where_it_would_be),
        cmocka_unit_test(accepts_a_named_file_that_does_not_exist_yet),
        cmocka_unit_test(takes_a_relative_name_from_the_current_directory),
        cmocka_unit_test(asks_the_password_database_without_a_home),
        cmocka_unit_test(refuses_a_file_that_others_may_write),
        cmocka_unit_test(refuses_a_file_in_a_directory_that_others_may_write),
        cmocka_unit_test(refuses_what_is_no_file),
        cmocka_unit_test(refuses_a_file_that_is_too_large),
        cmocka_unit_test(puts_the_first_problem_into_the_error),
        cmocka_unit_test(reads_for_an_onlooker_what_can_be_read),
        cmocka_unit_test(tells_an_onlooker_all_that_is_wrong_with_the_file),
        cmocka_unit_test(refuses_an_onlooker_what_is_wrong_on_the_command_line),
    };

    return cmocka_run_group_tests_name("config/config", tests, NULL, NULL);
}
