#include "test.h"

#include "base/fatal.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/blame.h"

static bool whole = true;

static void on_signal(int signum, siginfo_t *info, void *context) {
    (void)info;
    (void)context;
    _exit(signum);
}

static void on_end(enum crash_call call, int status) {
    _exit(100 + 10 * (int)call + status);
}

static bool is_whole(void) {
    return whole;
}

static void handle(void) {
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN);
    fatal_handle(
        &(struct fatal_spec){.on_signal = on_signal, .on_end = on_end, .outlives_exit = true, .is_whole = is_whole});
}

static int unhandle(void **state) {
    (void)state;
    fatal_unhandle();
    whole = true;
    return 0;
}

static void mends_what_was_changed(void **state) {
    char memory[16 << 10];
    stack_t stack = {.ss_sp = memory, .ss_size = sizeof(memory)}, none = {.ss_flags = SS_DISABLE}, before;
    struct fatal_mended mended;
    struct sigaction now;
    sigset_t set;

    (void)state;
    handle();
    assert_false(fatal_mend(&mended));
    (void)signal(SIGBUS, SIG_DFL);
    assert_true(fatal_mend(&mended));
    assert_int_equal(mended.signum, SIGBUS);
    assert_null(mended.handler);
    (void)sigaction(SIGBUS, NULL, &now);
    assert_true(now.sa_sigaction == on_signal);
    (void)signal(SIGPIPE, SIG_DFL);
    assert_true(fatal_mend(&mended));
    assert_int_equal(mended.signum, SIGPIPE);
    (void)sigfillset(&set);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    assert_true(fatal_mend(&mended));
    assert_true(mended.blocked);
    (void)sigprocmask(SIG_SETMASK, NULL, &set);
    assert_false(sigismember(&set, SIGSEGV));
    (void)sigprocmask(SIG_UNBLOCK, &set, NULL);
    assert_int_equal(sigaltstack(&stack, &before), 0);
    fatal_use_stack(&stack);
    assert_int_equal(sigaltstack(&none, NULL), 0);
    assert_true(fatal_mend(&mended));
    assert_true(mended.stack);
    assert_false(fatal_mend(&mended));
    fatal_use_stack(NULL);
    assert_int_equal(sigaltstack(&before, NULL), 0);
    whole = false;
    assert_true(fatal_mend(&mended));
    assert_true(mended.broken);
}

static void mends_nothing_where_nobody_handles(void **state) {
    struct fatal_mended mended;

    (void)state;
    handle();
    fatal_unhandle();
    whole = false;
    assert_false(fatal_mend(&mended));
}

typedef void end_fn(void);

/* In a child, since it ends. Returns its exit status. */
static int end_of(end_fn *end, bool in_child_of_child) {
    int status = 0;
    pid_t child = fork();

    if (child == 0) {
        handle();
        if (in_child_of_child && fork() > 0) {
            fatal_unhandle();
            (void)wait(&status);
            _exit(WEXITSTATUS(status));
        }
        end();
        _exit(99);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void by_exit(void) {
    exit(3);
}

static void by_quick_exit(void) {
    quick_exit(3);
}

static void by_thread(void) {
    static struct blame blame = {.plugin = "p", .tool = "t"};

    blame_enter(&blame);
    fatal_thread_ends();
}

static void by_own_thread(void) {
    static struct blame blame = {.plugin = "p", .slot = "thread"};

    blame_enter(&blame);
    fatal_thread_ends();
    fatal_unhandle();
    _exit(4);
}

static void tells_of_ends_and_not_of_those_of_a_child(void **state) {
    (void)state;
    assert_int_equal(end_of(by_exit, false), 100 + 10 * CRASH_BY_EXIT + 3);
    assert_int_equal(end_of(by_quick_exit, false), 100 + 10 * CRASH_BY_QUICK_EXIT);
    assert_int_equal(end_of(by_thread, false), 100 + 10 * CRASH_BY_THREAD_END);
    assert_int_equal(end_of(by_own_thread, false), 4);
    assert_int_equal(end_of(by_quick_exit, true), 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(mends_what_was_changed, unhandle),
        cmocka_unit_test_teardown(mends_nothing_where_nobody_handles, unhandle),
        cmocka_unit_test(tells_of_ends_and_not_of_those_of_a_child),
    };

    return cmocka_run_group_tests_name("base/fatal", tests, NULL, NULL);
}
