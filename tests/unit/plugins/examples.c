#include "built.h"

/*
 * Builds the example with the very command that its head comment prints, in a folder of its own, with a package
 * description as `make install` would write it.
 */
static void build_and_greet(const char *compiler, const char *file, const char *name, const char *greeting) {
    char dir[] = "/tmp/theseus-examples-XXXXXX", top[PATH_MAX], path[PATH_MAX];

    if (access("plugins/examples", R_OK) < 0) {
        print_message("skipped: run this from the top of the source tree\n");
        skip();
    }
    if (shell("command -v %s >/dev/null", compiler) != 0 || shell("command -v pkg-config >/dev/null") != 0) {
        print_message("skipped: needs %s and pkg-config (apt-get install gcc g++ rustc pkg-config)\n", compiler);
        skip();
    }
    assert_non_null(getcwd(top, sizeof(top)));
    assert_non_null(mkdtemp(dir));
    assert_int_equal(shell("cp plugins/examples/%s %s/", file, dir), 0);
    assert_int_equal(
        shell("printf 'Name: theseus\\nDescription: d\\nVersion: 0\\nRequires: jansson\\nCflags: -I%s/include\\n' "
              ">%s/theseus.pc",
              top, dir),
        0);
    assert_int_equal(shell("cd %s && awk -v first='%s ' -v last='-o hello.so %s' '{ sub(/^[ *\\/]+/, \"\") } "
                           "index($0, first) == 1 { on = 1 } on { print } on && index($0, last) { exit }' %s >build.sh",
                           dir, compiler, file, file),
                     0);
    assert_int_equal(shell("cd %s && PKG_CONFIG_PATH=. sh -e ./build.sh", dir), 0);
    (void)snprintf(path, sizeof(path), "%s/hello.so", dir);
    expect_greeting(path, name, greeting);
    assert_int_equal(shell("rm -r %s", dir), 0);
}

static void the_one_in_c_greets(void **state) {
    (void)state;
    build_and_greet("cc", "hello.c", "hello_c", "Hello, World, from C");
}

static void the_one_in_cpp_greets(void **state) {
    (void)state;
    build_and_greet("g++", "hello.cpp", "hello_cpp", "Hello, World, from C++");
}

static void the_one_in_rust_greets(void **state) {
    (void)state;
    build_and_greet("rustc", "hello.rs", "hello_rs", "Hello, World, from Rust");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_one_in_c_greets),
        cmocka_unit_test(the_one_in_cpp_greets),
        cmocka_unit_test(the_one_in_rust_greets),
    };

    return cmocka_run_group_tests_name("plugins/examples", tests, NULL, NULL);
}
