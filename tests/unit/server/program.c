#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fs.h"
#include "server/program.h"

static void finds_the_file_that_runs(void **state) {
    CLEANUP(free) char *path = program_path();

    (void)state;
    assert_int_equal(path[0], '/');
    assert_int_equal(access(path, X_OK), 0);
}

/* A link is the place where an upgrade will be made: it is kept as a link. */
static void keeps_the_path_by_which_it_was_started(void **state) {
    CLEANUP(free) char *path = program_path();
    CLEANUP(free) char *link = xasprintf("/tmp/theseus-program-%d", (int)getpid());

    (void)state;
    assert_int_equal(symlink(path, link), 0);
    CLEANUP(free) char *started = program_started_by(link, path);
    assert_string_equal(started, link);
    assert_int_equal(unlink(link), 0);
}

static void makes_a_relative_path_absolute(void **state) {
    CLEANUP(free) char *path = program_path();
    CLEANUP(free) char *dir = path_dir(path);
    CLEANUP(free) char *relative = xasprintf("./%s", path_base(path));

    (void)state;
    assert_int_equal(chdir(dir), 0);
    CLEANUP(free) char *started = program_started_by(relative, path);
    assert_int_equal(started[0], '/');
    assert_int_equal(access(started, X_OK), 0);
}

static void searches_for_a_name_as_a_shell_does(void **state) {
    CLEANUP(free) char *path = program_path();
    CLEANUP(free) char *dir = path_dir(path);
    CLEANUP(free) char *dirs = xasprintf("/nowhere:%s", dir);

    (void)state;
    assert_int_equal(setenv("PATH", dirs, 1), 0);
    CLEANUP(free) char *started = program_started_by(path_base(path), path);
    assert_string_equal(started, path);
}

static void does_not_believe_a_name_that_leads_elsewhere(void **state) {
    static const char *const names[] = {"/bin/true", "no-such-program", "", NULL};
    CLEANUP(free) char *path = program_path();

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        CLEANUP(free) char *started = program_started_by(names[i], path);
        assert_string_equal(started, path);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_file_that_runs),
        cmocka_unit_test(keeps_the_path_by_which_it_was_started),
        cmocka_unit_test(makes_a_relative_path_absolute),
        cmocka_unit_test(searches_for_a_name_as_a_shell_does),
        cmocka_unit_test(does_not_believe_a_name_that_leads_elsewhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
