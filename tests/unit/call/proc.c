#include "test.h"

#include "call/proc.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* A child of the name, which may be anything; gone when it was looked at. */
static uint64_t start_time_of_child(const char *name) {
    int pipes[2];
    char byte;
    uint64_t start_time = 0;

    assert_int_equal(pipe(pipes), 0);
    pid_t pid = fork();
    if (pid == 0) {
        (void)prctl(PR_SET_NAME, name);
        if (write(pipes[1], "", 1) == 1)
            (void)pause();
        _exit(1);
    }
    assert_int_equal(read(pipes[0], &byte, 1), 1);
    assert_int_equal(proc_start_time(pid, &start_time, NULL), 0);
    (void)close(pipes[0]);
    (void)close(pipes[1]);
    (void)kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    return start_time;
}

static void says_when_a_process_was_started(void **state) {
    uint64_t mine = 0, again = 0;

    (void)state;
    assert_int_equal(proc_start_time(getpid(), &mine, NULL), 0);
    assert_int_equal(proc_start_time(getpid(), &again, NULL), 0);
    assert_true(mine > 0);
    assert_int_equal(mine, again);
    assert_true(start_time_of_child("plain") >= mine);
}

static void reads_past_any_name(void **state) {
    uint64_t mine = 0;

    (void)state;
    assert_int_equal(proc_start_time(getpid(), &mine, NULL), 0);
    assert_true(start_time_of_child(") 1 2 (x y)") >= mine);
    assert_true(start_time_of_child("a b c) d\n") >= mine);
}

static void refuses_a_process_that_is_not_there(void **state) {
    struct theseus_error err = {0};
    uint64_t start_time;

    (void)state;
    assert_int_equal(proc_start_time(1L << 30, &start_time, &err), -1);
    assert_int_equal(err.code, ERR_SYSTEM);
}

static void knows_a_group_by_those_of_it_that_are_at_work(void **state) {
    int pipes[2];
    char byte;

    (void)state;
    assert_int_equal(pipe(pipes), 0);
    pid_t leader = fork();
    if (leader == 0) {
        (void)setpgid(0, 0);
        if (write(pipes[1], "", 1) == 1)
            (void)pause();
        _exit(1);
    }
    assert_int_equal(read(pipes[0], &byte, 1), 1);
    assert_true(proc_group_lives(leader));
    assert_false(proc_group_lives(1L << 30));
    assert_int_equal(kill(leader, SIGKILL), 0);
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)leader, &info, WEXITED | WNOWAIT), 0);
    assert_int_equal(kill(-leader, 0), 0);  /* it is still there, … */
    assert_false(proc_group_lives(leader)); /* … but has ended */
    assert_int_equal(waitpid(leader, NULL, 0), leader);
    (void)close(pipes[0]);
    (void)close(pipes[1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_when_a_process_was_started),
        cmocka_unit_test(reads_past_any_name),
        cmocka_unit_test(refuses_a_process_that_is_not_there),
        cmocka_unit_test(knows_a_group_by_those_of_it_that_are_at_work),
    };

    return cmocka_run_group_tests_name("call/proc", tests, NULL, NULL);
}
