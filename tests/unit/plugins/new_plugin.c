#include "built.h"

/* A folder for one test, inside which "p" is the plugin's; skips where something that is needed is missing. */
static char *work_new(void) {
    char *dir = strdup("/tmp/theseus-new-plugin-XXXXXX");

    if (access("tools/new-plugin", X_OK) < 0) {
        print_message("skipped: run this from the top of the source tree\n");
        free(dir);
        skip();
    }
    assert_non_null(mkdtemp(dir));
    return dir;
}

static void work_free(char *dir) {
    assert_int_equal(shell("rm -r %s", dir), 0);
    free(dir);
}

static void writes_a_plugin_that_builds_and_answers(void **state) {
    char *dir = work_new(), path[PATH_MAX];

    (void)state;
    assert_int_equal(shell("tools/new-plugin my-tool_2 %s/p >%s/said", dir, dir), 0);
    assert_int_equal(shell("grep -q 'make -C %s/p' %s/said", dir, dir), 0);
    assert_int_equal(shell("make -s -C %s/p THESEUS_INCLUDE=\"$PWD/include\" CFLAGS='-Werror -O1'", dir), 0);
    (void)snprintf(path, sizeof(path), "%s/p/my-tool_2.so", dir);
    expect_greeting(path, "my-tool_2", "Hello, World, from my-tool_2");
    work_free(dir);
}

static void builds_with_the_installed_header_too(void **state) {
    char *dir = work_new();

    (void)state;
    assert_int_equal(shell("printf 'Name: theseus\\nDescription: d\\nVersion: 0\\nRequires: jansson\\nCflags: "
                           "-I%%s/include\\n' \"$PWD\" >%s/theseus.pc",
                           dir),
                     0);
    assert_int_equal(shell("tools/new-plugin x %s/p >/dev/null && PKG_CONFIG_PATH=%s make -s -C %s/p", dir, dir, dir),
                     0);
    assert_int_equal(shell("test -f %s/p/x.so", dir), 0);
    work_free(dir);
}

static void exports_one_symbol_only(void **state) {
    char *dir = work_new();

    (void)state;
    assert_int_equal(
        shell("tools/new-plugin x %s/p >/dev/null && make -s -C %s/p THESEUS_INCLUDE=\"$PWD/include\"", dir, dir), 0);
    assert_int_equal(shell("test \"$(nm -D --defined-only %s/p/x.so | sed 's/.* //')\" = theseus_plugin", dir), 0);
    work_free(dir);
}

/* A stand-in for the server that examines nothing and answers what it is told. */
static void write_server(const char *dir, const char *answer, int status) {
    assert_int_equal(
        shell("printf '#!/bin/sh\\n[ \"$1\" = check ] || { echo \"%s\"; exit %d; }\\n' >%s/server && chmod "
              "+x %s/server",
              answer, status, dir, dir),
        0);
}

static void the_test_it_writes_can_fail(void **state) {
    char *dir = work_new(), make[PATH_MAX];

    (void)state;
    assert_int_equal(shell("tools/new-plugin x %s/p >/dev/null", dir), 0);
    (void)snprintf(make, sizeof(make),
                   "make -s -C %s/p test THESEUS_INCLUDE=\"$PWD/include\" THESEUS=%s/server >/dev/null 2>&1", dir, dir);
    write_server(dir, "Hello, World, from x", 0);
    assert_int_equal(shell("%s", make), 0);
    write_server(dir, "Hello, World, from y", 0);
    assert_int_not_equal(shell("%s", make), 0);
    write_server(dir, "Hello, World, from x", 1);
    assert_int_not_equal(shell("%s", make), 0);
    work_free(dir);
}

static void passes_its_test_in_a_real_server(void **state) {
    char *dir;

    (void)state;
    if (!getenv("THESEUS") && access("build/theseus", X_OK) < 0) {
        print_message("skipped: build/theseus is not built\n");
        skip();
    }
    dir = work_new();
    assert_int_equal(shell("tools/new-plugin x %s/p >/dev/null", dir), 0);
    assert_int_equal(
        shell("make -s -C %s/p test THESEUS_INCLUDE=\"$PWD/include\" THESEUS=\"${THESEUS:-$PWD/build/theseus}\"", dir),
        0);
    work_free(dir);
}

static void refuses_a_name_that_no_plugin_can_have(void **state) {
    char *dir = work_new();

    (void)state;
    assert_int_equal(shell("tools/new-plugin 'a b' %s/p 2>%s/said", dir, dir), 1);
    assert_int_equal(shell("grep -q \"'a b' cannot name a plugin; use letters, digits\" %s/said", dir), 0);
    assert_int_equal(shell("tools/new-plugin ../x %s/p 2>/dev/null", dir), 1);
    assert_int_equal(shell("tools/new-plugin 'a/b&c' %s/p 2>/dev/null", dir), 1);
    assert_int_equal(shell("tools/new-plugin $(printf %%065d 0) %s/p 2>/dev/null", dir), 1);
    assert_int_equal(shell("tools/new-plugin 2>/dev/null"), 2);
    assert_int_not_equal(access(dir, F_OK), -1);
    assert_int_equal(shell("test -e %s/p", dir), 1);
    work_free(dir);
}

static void leaves_an_existing_folder_alone(void **state) {
    char *dir = work_new();

    (void)state;
    assert_int_equal(shell("mkdir %s/p && tools/new-plugin x %s/p 2>/dev/null", dir, dir), 1);
    assert_int_equal(shell("rmdir %s/p", dir), 0);
    assert_int_equal(shell("tools/new-plugin echo 2>/dev/null"), 1);
    work_free(dir);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_a_plugin_that_builds_and_answers),
        cmocka_unit_test(builds_with_the_installed_header_too),
        cmocka_unit_test(exports_one_symbol_only),
        cmocka_unit_test(the_test_it_writes_can_fail),
        cmocka_unit_test(passes_its_test_in_a_real_server),
        cmocka_unit_test(refuses_a_name_that_no_plugin_can_have),
        cmocka_unit_test(leaves_an_existing_folder_alone),
    };

    /* The make that runs these tests shall not speak to those that they run. */
    (void)unsetenv("MAKEFLAGS");
    return cmocka_run_group_tests_name("plugins/new_plugin", tests, NULL, NULL);
}
