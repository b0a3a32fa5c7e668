#include "test.h"

#include "loop/thread.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

struct report {
    char name[32];
    stack_t signal_stack;
    sigset_t blocked;
    size_t stack_size;
    atomic_bool done;
};

static void look_around(void *arg) {
    struct report *report = arg;
    pthread_attr_t attributes;

    (void)pthread_getname_np(pthread_self(), report->name, sizeof(report->name));
    (void)sigaltstack(NULL, &report->signal_stack);
    memset(report->signal_stack.ss_sp, 1, report->signal_stack.ss_size); /* all of it can be used */
    (void)pthread_sigmask(SIG_SETMASK, NULL, &report->blocked);
    (void)pthread_getattr_np(pthread_self(), &attributes);
    (void)pthread_attr_getstacksize(&attributes, &report->stack_size);
    (void)pthread_attr_destroy(&attributes);
    atomic_store(&report->done, true);
}

static void is_like_any_other_when_it_was_made_ahead(void **state) {
    struct report reports[2] = {0};
    struct thread *threads[2];

    (void)state;
    thread_drop_ahead(); /* none */
    for (int i = 0; i < 2; i++)
        thread_make_ahead(); /* the second goes in place of the first */
    for (int i = 0; i < 2; i++)
        assert_int_equal(thread_start(&threads[i], i ? "second" : "first", look_around, &reports[i], NULL), 0);
    for (int i = 0; i < 2; i++) {
        assert_null(thread_join(threads[i]));
        assert_true(atomic_load(&reports[i].done));
        assert_string_equal(reports[i].name, i ? "second" : "first");
        assert_int_equal(sigismember(&reports[i].blocked, SIGTERM), 1);
        assert_int_equal(sigismember(&reports[i].blocked, SIGSEGV), 0);
    }
    thread_make_ahead();
    thread_drop_ahead();
}

static void sets_up_name_stacks_and_mask(void **state) {
    struct report report = {0};
    struct thread *thread;

    (void)state;
    assert_int_equal(thread_start(&thread, "a-name-that-is-too-long", look_around, &report, NULL), 0);
    assert_null(thread_join(thread));
    assert_string_equal(report.name, "a-name-that-is-");
    assert_int_equal(report.signal_stack.ss_size, 64 << 10);
    assert_int_equal(report.signal_stack.ss_flags, 0);
    assert_true(report.stack_size >= 1 << 20 && report.stack_size < 4 << 20);
    assert_false(sigismember(&report.blocked, SIGSEGV));
    assert_false(sigismember(&report.blocked, SIGABRT));
    assert_false(sigismember(&report.blocked, SIGSYS));
    assert_true(sigismember(&report.blocked, SIGTERM));
    assert_true(sigismember(&report.blocked, SIGPROF));
}

static void leaves_the_mask_of_the_starter(void **state) {
    struct report report = {0};
    struct thread *thread;
    sigset_t before, after;

    (void)state;
    (void)pthread_sigmask(SIG_SETMASK, NULL, &before);
    assert_int_equal(thread_start(&thread, "short", look_around, &report, NULL), 0);
    (void)pthread_sigmask(SIG_SETMASK, NULL, &after);
    assert_null(thread_join(thread));
    for (int signum = 1; signum < NSIG; signum++)
        assert_int_equal(sigismember(&before, signum), sigismember(&after, signum));
}

static void runs_on_when_detached(void **state) {
    static struct report report;
    struct thread *thread;

    (void)state;
    assert_int_equal(thread_start(&thread, "loose", look_around, &report, NULL), 0);
    assert_null(thread_detach(thread));
    while (!atomic_load(&report.done))
        (void)usleep(100);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
static void leave(int signum) {
    (void)signum;
    _exit(42);
}

static volatile int depth;

static int overflow(int n) {
    volatile char frame[4096];

    frame[0] = (char)n;
    depth = n;
    return n < 0 ? 0 : overflow(n + 1) + frame[0];
}

static void overflow_stack(void *arg) {
    (void)arg;
    (void)overflow(1);
}

/* In a child process, which a handler on the alternate stack ends with a status of its own. */
static void survives_an_overflow_in_the_handler(void **state) {
    struct sigaction action = {.sa_handler = leave, .sa_flags = SA_ONSTACK};
    const struct rlimit no_core = {0, 0};
    int status;

    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        struct thread *thread;
        (void)setrlimit(RLIMIT_CORE, &no_core);
        (void)sigaction(SIGSEGV, &action, NULL);
        if (thread_start(&thread, "deep", overflow_stack, NULL, NULL) == 0)
            (void)thread_join(thread);
        _exit(1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 42);
}
#else
static void survives_an_overflow_in_the_handler(void **state) {
    (void)state;
    skip(); /* the sanitizer's own handler takes the signal */
}
#endif

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets_up_name_stacks_and_mask),
        cmocka_unit_test(is_like_any_other_when_it_was_made_ahead),
        cmocka_unit_test(leaves_the_mask_of_the_starter),
        cmocka_unit_test(runs_on_when_detached),
        cmocka_unit_test(survives_an_overflow_in_the_handler),
    };

    return cmocka_run_group_tests_name("loop/thread", tests, NULL, NULL);
}
