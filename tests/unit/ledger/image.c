/*
 * From image to image: this program executes itself, with the ledger's descriptor kept, in every situation that the
 * rules name, and the new image looks at what there is. Called with arguments it is the new image.
 */
#include "test.h"

#include "ledger/ledger.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "facts.h"

enum { LOST = 3, WRONG_GATE = 4 };

/* In the child, which becomes a new image; async-signal-safe, as in a crash handler. */
static void execute(const struct ledger *ledger, const char *expected) {
    char number[12] = "", *digit = number + sizeof(number) - 1;
    int fd = ledger_fd(ledger);
    sigset_t none;

    (void)fcntl(fd, F_SETFD, 0);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    for (; fd > 0 || !*digit; fd /= 10)
        *--digit = (char)('0' + fd % 10);
    (void)execl("/proc/self/exe", "image", digit, expected, (char *)NULL);
    _exit(127);
}

static int new_image(char *argv[]) {
    CLEANUP(ledger_free) struct ledger *ledger = NULL;
    uint64_t expected = strtoull(argv[2], NULL, 10);

    if (ledger_open(&ledger, atoi(argv[1]), NULL) < 0 || ledger_damaged(ledger) > 0)
        return LOST;
    if (expected ? counter_of(ledger, "value") != expected : counter_of(ledger, "value") == 0)
        return LOST;
    ledger_enter(ledger); /* it is open again, whoever held it */
    ledger_leave(ledger);
    put_counter(ledger, "new", 1);
    return counter_of(ledger, "new") == 1 ? 0 : LOST;
}

/* Runs `play` in a child, which is to execute the new image; that one has to be content. */
static void assert_survives(void (*play)(struct ledger *ledger)) {
    struct ledger *ledger = ledger_new();
    int status = 0;

    put_counter(ledger, "value", 12);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)alarm(60);
        play(ledger);
        _exit(126);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    (void)ledger_free(ledger);
}

static void exec_after_taking_the_gate(struct ledger *ledger) {
    if (ledger_gate_take_for_exec(ledger, 1000) != GATE_TAKEN)
        _exit(WRONG_GATE);
    execute(ledger, "12");
}

static void survives_an_exec(void **state) {
    (void)state;
    assert_survives(exec_after_taking_the_gate);
}

static void exec_with_the_gate_held(struct ledger *ledger) {
    ledger_enter(ledger);
    if (ledger_gate_take_for_exec(ledger, 1000) != GATE_OWN)
        _exit(WRONG_GATE);
    execute(ledger, "12");
}

static void survives_an_exec_by_the_thread_that_holds_the_gate(void **state) {
    (void)state;
    assert_survives(exec_with_the_gate_held);
}

static _Atomic bool inside;

static void *hold_for_ever(void *arg) {
    ledger_enter(arg);
    atomic_store(&inside, true);
    for (;;)
        (void)pause();
    return NULL;
}

static void exec_while_another_holds_the_gate(struct ledger *ledger) {
    pthread_t thread;

    atomic_store(&inside, false);
    (void)pthread_create(&thread, NULL, hold_for_ever, ledger);
    while (!atomic_load(&inside))
        (void)sched_yield();
    if (ledger_gate_take_for_exec(ledger, 20) != GATE_LATE)
        _exit(WRONG_GATE);
    execute(ledger, "12");
}

static void survives_an_exec_while_another_thread_holds_the_gate(void **state) {
    (void)state;
    assert_survives(exec_while_another_holds_the_gate);
}

static void *crash_inside(void *arg) {
    ledger_enter(arg);
    ledger_gate_give_up(arg);
    atomic_store(&inside, true);
    for (;;)
        (void)pause();
    return NULL;
}

static void exec_while_another_is_lost_in_the_gate(struct ledger *ledger) {
    pthread_t thread;

    atomic_store(&inside, false);
    (void)pthread_create(&thread, NULL, crash_inside, ledger);
    while (!atomic_load(&inside))
        (void)sched_yield();
    ledger_gate_give_up(ledger); /* of no effect: this one is not inside */
    int64_t begin = clock_now_ns();
    if (ledger_gate_take_for_exec(ledger, 60000) != GATE_LATE || clock_now_ns() - begin > INT64_C(10000000000))
        _exit(WRONG_GATE);
    execute(ledger, "12");
}

static void does_not_wait_for_a_thread_that_never_leaves(void **state) {
    (void)state;
    assert_survives(exec_while_another_is_lost_in_the_gate);
}

static void *commit_for_ever(void *arg) {
    for (uint64_t i = 13;; i++) {
        struct counter_record value = {span_of("value"), i};
        CLEANUP(batch_fini) struct batch batch = {0};
        batch_put(&batch, &counter_kind, &value);
        if (ledger_commit(arg, &batch, NULL) < 0)
            _exit(LOST);
    }
    return NULL;
}

static struct ledger *crashing;

static void on_crash(int signal_number) {
    (void)signal_number;
    if (ledger_gate_take_for_exec(crashing, 30000) == GATE_LATE)
        _exit(WRONG_GATE);
    execute(crashing, "0");
}

/* Every thread commits; one of them is hit by the signal, wherever it is, and executes. */
static void crash_while_all_commit(struct ledger *ledger) {
    pthread_t threads[3];

    crashing = ledger;
    (void)signal(SIGSEGV, on_crash);
    for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
        (void)pthread_create(&threads[i], NULL, commit_for_ever, ledger);
    while (counter_of(ledger, "value") < 2000)
        (void)sched_yield();
    (void)pthread_kill(threads[1], SIGSEGV);
    for (;;)
        (void)pause();
}

/* ThreadSanitizer's atomics hold a lock, and a signal that comes from outside may come inside it: a fault cannot. */
static bool may_be_interrupted_anywhere(void) {
#if defined(__SANITIZE_THREAD__)
    return false;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
    return false;
#endif
#endif
    return true;
}

static void survives_crashes_while_every_thread_commits(void **state) {
    (void)state;
    if (!may_be_interrupted_anywhere())
        skip();
    for (int i = 0; i < 50; i++)
        assert_survives(crash_while_all_commit);
}

static void exec_that_fails(struct ledger *ledger) {
    int taken = ledger_gate_take_for_exec(ledger, 1000);

    (void)execl("/nowhere", "nowhere", (char *)NULL);
    ledger_gate_give_back(ledger, taken);
    put_counter(ledger, "value", 13);
    if (ledger_gate_take_for_exec(ledger, 1000) != GATE_TAKEN)
        _exit(WRONG_GATE);
    execute(ledger, "13");
}

static void goes_on_after_an_exec_that_failed(void **state) {
    (void)state;
    assert_survives(exec_that_fails);
}

int main(int argc, char *argv[]) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(survives_an_exec),
        cmocka_unit_test(survives_an_exec_by_the_thread_that_holds_the_gate),
        cmocka_unit_test(survives_an_exec_while_another_thread_holds_the_gate),
        cmocka_unit_test(does_not_wait_for_a_thread_that_never_leaves),
        cmocka_unit_test(survives_crashes_while_every_thread_commits),
        cmocka_unit_test(goes_on_after_an_exec_that_failed),
    };

    if (argc == 3)
        return new_image(argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
