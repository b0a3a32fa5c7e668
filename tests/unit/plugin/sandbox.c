/* Each test has a child of its own enter the sandbox, which nobody leaves: what the child finds is its exit status. */
#include "test.h"

#include "plugin/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "plugin/fixture.h"

/* In the sandbox: 0 is good, anything else says which step was not. */
typedef int inside_fn(const char *place, int path_rules);

static int in_sandbox(const struct sandbox_spec *spec, const char *place, inside_fn *fn) {
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        struct theseus_error err = {0};
        int path_rules = -1;
        if (sandbox_enter(spec, &path_rules, &err) < 0) {
            (void)!write(STDERR_FILENO, err.message, strlen(err.message));
            _exit(100);
        }
        _exit(fn(place, path_rules));
    }
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static bool fails_with(long r, int error) {
    return r < 0 && errno == error;
}

static int open_in(const char *place, const char *name, int flags) {
    CLEANUP(free) char *path = path_join(place, name);

    return open(path, flags, 0600);
}

static int has_rules(const char *place, int path_rules) {
    (void)place;
    return path_rules > 0 ? 0 : 1;
}

static bool kernel_has_rules(void) {
    const struct sandbox_spec spec = {0};

    return in_sandbox(&spec, NULL, has_rules) == 0;
}

/* ---- files ---- */

static int write_in_one_place(const char *place, int path_rules) {
    CLEANUP(free) char *own = path_join(place, "own");

    (void)path_rules;
    if (open_in(own, "file", O_RDWR | O_CREAT) < 0)
        return 1;
    if (mkdir("/tmp/theseus-unit-never", 0700) == 0)
        return 2;
    if (!fails_with(open_in(place, "file", O_RDWR | O_CREAT), EACCES))
        return 3;
    if (!fails_with(open_in(place, "there", O_WRONLY), EACCES) || !fails_with(open_in(place, "there", O_TRUNC), EACCES))
        return 4;
    return open_in(place, "there", O_RDONLY) < 0 ? 5 : 0;
}

static void writes_in_its_directory_only(void **state) {
    CLEANUP(place_fini) char *place = place_new();
    CLEANUP(free) char *own = path_join(place, "own");
    const struct sandbox_spec spec = {.dir = own};

    (void)state;
    if (!kernel_has_rules())
        return; /* what holds then is the next test's */
    assert_int_equal(mkdir(own, 0700), 0);
    assert_int_equal(close(open_in(place, "there", O_WRONLY | O_CREAT)), 0);
    assert_int_equal(in_sandbox(&spec, place, write_in_one_place), 0);
}

static int write_nowhere(const char *place, int path_rules) {
    CLEANUP(free) char *own = path_join(place, "own");
    CLEANUP(free) char *there = path_join(place, "there");

    if (path_rules != SANDBOX_NO_PATH_RULES)
        return 1;
    if (!fails_with(open_in(own, "file", O_RDWR | O_CREAT), EPERM))
        return 2;
    if (!fails_with(open_in(place, "there", O_WRONLY), EPERM) ||
        !fails_with(open_in(place, "there", O_RDONLY | O_TRUNC), EPERM))
        return 3;
    if (!fails_with(unlink(there), EPERM) || !fails_with(mkdir("/tmp/theseus-unit-never", 0700), EPERM) ||
        !fails_with(rename(there, own), EPERM) || !fails_with(truncate(there, 0), EPERM))
        return 4;
    return open_in(place, "there", O_RDONLY) < 0 ? 5 : 0;
}

static void writes_nowhere_without_rules_for_paths(void **state) {
    CLEANUP(place_fini) char *place = place_new();
    CLEANUP(free) char *own = path_join(place, "own");
    const struct sandbox_spec spec = {.dir = own, .no_path_rules = true};

    (void)state;
    assert_int_equal(mkdir(own, 0700), 0);
    assert_int_equal(close(open_in(place, "there", O_WRONLY | O_CREAT)), 0);
    assert_int_equal(in_sandbox(&spec, place, write_nowhere), 0);
}

static void fails_without_its_directory(void **state) {
    const struct sandbox_spec spec = {.dir = "/nowhere/at/all"};

    (void)state;
    if (kernel_has_rules())
        assert_int_equal(in_sandbox(&spec, NULL, has_rules), 100);
}

/* ---- calls ---- */

static void *nothing(void *arg) {
    return arg;
}

static int try_calls(const char *place, int path_rules) {
    pthread_t thread;

    (void)place, (void)path_rules;
    if (!fails_with(fork(), EPERM))
        return 1;
    if (!fails_with(socket(AF_UNIX, SOCK_STREAM, 0), EPERM))
        return 2;
    if (!fails_with(kill(getppid(), 0), EPERM) || kill(getpid(), 0) < 0)
        return 3;
    if (!fails_with(syscall(100000), ENOSYS) || !fails_with(syscall(SYS_clone3, NULL, 0), ENOSYS))
        return 4;
    if (pthread_create(&thread, NULL, nothing, NULL) != 0 || pthread_join(thread, NULL) != 0)
        return 5;
    return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? 0 : 6;
}

static void denies_calls(void **state) {
    const struct sandbox_spec spec = {0};

    (void)state;
    assert_int_equal(in_sandbox(&spec, NULL, try_calls), 0);
}

static int abort_there(const char *place, int path_rules) {
    (void)place, (void)path_rules;
    (void)signal(SIGABRT, SIG_DFL);
    abort();
}

static void lets_a_process_die_of_its_own_signal(void **state) {
    const struct sandbox_spec spec = {0};

    (void)state;
    assert_int_equal(in_sandbox(&spec, NULL, abort_there), 1000 + SIGABRT);
}

#if defined(__x86_64__)
/* Calls of the 32-bit machine, by their own numbers, are not looked at one by one. */
static int call_as_of_old(const char *place, int path_rules) {
    long r;

    (void)place, (void)path_rules;
    __asm__ volatile("int $0x80" : "=a"(r) : "a"(20L) : "memory");
    return r > 0 ? 1 : 0;
}

static void ends_a_process_that_calls_for_another_machine(void **state) {
    const struct sandbox_spec spec = {0};
    int r = in_sandbox(&spec, NULL, call_as_of_old);

    (void)state;
    assert_true(r == 1000 + SIGSYS || r == 1000 + SIGSEGV || r == 0); /* the latter two: a kernel without them */
}

static int call_x32(const char *place, int path_rules) {
    (void)place, (void)path_rules;
    return fails_with(syscall(0x40000000 | SYS_fork), ENOSYS) ? 0 : 1;
}

static void knows_no_numbers_of_x32(void **state) {
    const struct sandbox_spec spec = {0};

    (void)state;
    assert_int_equal(in_sandbox(&spec, NULL, call_x32), 0);
}
#endif

/* ---- memory ---- */

static int take_memory(const char *place, int path_rules) {
    CLEANUP(free) void *some = malloc(64 << 20);
    CLEANUP(free) void *much = malloc((size_t)1 << 30);

    (void)place, (void)path_rules;
    if (!some)
        return 1;
    return much ? 2 : 0;
}

static void limits_the_memory(void **state) {
    const struct sandbox_spec spec = {.memory = 512 << 20}, none = {0};

    (void)state;
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    assert_int_equal(in_sandbox(&spec, NULL, take_memory), 0);
#endif
    (void)spec;
    assert_int_equal(in_sandbox(&none, NULL, take_memory), 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_in_its_directory_only),
        cmocka_unit_test(writes_nowhere_without_rules_for_paths),
        cmocka_unit_test(fails_without_its_directory),
        cmocka_unit_test(denies_calls),
        cmocka_unit_test(lets_a_process_die_of_its_own_signal),
#if defined(__x86_64__)
        cmocka_unit_test(ends_a_process_that_calls_for_another_machine),
        cmocka_unit_test(knows_no_numbers_of_x32),
#endif
        cmocka_unit_test(limits_the_memory),
    };

    return cmocka_run_group_tests_name("plugin/sandbox", tests, NULL, NULL);
}
