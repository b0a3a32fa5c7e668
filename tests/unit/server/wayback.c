#include "test.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "server/handover.h"
#include "server/wayback.h"

/* The image before is a shell here, and this is what it says of itself by its exit status. */
enum { CAME_BACK = 42 };

static char *const back_argv[] = {(char *)(uintptr_t) "sh", (char *)(uintptr_t) "-c",
                                  (char *)(uintptr_t) "test \"${" HANDOVER_VARIABLE "##*:}\" = 1 && exit 42", NULL};

typedef void end_fn(void);

static struct ledger *gated; /* of the child */

/* In a child, since it ends: the way back is opened, and then `end` is what happens. Returns the wait status. */
static int end_by(struct ledger *ledger, end_fn *end) {
    int status = 0;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        struct rlimit no_core = {0, 0};
        struct handover handover = {.ledger_fd = ledger_fd(ledger), .back_fd = open("/bin/sh", O_RDONLY | O_CLOEXEC)};
        struct theseus_error err = {0};
        (void)setrlimit(RLIMIT_CORE, &no_core);
        if (wayback_open(&handover, back_argv, &err) < 0 || wayback_set_ledger(ledger, &err) < 0)
            _exit(99);
        gated = ledger;
        end();
        _exit(98);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void leaves_by_exit(void) {
    exit(3);
}

static void fails(void) {
    wayback_take();
}

static void crashes(void) {
    (void)raise(SIGSEGV);
}

static void aborts(void) {
    abort();
}

static void hangs(void) {
    (void)alarm(1);
    for (;;)
        (void)pause();
}

static void *crash_on_thread(void *arg) {
    (void)raise(SIGBUS);
    return arg;
}

static void crashes_on_another_thread(void) {
    pthread_t thread;

    if (pthread_create(&thread, NULL, crash_on_thread, NULL) == 0)
        (void)pthread_join(thread, NULL);
}

/* The second one crashes while the first one is on its way, which the gate holds up here. */
static atomic_bool gate_is_held, second_crashes;

static void *hold_gate_on_thread(void *arg) {
    ledger_enter(gated);
    atomic_store(&gate_is_held, true);
    while (!atomic_load(&second_crashes))
        (void)usleep(1000);
    (void)usleep(30000); /* so that it has */
    ledger_leave(gated);
    return arg;
}

static void *crash_second_on_thread(void *arg) {
    while (wayback_is_open()) /* until it is taken */
        (void)usleep(1000);
    atomic_store(&second_crashes, true);
    (void)raise(SIGBUS);
    return arg;
}

static void crashes_on_two_threads(void) {
    pthread_t thread;

    if (pthread_create(&thread, NULL, hold_gate_on_thread, NULL) != 0 ||
        pthread_create(&thread, NULL, crash_second_on_thread, NULL) != 0)
        _exit(97);
    while (!atomic_load(&gate_is_held))
        (void)usleep(1000);
    (void)raise(SIGSEGV);
}

static void closes_and_leaves(void) {
    wayback_close();
    exit(7);
}

static void closes_and_crashes(void) {
    wayback_close();
    (void)signal(SIGSEGV, SIG_DFL);
    (void)raise(SIGSEGV);
}

static void on_own(int signum) {
    _exit(signum == SIGSEGV ? 9 : 96);
}

static void closes_behind_another_handler(void) {
    (void)signal(SIGSEGV, on_own);
    wayback_close();
    (void)raise(SIGSEGV);
}

/* The kernel has chosen the handler already when somebody else takes the signal over. */
static void closes_while_a_signal_is_on_its_way(void) {
    const siginfo_t info = {.si_signo = SIGSEGV, .si_code = SI_TKILL};
    struct sigaction ours;

    (void)sigaction(SIGSEGV, NULL, &ours);
    (void)signal(SIGSEGV, on_own);
    wayback_close();
    ours.sa_sigaction(SIGSEGV, (siginfo_t *)(uintptr_t)&info, NULL);
    _exit(94);
}

static void closes_and_is_ended_by_its_own_alarm(void) {
    wayback_close();
    (void)raise(SIGALRM);
    _exit(95);
}

static void closes_late(void) {
    (void)alarm(1);
    sigset_t alarm_only;
    (void)sigemptyset(&alarm_only);
    (void)sigaddset(&alarm_only, SIGALRM);
    (void)pthread_sigmask(SIG_BLOCK, &alarm_only, NULL);
    siginfo_t info;
    while (sigwaitinfo(&alarm_only, &info) < 0)
        ;
    (void)raise(SIGALRM); /* pending when the way is closed */
    wayback_close();
    (void)pthread_sigmask(SIG_UNBLOCK, &alarm_only, NULL);
    _exit(8);
}

/* Its timer is over only when the handler has run. */
static void wait_for_alarm(void) {
    const struct timespec part = {0, 10000000};
    struct itimerval left = {0};

    (void)alarm(1);
    do
        (void)nanosleep(&part, NULL);
    while (getitimer(ITIMER_REAL, &left) == 0 && (left.it_value.tv_sec || left.it_value.tv_usec));
}

static void rings_while_held_and_is_released(void) {
    wayback_hold();
    wait_for_alarm();
    wayback_release();
}

static void crashes_while_held(void) {
    wayback_hold();
    (void)raise(SIGSEGV);
}

static void fails_while_held(void) {
    wayback_hold();
    wayback_take();
}

static void rings_behind_a_release(void) {
    wayback_hold();
    wayback_release();
    hangs();
}

static void rings_while_held_and_is_closed(void) {
    wayback_hold();
    wait_for_alarm();
    wayback_close();
    wayback_release();
    _exit(wayback_is_open() ? 97 : 9);
}

static void leads_back_from_whatever_ends_the_image(void **state) {
    static const struct {
        end_fn *end;
        int signum;
    } ends[] = {{leaves_by_exit, 0},
                {fails, 0},
                {crashes, SIGSEGV},
                {aborts, SIGABRT},
                {hangs, SIGALRM},
                {crashes_on_another_thread, SIGBUS},
                {crashes_on_two_threads, SIGSEGV},
                {rings_while_held_and_is_released, SIGALRM},
                {crashes_while_held, SIGSEGV},
                {fails_while_held, 0},
                {rings_behind_a_release, SIGALRM}};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
        CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
        struct wayback_note note = {{0}, -1};
        int status = end_by(ledger, ends[i].end);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), CAME_BACK);
        assert_true(wayback_read_note(ledger, &note));
        assert_int_equal(note.signum, ends[i].signum);
        assert_false(wayback_read_note(ledger, &note)); /* once */
    }
}

static void is_gone_when_it_was_closed(void **state) {
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    struct wayback_note note;

    (void)state;
    int left = end_by(ledger, closes_and_leaves), crashed = end_by(ledger, closes_and_crashes);
    int late = end_by(ledger, closes_late), handled = end_by(ledger, closes_behind_another_handler);
    int held = end_by(ledger, rings_while_held_and_is_closed);
    int coming = end_by(ledger, closes_while_a_signal_is_on_its_way);
    assert_true(WIFEXITED(coming));
    assert_int_equal(WEXITSTATUS(coming), 9);
    assert_true(WIFEXITED(left));
    assert_int_equal(WEXITSTATUS(left), 7);
    int ended = end_by(ledger, closes_and_is_ended_by_its_own_alarm);
    assert_true(WIFSIGNALED(crashed));
    assert_true(WIFSIGNALED(ended)); /* it is as it was */
    assert_true(WIFEXITED(late));
    assert_int_equal(WEXITSTATUS(late), 8);
    assert_true(WIFEXITED(handled));
    assert_int_equal(WEXITSTATUS(handled), 9);
    assert_true(WIFEXITED(held));
    assert_int_equal(WEXITSTATUS(held), 9);
    assert_false(wayback_read_note(ledger, &note));
}

static void is_not_there_unless_it_was_opened(void **state) {
    (void)state;
    assert_false(wayback_is_open());
    wayback_take(); /* returns */
    wayback_hold();
    assert_false(wayback_is_open());
    wayback_release();
    wayback_close();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leads_back_from_whatever_ends_the_image),
        cmocka_unit_test(is_gone_when_it_was_closed),
        cmocka_unit_test(is_not_there_unless_it_was_opened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
