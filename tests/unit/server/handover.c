#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "server/handover.h"

static bool is_inheritable(int fd) {
    return !(fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

static int open_quietly(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    return fd;
}

static void believes_only_descriptors_that_are_open(void **state) {
    struct handover handover;

    (void)state;
    handover_find(&handover);
    assert_int_equal(handover.ledger_fd, -1);
    assert_int_equal(setenv(HANDOVER_VARIABLE, "1:2:0", 1), 0); /* the standard ones cannot be it */
    handover_find(&handover);
    assert_int_equal(handover.ledger_fd, -1);
    assert_int_equal(setenv(HANDOVER_VARIABLE, "900:901:1", 1), 0);
    handover_find(&handover);
    assert_int_equal(handover.ledger_fd, -1);
    assert_int_equal(handover.back_fd, -1);
    assert_int_equal(setenv(HANDOVER_VARIABLE, "rubbish", 1), 0);
    handover_find(&handover);
    assert_int_equal(handover.ledger_fd, -1);
}

static void takes_what_was_left_out_of_the_environment(void **state) {
    CLEANUP(fd_close) int ledger_fd = open_quietly("/dev/null");
    CLEANUP(fd_close) int back_fd = open_quietly("/bin/true");
    CLEANUP(free) char *text = xasprintf("%d:%d:1", ledger_fd, back_fd);
    struct handover handover;

    (void)state;
    assert_int_equal(fcntl(ledger_fd, F_SETFD, 0), 0);
    assert_int_equal(setenv(HANDOVER_VARIABLE, text, 1), 0);
    handover_find(&handover);
    assert_int_equal(handover.ledger_fd, ledger_fd);
    assert_int_equal(handover.back_fd, back_fd);
    assert_true(handover.is_back);
    assert_false(handover.is_torn);
    assert_false(is_inheritable(ledger_fd));
    assert_null(getenv(HANDOVER_VARIABLE));
}

static void finds_a_kept_descriptor_by_its_name(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    CLEANUP(fd_close) int fd = open_quietly("/dev/null");
    struct theseus_error err = {0};

    (void)state;
    assert_int_equal(handover_take(ledger, "it"), -1);
    assert_int_equal(handover_keep(ledger, "it", fd, &err), 0);
    assert_int_equal(fcntl(fd, F_SETFD, 0), 0);
    handover_seal(ledger);
    assert_false(is_inheritable(fd));
    assert_int_equal(handover_take(ledger, "it"), fd);
    assert_int_equal(handover_take(ledger, "another"), -1);
}

static struct plan *plan_for(struct ledger *ledger, int exe_fd, int back_fd, char *const *argv) {
    struct plan_spec spec = {.ledger = ledger,
                             .ledger_fd = ledger_fd(ledger),
                             .exe_fd = exe_fd,
                             .back_fd = back_fd,
                             .argv = argv,
                             .startup_ms = 60000};
    struct theseus_error err = {0};
    struct plan *plan = NULL;

    assert_int_equal(plan_new(&plan, &spec, &err), 0);
    return plan;
}

/* A file that cannot be executed: everything must be as before, and the ledger usable. */
static void undoes_everything_when_the_exec_fails(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    CLEANUP(fd_close) int exe_fd = open_quietly("/etc/passwd");
    CLEANUP(fd_close) int kept_fd = open_quietly("/dev/null");
    char *const argv[] = {(char *)(uintptr_t) "x", NULL};
    struct theseus_error err = {0};
    struct itimerval left;

    (void)state;
    assert_int_equal(handover_keep(ledger, "kept", kept_fd, &err), 0);
    CLEANUP(plan_free) struct plan *plan = plan_for(ledger, exe_fd, -1, argv);
    plan_execute(plan);
    assert_int_equal(errno, EACCES);
    assert_false(is_inheritable(kept_fd));
    assert_false(is_inheritable(ledger_fd(ledger)));
    assert_int_equal(getitimer(ITIMER_REAL, &left), 0);
    assert_int_equal(left.it_value.tv_sec, 0);
    assert_int_equal(handover_keep(ledger, "more", kept_fd, &err), 0); /* the gate is open */
}

static void refuses_a_descriptor_that_is_not_open(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    char *const argv[] = {(char *)(uintptr_t) "x", NULL};
    struct plan_spec spec = {.ledger = ledger, .ledger_fd = ledger_fd(ledger), .back_fd = -1, .argv = argv};
    struct theseus_error err = {0};
    struct plan *plan = NULL;

    (void)state;
    assert_int_equal(handover_keep(ledger, "gone", 987, &err), 0);
    assert_int_equal(plan_new(&plan, &spec, &err), -1);
    assert_non_null(strstr(err.message, "descriptor 987 cannot be handed over"));
}

/* The next image is a shell that looks whether everything is there. */
static void hands_over_descriptors_and_where_the_ledger_is(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    CLEANUP(fd_close) int exe_fd = open_quietly("/bin/sh");
    CLEANUP(fd_close) int back_fd = open_quietly("/bin/true");
    CLEANUP(fd_close) int kept_fd = open_quietly("/dev/null");
    CLEANUP(fd_close) int other_fd = open_quietly("/dev/null");
    struct theseus_error err = {0};
    int status = 0;
    CLEANUP(free)
    char *script = xasprintf("cd /proc/$$/fd && test \"$" HANDOVER_VARIABLE
                             "\" = %d:%d:0 && test -e %d && test -e %d && test -e %d && "
                             "test ! -e %d",
                             ledger_fd(ledger), back_fd, ledger_fd(ledger), back_fd, kept_fd, other_fd);
    char *const argv[] = {(char *)(uintptr_t) "sh", (char *)(uintptr_t) "-c", script, NULL};

    (void)state;
    assert_int_equal(handover_keep(ledger, "kept", kept_fd, &err), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        CLEANUP(plan_free) struct plan *plan = plan_for(ledger, exe_fd, back_fd, argv);
        plan_execute(plan);
        _exit(99);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* The thread that executes is inside the gate, as one that crashed there would be. */
static void tells_that_the_streams_are_torn(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    CLEANUP(fd_close) int exe_fd = open_quietly("/bin/sh");
    char *const argv[] = {(char *)(uintptr_t) "sh", (char *)(uintptr_t) "-c",
                          (char *)(uintptr_t) "test \"${" HANDOVER_VARIABLE "##*:}\" = 2", NULL};
    int status = 0;

    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        CLEANUP(plan_free) struct plan *plan = plan_for(ledger, exe_fd, -1, argv);
        ledger_enter(ledger);
        plan_execute(plan);
        _exit(99);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    CLEANUP(free) char *text = xasprintf("%d:-1:3", ledger_fd(ledger));
    struct handover handover;
    assert_int_equal(setenv(HANDOVER_VARIABLE, text, 1), 0);
    handover_find(&handover);
    assert_true(handover.is_back && handover.is_torn);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(believes_only_descriptors_that_are_open),
        cmocka_unit_test(takes_what_was_left_out_of_the_environment),
        cmocka_unit_test(finds_a_kept_descriptor_by_its_name),
        cmocka_unit_test(undoes_everything_when_the_exec_fails),
        cmocka_unit_test(refuses_a_descriptor_that_is_not_open),
        cmocka_unit_test(hands_over_descriptors_and_where_the_ledger_is),
        cmocka_unit_test(tells_that_the_streams_are_torn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
