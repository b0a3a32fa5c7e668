#include "test.h"

#include "loop/signal.h"

#include <signal.h>
#include <unistd.h>

#include "base/mem.h"
#include "loop/until.h"

struct ear {
    struct signal_watch *watch;
    int heard;
    bool free_it;
};

static void hear(void *arg, int signum) {
    struct ear *ear = arg;

    loop_enter();
    ear->heard = signum;
    if (ear->free_it)
        ear->watch = signal_watch_free(ear->watch);
}

static void tells_every_watch_of_the_signal(void **state) {
    CLEANUP(loop_free) struct loop *loop = loop_new();
    struct ear one = {0}, two = {0}, other = {0};

    (void)state;
    loop_enter();
    one.watch = signal_watch_new(loop, SIGHUP, hear, &one);
    two.watch = signal_watch_new(loop, SIGHUP, hear, &two);
    other.watch = signal_watch_new(loop, SIGUSR2, hear, &other);
    assert_int_equal(kill(getpid(), SIGHUP), 0);
    until(loop, one.heard && two.heard);
    assert_int_equal(one.heard, SIGHUP);
    assert_int_equal(other.heard, 0);
    (void)signal_watch_free(one.watch);
    (void)signal_watch_free(two.watch);
    (void)signal_watch_free(other.watch);
}

static void may_be_freed_by_its_own_callback(void **state) {
    CLEANUP(loop_free) struct loop *loop = loop_new();
    struct ear first = {.free_it = true}, second = {0};

    (void)state;
    loop_enter();
    first.watch = signal_watch_new(loop, SIGUSR1, hear, &first);
    second.watch = signal_watch_new(loop, SIGUSR1, hear, &second);
    (void)kill(getpid(), SIGUSR1);
    until(loop, first.heard && second.heard);
    first.heard = second.heard = 0;
    (void)kill(getpid(), SIGUSR1);
    until(loop, second.heard);
    assert_int_equal(first.heard, 0);
    (void)signal_watch_free(second.watch);
}

static void gives_the_default_back(void **state) {
    struct sigaction action;
    struct ear ear = {0};

    (void)state;
    loop_enter();
    struct loop *loop = loop_new();
    ear.watch = signal_watch_new(loop, SIGUSR1, hear, &ear);
    (void)signal_watch_free(ear.watch);
    (void)loop_free(loop);
    assert_int_equal(sigaction(SIGUSR1, NULL, &action), 0);
    assert_true(action.sa_handler == SIG_DFL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_every_watch_of_the_signal),
        cmocka_unit_test(may_be_freed_by_its_own_callback),
        cmocka_unit_test(gives_the_default_back),
    };

    return cmocka_run_group_tests_name("loop/signal", tests, NULL, NULL);
}
