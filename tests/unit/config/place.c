#include "test.h"

#include "config/place.h"

#include "config/dir.h"

static void takes_the_users_own_runtime_directory(void **state) {
    CLEANUP(dir_remove) struct dir dir = dir_new();
    CLEANUP(free) char *wanted = path_join(dir.path, "theseus");
    CLEANUP(free) char *path = place_runtime_dir(dir.path, "/s");

    (void)state;
    assert_string_equal(path, wanted);
}

static void falls_back_to_the_state_directory(void **state) {
    CLEANUP(dir_remove) struct dir dir = dir_new();
    CLEANUP(free) char *file = dir_file(&dir, "file", "", 0600);
    CLEANUP(free) char *for_a_file = place_runtime_dir(file, "/s");
    CLEANUP(free) char *for_nothing = place_runtime_dir("/not/there", "/s");

    (void)state;
    assert_string_equal(for_a_file, "/s/run");
    assert_string_equal(for_nothing, "/s/run");
}

static void leaves_a_runtime_directory_of_somebody_else(void **state) {
    CLEANUP(dir_remove) struct dir dir = dir_new();

    (void)state;
    if (getuid() != 0 || chown(dir.path, 12345, 12345) < 0)
        skip(); /* only root can make such a directory */
    CLEANUP(free) char *path = place_runtime_dir(dir.path, "/s");
    assert_string_equal(path, "/s/run");
}

static void takes_the_plugins_beside_the_program(void **state) {
    CLEANUP(dir_remove) struct dir dir = dir_new();
    CLEANUP(free) char *program = path_join(dir.path, "theseus");
    CLEANUP(free) char *beside = path_join(dir.path, "plugins");
    CLEANUP(free) char *before = place_shipped_plugins(program);

    (void)state;
    assert_string_not_equal(before, beside);
    assert_int_equal(mkdir(beside, 0700), 0);
    CLEANUP(free) char *after = place_shipped_plugins(program);
    assert_string_equal(after, beside);
}

static void takes_the_installed_plugins_otherwise(void **state) {
    CLEANUP(free) char *path = place_shipped_plugins(NULL);

    (void)state;
    assert_int_equal(*path, '/');
    assert_string_equal(strstr(path, "/theseus/"), "/theseus/plugins");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_the_users_own_runtime_directory),
        cmocka_unit_test(falls_back_to_the_state_directory),
        cmocka_unit_test(leaves_a_runtime_directory_of_somebody_else),
        cmocka_unit_test(takes_the_plugins_beside_the_program),
        cmocka_unit_test(takes_the_installed_plugins_otherwise),
    };

    return cmocka_run_group_tests_name("config/place", tests, NULL, NULL);
}
