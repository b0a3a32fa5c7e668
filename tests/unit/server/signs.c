#include "test.h"

#include "server/signs.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "call/proc.h"

static char root[] = "/tmp/theseus-signs-XXXXXX";

static int set_up(void **state) {
    (void)state;
    memcpy(root + sizeof(root) - 7, "XXXXXX", 6);
    if (!mkdtemp(root))
        return -1;
    CLEANUP(free) char *dir = signs_dir(root);
    return mkdir(dir, 0700);
}

static int tear_down(void **state) {
    CLEANUP(free) char *dir = signs_dir(root);

    (void)state;
    fs_remove_dir(dir);
    return rmdir(root);
}

static char *own_path(void) {
    CLEANUP(free) char *dir = signs_dir(root);

    return sign_path(dir, getpid());
}

static void leave_sign(const char *path, json_int_t start_time) {
    CLEANUP(free) char *text = xasprintf("{\"pid\": %d, \"start_time\": %lld}", (int)getpid(), (long long)start_time);

    assert_int_equal(fs_replace_file(path, span_of(text), 0600, NULL), 0);
}

static json_int_t own_start(void) {
    uint64_t start_time = 0;

    assert_int_equal(proc_start_time((long)getpid(), &start_time, NULL), 0);
    return (json_int_t)start_time;
}

/* Whoever started it may be busy with something else. */
static void shows_none_that_has_ended_and_is_not_reaped(void **state) {
    CLEANUP(free) char *dir = signs_dir(root);
    uint64_t start_time = 0;
    siginfo_t info;
    pid_t child = fork();

    (void)state;
    if (child == 0)
        _exit(0);
    CLEANUP(free) char *path = sign_path(dir, child);
    assert_int_equal(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
    assert_int_equal(proc_start_time(child, &start_time, NULL), 0);
    CLEANUP(free)
    char *text = xasprintf("{\"pid\": %d, \"start_time\": %llu}", (int)child, (unsigned long long)start_time);
    assert_int_equal(fs_replace_file(path, span_of(text), 0600, NULL), 0);
    json_auto_t *signs = signs_read(root);
    assert_int_equal(json_array_size(signs), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

static void shows_a_process_that_runs(void **state) {
    CLEANUP(free) char *path = own_path();

    (void)state;
    leave_sign(path, own_start());
    json_auto_t *signs = signs_read(root);
    assert_int_equal(json_array_size(signs), 1);
    assert_ptr_equal(signs_choose(signs, 0, NULL), json_array_get(signs, 0));
    assert_ptr_equal(signs_choose(signs, (long)getpid(), NULL), json_array_get(signs, 0));
}

static void removes_what_another_one_of_that_number_has_left(void **state) {
    CLEANUP(free) char *path = own_path();

    (void)state;
    leave_sign(path, own_start() + 1);
    json_auto_t *signs = signs_read(root);
    assert_int_equal(json_array_size(signs), 0);
    assert_int_equal(access(path, F_OK), -1);
}

static void leaves_alone_what_it_cannot_read(void **state) {
    CLEANUP(free) char *path = own_path();

    (void)state;
    assert_int_equal(fs_replace_file(path, span_of("half {"), 0600, NULL), 0);
    json_auto_t *signs = signs_read(root);
    assert_int_equal(json_array_size(signs), 0);
    assert_int_equal(access(path, F_OK), 0);
}

static void asks_which_one(void **state) {
    json_auto_t *none = json_array(), *two = json_pack("[{s:i}, {s:i}]", "pid", 11, "pid", 12);
    struct theseus_error err = {0}, which = {0};

    (void)state;
    assert_null(signs_choose(none, 0, &err));
    assert_non_null(strstr(err.message, "no server runs"));
    assert_null(signs_choose(two, 0, &which));
    assert_non_null(strstr(which.message, "11, 12"));
    assert_ptr_equal(signs_choose(two, 12, NULL), json_array_get(two, 1));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(shows_none_that_has_ended_and_is_not_reaped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(shows_a_process_that_runs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(removes_what_another_one_of_that_number_has_left, set_up, tear_down),
        cmocka_unit_test_setup_teardown(leaves_alone_what_it_cannot_read, set_up, tear_down),
        cmocka_unit_test(asks_which_one),
    };

    return cmocka_run_group_tests_name("server/signs", tests, NULL, NULL);
}
