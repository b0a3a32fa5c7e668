#include "test.h"

#include "plugin/imagedir.h"

#include <sched.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include "plugin/fixture.h"

static struct imagedir *dir_new(const char *place, const char *boot_id) {
    CLEANUP(free) char *runtime = path_join(place, "runtime");
    CLEANUP(free) char *state = path_join(place, "state");

    return imagedir_new(runtime, state, boot_id);
}

static bool exists(const char *place, const char *name) {
    CLEANUP(free) char *path = path_join(place, name);

    return access(path, F_OK) == 0;
}

static void makes_nothing_before_it_is_opened(void **state) {
    CLEANUP(place_fini) char *place = place_new();
    CLEANUP(imagedir_free) struct imagedir *dir = dir_new(place, "boot");

    (void)state;
    assert_null(imagedir_path(dir));
    assert_int_equal(imagedir_lock_fd(dir), -1);
    assert_false(exists(place, "runtime"));
}

static void makes_a_private_directory_and_locks_it(void **state) {
    CLEANUP(place_fini) char *place = place_new();
    CLEANUP(imagedir_free) struct imagedir *dir = dir_new(place, "boot");
    struct theseus_error err = {0};
    struct stat st;

    (void)state;
    assert_int_equal(imagedir_open(dir, &err), 0);
    assert_int_equal(stat(imagedir_path(dir), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    CLEANUP(free) char *lock = path_join(imagedir_path(dir), "lock");
    CLEANUP(fd_close) int fd = open(lock, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), -1);
}

static void opens_once_however_often_it_is_asked(void **state) {
    CLEANUP(place_fini) char *place = place_new();
    CLEANUP(imagedir_free) struct imagedir *dir = dir_new(place, "boot");

    (void)state;
    assert_int_equal(imagedir_open(dir, NULL), 0);
    int fd = imagedir_lock_fd(dir);
    assert_int_equal(imagedir_open(dir, NULL), 0);
    assert_int_equal(imagedir_lock_fd(dir), fd);
}

static void refuses_a_runtime_directory_that_is_open_to_others(void **state) {
    CLEANUP(place_fini) char *place = place_new();
    CLEANUP(free) char *runtime = path_join(place, "runtime");
    CLEANUP(imagedir_free) struct imagedir *dir = dir_new(place, "boot");
    struct theseus_error err = {0};

    (void)state;
    assert_int_equal(mkdir(runtime, 0755), 0);
    assert_int_equal(chmod(runtime, 0755), 0);
    assert_int_equal(imagedir_open(dir, &err), -1);
    assert_non_null(strstr(err.message, "chmod 700"));
    assert_null(imagedir_path(dir));
}

static void refuses_a_directory_that_another_holds(void **state) {
    CLEANUP(place_fini) char *place = place_new();
    CLEANUP(imagedir_free) struct imagedir *first = dir_new(place, "boot");
    CLEANUP(imagedir_free) struct imagedir *second = dir_new(place, "boot");
    struct theseus_error err = {0};

    (void)state;
    assert_int_equal(imagedir_open(first, NULL), 0);
    assert_int_equal(imagedir_open(second, &err), -1);
    assert_int_equal(err.code, ERR_BUSY);
}

static void removes_what_nobody_holds_and_leaves_what_somebody_does(void **state) {
    CLEANUP(place_fini) char *place = place_new();
    CLEANUP(imagedir_free) struct imagedir *left = dir_new(place, "left");
    CLEANUP(imagedir_free) struct imagedir *held = dir_new(place, "held");
    CLEANUP(imagedir_free) struct imagedir *dir = dir_new(place, "boot");

    (void)state;
    assert_int_equal(imagedir_open(left, NULL), 0);
    assert_int_equal(imagedir_open(held, NULL), 0);
    CLEANUP(free) char *file = path_join(imagedir_path(left), "echo.1.abc.so");
    write_bytes(file, "x", 1);
    CLEANUP(free) char *other = path_join(place, "runtime/other");
    CLEANUP(free) char *kept = path_join(other, "kept");
    assert_int_equal(mkdir(other, 0700), 0);
    write_bytes(kept, "x", 1);
    left = imagedir_free(left);
    assert_int_equal(imagedir_open(dir, NULL), 0);
    assert_false(exists(place, "runtime/left"));
    assert_true(exists(place, "runtime/held/lock"));
    assert_true(exists(place, "runtime/boot/lock"));
    assert_true(exists(place, "runtime/other/kept")); /* has no lock: not ours */
}

static void removes_its_own_directory_at_a_clean_exit(void **state) {
    CLEANUP(place_fini) char *place = place_new();
    struct imagedir *dir = dir_new(place, "boot");

    (void)state;
    assert_int_equal(imagedir_open(dir, NULL), 0);
    assert_null(imagedir_remove(dir));
    assert_false(exists(place, "runtime/boot"));
    assert_true(exists(place, "runtime"));
    assert_null(imagedir_remove(dir_new(place, "never opened")));
}

static void goes_on_with_a_directory_whose_lock_was_handed_over(void **state) {
    CLEANUP(place_fini) char *place = place_new();
    CLEANUP(imagedir_free) struct imagedir *first = dir_new(place, "boot");
    CLEANUP(imagedir_free) struct imagedir *next = dir_new(place, "boot");
    CLEANUP(imagedir_free) struct imagedir *wrong = dir_new(place, "wrong");

    (void)state;
    assert_int_equal(imagedir_open(first, NULL), 0);
    assert_int_equal(imagedir_open(wrong, NULL), 0);
    int fd = dup(imagedir_lock_fd(first));
    CLEANUP(free) char *path = xstrdup(imagedir_path(first));
    first = imagedir_free(first);
    assert_int_equal(imagedir_adopt(next, imagedir_path(wrong), fd, NULL), -1);
    assert_int_equal(imagedir_adopt(next, path, fd, NULL), 0);
    assert_string_equal(imagedir_path(next), path);
    assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    assert_int_equal(imagedir_open(next, NULL), 0);
    assert_int_equal(imagedir_lock_fd(next), fd);
}

static void gives_a_name_that_no_file_has(void **state) {
    CLEANUP(place_fini) char *place = place_new();
    CLEANUP(imagedir_free) struct imagedir *dir = dir_new(place, "boot");

    (void)state;
    assert_int_equal(imagedir_open(dir, NULL), 0);
    CLEANUP(free) char *first = imagedir_name(dir, "/somewhere/echo.so", 3, "abc");
    assert_string_equal(path_base(first), "echo.3.abc.so");
    write_bytes(first, "x", 1);
    CLEANUP(free) char *second = imagedir_name(dir, "/elsewhere/echo.so", 3, "abc");
    assert_string_equal(path_base(second), "echo.3.abc.2.so");
}

enum { OUT_OF_REACH = 77 };

/* In a mount namespace of its own: only there a file system can be made noexec. */
static int open_on_noexec(const char *place) {
    CLEANUP(free) char *runtime = path_join(place, "runtime");
    CLEANUP(free) char *expected = path_join(place, "state/run-images/boot");

    if (mkdir(runtime, 0700) < 0 || unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("none", runtime, "tmpfs", MS_NOEXEC, "mode=0700") < 0)
        return OUT_OF_REACH;
    CLEANUP(imagedir_free) struct imagedir *dir = dir_new(place, "boot");
    if (imagedir_open(dir, NULL) < 0)
        return 1;
    return strcmp(imagedir_path(dir), expected) == 0 ? 0 : 2;
}

static void uses_the_state_directory_where_runtime_is_noexec(void **state) {
    CLEANUP(place_fini) char *place = place_new();
    int status;

    (void)state;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(open_on_noexec(place));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == OUT_OF_REACH) {
        place_fini_cleanup(&place);
        place = NULL; /* skip() jumps over the clean-up */
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(makes_nothing_before_it_is_opened),
        cmocka_unit_test(makes_a_private_directory_and_locks_it),
        cmocka_unit_test(opens_once_however_often_it_is_asked),
        cmocka_unit_test(refuses_a_runtime_directory_that_is_open_to_others),
        cmocka_unit_test(refuses_a_directory_that_another_holds),
        cmocka_unit_test(removes_what_nobody_holds_and_leaves_what_somebody_does),
        cmocka_unit_test(removes_its_own_directory_at_a_clean_exit),
        cmocka_unit_test(goes_on_with_a_directory_whose_lock_was_handed_over),
        cmocka_unit_test(gives_a_name_that_no_file_has),
        cmocka_unit_test(uses_the_state_directory_where_runtime_is_noexec),
    };

    return cmocka_run_group_tests_name("plugin/imagedir", tests, NULL, NULL);
}
