#include "test.h"

#include "server/crash.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/blame.h"
#include "base/clock.h"
#include "base/inherit.h"
#include "base/modules.h"
#include "loop/thread.h"
#include "server/crash_left.h"
#include "server/handover.h"

/* The next image is a shell here, and this is what it says of how it was executed. */
enum { WENT_ON = 4 + 32, WENT_ON_TORN = 6 + 32 };

static char *const next_argv[] = {(char *)(uintptr_t) "sh", (char *)(uintptr_t) "-c",
                                  (char *)(uintptr_t) "exit $((${" HANDOVER_VARIABLE "##*:} + 32))", NULL};

static struct ledger *ledger; /* of the test and its child: its memory is shared */
static struct loop *loop;     /* of the child */

typedef void death_fn(void);

/* In a child, since it ends. Returns the wait status. */
static int die(death_fn *death, char *const *argv) {
    int status = 0;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        struct rlimit no_core = {0, 0};
        struct theseus_error err = {0};
        loop_enter();
        (void)setrlimit(RLIMIT_CORE, &no_core);
        (void)signal(SIGSEGV, SIG_DFL); /* the test program has a handler of its own */
        loop = loop_new();
        struct crash_spec spec = {
            .ledger = ledger, .loop = loop, .exe_fd = open("/bin/sh", O_RDONLY | O_CLOEXEC), .argv = argv};
        if (crash_arm(&spec, &err) < 0)
            _exit(99);
        death();
        _exit(98);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void expect(death_fn *death, int exit_status, int signum, struct crash_note *ret_note) {
    int status = die(death, next_argv);

    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), exit_status);
    assert_true(crash_left_read(ledger, ret_note));
    assert_int_equal(ret_note->signum, signum);
    assert_false(crash_left_read(ledger, ret_note)); /* it is left once */
}

/* The same with the whole way there. Looking for that is a second fault where the machine stalls meanwhile. */
static void expect_way(death_fn *death, int signum, struct crash_note *ret_note) {
    for (int i = 0; i < 5; i++) {
        expect(death, WENT_ON, signum, ret_note);
        if (ret_note->faults == 1)
            return;
    }
    assert_int_equal(ret_note->faults, 1);
}

static int make(void **state) {
    (void)state;
    ledger = ledger_new();
    return 0;
}

static int drop(void **state) {
    (void)state;
    ledger = ledger_free(ledger);
    return 0;
}

#define NEEDS_HANDLER()          \
    do {                         \
        (void)state;             \
        if (!crash_is_handled()) \
            skip();              \
    } while (0)

static void *volatile nowhere;

static void by_null(void) {
    *(volatile int *)nowhere = 1;
}

static void by_abort(void) {
    abort();
}

static void by_exit(void) {
    exit(3);
}

static void by_quick_exit(void) {
    quick_exit(3);
}

static void takes_exit_for_a_crash(void **state) {
    struct crash_note note;
    char text[CRASH_CALL_BYTES];

    NEEDS_HANDLER();
    expect_way(by_exit, SIGABRT, &note);
    crash_note_call(&note, text);
    assert_string_equal(text, "exit(3)");
    assert_false(crash_note_is_hang(&note));
    assert_true(note.frame_count >= 2);
    expect(by_quick_exit, WENT_ON, SIGABRT, &note);
    crash_note_call(&note, text);
    assert_string_equal(text, "quick_exit()");
}

static void goes_on_in_the_next_image(void **state) {
    struct crash_note note;

    NEEDS_HANDLER();
    int64_t before = clock_now_ns();
    expect_way(by_null, SIGSEGV, &note);
    assert_true(note.at_ns >= before && note.at_ns <= clock_now_ns());
    assert_int_equal(note.address, 0);
    assert_int_equal(note.on_loop, 1);
    assert_string_equal(note.plugin, "");
    assert_true(note.frame_count >= 2);
    assert_true(note.module_count >= 1);
    expect(by_abort, WENT_ON, SIGABRT, &note);
}

static void by_null_to_blame(void) {
    static struct blame blame = {.plugin = "some",
                                 .version = "3",
                                 .hash = "abc",
                                 .tool = "tool",
                                 .structured = true,
                                 .conn = 1,
                                 .offset = 2,
                                 .index = 3};

    blame_enter(&blame);
    by_null();
}

static void notes_who_is_to_blame(void **state) {
    struct crash_note note;

    NEEDS_HANDLER();
    expect(by_null_to_blame, WENT_ON, SIGSEGV, &note);
    assert_string_equal(note.plugin, "some");
    assert_string_equal(note.version, "3");
    assert_string_equal(note.hash, "abc");
    assert_string_equal(note.tool, "tool");
    assert_string_equal(note.slot, "");
    assert_int_equal(note.structured, 1);
    assert_true(note.conn == 1 && note.offset == 2 && note.index == 3);
}

static void by_null_in_a_named_module(void) {
    modules_name((const void *)(uintptr_t)by_null, "named", "4", "def");
    by_null();
}

static void blames_the_plugin_whose_image_it_was_in(void **state) {
    struct crash_note note;

    NEEDS_HANDLER();
    expect(by_null_in_a_named_module, WENT_ON, SIGSEGV, &note);
    assert_string_equal(note.plugin, "named");
    assert_string_equal(note.hash, "def");
    assert_int_equal(note.conn, 0);
}

static void run_by_null(void *arg) {
    (void)arg;
    by_null();
}

static void on_another_thread(void) {
    struct thread *thread = NULL;
    struct theseus_error err = {0};

    loop_enter();
    if (thread_start(&thread, "other", run_by_null, NULL, &err) < 0)
        _exit(97);
    loop_run(loop);
}

static void lets_the_loop_execute(void **state) {
    struct crash_note note;

    NEEDS_HANDLER();
    int64_t before = clock_now_ns();
    expect(on_another_thread, WENT_ON, SIGSEGV, &note);
    assert_true(clock_now_ns() - before < INT64_C(5000000000));
    assert_int_equal(note.on_loop, 0);
    assert_string_equal(note.thread, "other");
}

static void while_the_loop_waits(void) {
    struct thread *thread = NULL;
    struct theseus_error err = {0};

    if (thread_start(&thread, "other", run_by_null, NULL, &err) < 0)
        _exit(97);
    for (;;)
        (void)pause();
}

static void does_not_wait_for_the_loop_for_ever(void **state) {
    struct crash_note note;

    NEEDS_HANDLER();
    expect(while_the_loop_waits, WENT_ON, SIGSEGV, &note);
}

static void inside_the_gate(void) {
    ledger_enter(ledger);
    by_null();
}

static void says_that_it_was_inside_the_gate(void **state) {
    struct crash_note note;

    NEEDS_HANDLER();
    expect(inside_the_gate, WENT_ON_TORN, SIGSEGV, &note);
}

static void many_at_once(void) {
    struct thread *threads[8];
    struct theseus_error err = {0};

    loop_enter();
    for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
        if (thread_start(&threads[i], "other", run_by_null, NULL, &err) < 0)
            _exit(97);
    loop_run(loop);
}

static void goes_on_once_whoever_crashes_beside_it(void **state) {
    struct crash_note note;

    NEEDS_HANDLER();
    for (int i = 0; i < 20; i++)
        expect(many_at_once, WENT_ON, SIGSEGV, &note);
}

#if defined(__x86_64__)
static void without_a_stack(void) {
    __asm__ volatile("mov $8, %rsp\n\tmov $8, %rbp\n\tud2");
}

static void goes_on_when_the_handler_crashes_too(void **state) {
    struct crash_note note;

    NEEDS_HANDLER();
    expect(without_a_stack, WENT_ON, SIGILL, &note);
    assert_int_equal(note.faults, 2);
    assert_true(note.frame_count >= 1);
}
#endif

static void jump_to_nowhere(void) {
    ((death_fn *)nowhere)();
}

static void knows_who_has_jumped_to_nowhere(void **state) {
    struct crash_note note;

    NEEDS_HANDLER();
    expect_way(jump_to_nowhere, SIGSEGV, &note);
    assert_int_equal(note.frame_count, 2);
    assert_int_equal(note.frames[0], 0);
    assert_int_equal(note.module_count, 1);
}

static void keep_and_die(void) {
    struct theseus_error err = {0};
    int kept = open("/bin/sh", O_RDONLY | O_CLOEXEC), other = open("/bin/sh", O_RDONLY | O_CLOEXEC);

    if (dup3(kept, 100, O_CLOEXEC) < 0 || dup3(other, 101, O_CLOEXEC) < 0 || inherit_add(100, &err) < 0)
        _exit(97);
    by_null();
}

static void takes_along_what_it_was_told_to(void **state) {
    char *const argv[] = {(char *)(uintptr_t) "sh", (char *)(uintptr_t) "-c",
                          (char *)(uintptr_t) "test -e /proc/self/fd/100 && ! test -e /proc/self/fd/101 && exit 43",
                          NULL};
    struct crash_note note;

    NEEDS_HANDLER();
    int status = die(keep_and_die, argv);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 43);
    assert_true(crash_left_read(ledger, &note));
}

static void by_disarmed(void) {
    loop_enter();
    crash_disarm();
    by_null();
}

static void ends_as_any_process_when_it_is_not_armed(void **state) {
    struct crash_note note;

    NEEDS_HANDLER();
    int status = die(by_disarmed, next_argv);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSEGV);
    assert_false(crash_left_read(ledger, &note));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(goes_on_in_the_next_image),
        cmocka_unit_test(takes_exit_for_a_crash),
        cmocka_unit_test(notes_who_is_to_blame),
        cmocka_unit_test(blames_the_plugin_whose_image_it_was_in),
        cmocka_unit_test(lets_the_loop_execute),
        cmocka_unit_test(does_not_wait_for_the_loop_for_ever),
        cmocka_unit_test(says_that_it_was_inside_the_gate),
        cmocka_unit_test(goes_on_once_whoever_crashes_beside_it),
#if defined(__x86_64__)
        cmocka_unit_test(goes_on_when_the_handler_crashes_too),
#endif
        cmocka_unit_test(knows_who_has_jumped_to_nowhere),
        cmocka_unit_test(takes_along_what_it_was_told_to),
        cmocka_unit_test(ends_as_any_process_when_it_is_not_armed),
    };

    return cmocka_run_group_tests_name("server/crash", tests, make, drop);
}
