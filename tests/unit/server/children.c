#include "test.h"

#include "server/children.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "call/proc.h"
#include "loop/until.h"

enum { DEAF = 1 }; /* to SIGTERM */

/* A child with a group of its own, which lives until it is ended. */
static pid_t spawn(int how) {
    int pipes[2];
    char byte;

    assert_int_equal(pipe(pipes), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)setpgid(0, 0);
        (void)signal(SIGTERM, how & DEAF ? SIG_IGN : SIG_DFL);
        if (write(pipes[1], "", 1) == 1)
            for (;;)
                (void)pause();
        _exit(1);
    }
    assert_int_equal(read(pipes[0], &byte, 1), 1);
    (void)close(pipes[0]);
    (void)close(pipes[1]);
    return pid;
}

static void record(struct ledger *ledger, pid_t pid, uint64_t offset, uint64_t time_difference) {
    struct child_record child = {.pid = (uint64_t)pid, .conn = 1, .offset = offset};

    assert_int_equal(proc_start_time(pid, &child.start_time, NULL), 0);
    child.start_time += time_difference;
    assert_int_equal(ledger_put(ledger, &child_kind, &child, NULL), 0);
}

struct seen {
    uint64_t offsets[8];
    size_t count;
    int64_t at_ns;
};

static void note(void *arg, const struct call_key *key) {
    struct seen *seen = arg;

    assert_int_equal(key->conn, 1);
    seen->offsets[seen->count++] = key->offset;
    seen->at_ns = clock_now_ns();
}

static void count_one(void *arg, const void *record) {
    (void)record;
    ++*(int *)arg;
}

static int recorded(struct ledger *ledger) {
    int count = 0;

    ledger_each(ledger, &child_kind, count_one, &count);
    return count;
}

static bool is_reaped(pid_t pid) {
    return waitpid(pid, NULL, WNOHANG) < 0;
}

static void ends_those_that_calls_have_left_and_tells_of_each(void **state) {
    CLEANUP(loop_free) struct loop *loop = loop_new();
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    const struct call_key with = {1, 10, 0}, without = {1, 11, 0};
    struct seen seen = {0};
    pid_t pid = spawn(0);

    (void)state;
    loop_enter();
    record(ledger, pid, 10, 0);
    CLEANUP(children_free) struct children *children = children_new(ledger, loop, 0, note, &seen);
    assert_int_equal(children_of(children, &with), CHILDREN_ALIVE);
    assert_int_equal(children_of(children, &without), CHILDREN_NONE);
    until(loop, seen.count == 1);
    assert_int_equal(seen.offsets[0], 10);
    assert_int_equal(children_of(children, &with), CHILDREN_ENDED);
    assert_true(is_reaped(pid));
    assert_int_equal(recorded(ledger), 0);
}

static void waits_for_all_of_one_call(void **state) {
    CLEANUP(loop_free) struct loop *loop = loop_new();
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    struct seen seen = {0};
    pid_t deaf = spawn(DEAF), other = spawn(0);

    (void)state;
    loop_enter();
    record(ledger, deaf, 10, 0);
    record(ledger, other, 10, 0);
    int64_t begin = clock_now_ns();
    CLEANUP(children_free) struct children *children = children_new(ledger, loop, 0, note, &seen);
    until(loop, seen.count == 1);
    assert_true(seen.at_ns - begin >= 990 * INT64_C(1000000)); /* and then it is killed */
    assert_true(is_reaped(deaf) && is_reaped(other));
    assert_int_equal(recorded(ledger), 0);
}

static void leaves_a_process_alone_that_has_only_the_number(void **state) {
    CLEANUP(loop_free) struct loop *loop = loop_new();
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    struct seen seen = {0};
    const struct call_key key = {1, 10, 0};

    (void)state;
    loop_enter();
    record(ledger, getppid(), 10, 1); /* that one was started at another time */
    CLEANUP(children_free) struct children *children = children_new(ledger, loop, 0, note, &seen);
    assert_int_equal(children_of(children, &key), CHILDREN_ENDED);
    assert_int_equal(recorded(ledger), 0);
    assert_int_equal(kill(getppid(), 0), 0);
}

/* The child runs this very program. */
static void kills_what_has_tried_out_something_for_us(void **state) {
    CLEANUP(loop_free) struct loop *loop = loop_new();
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    struct seen seen = {0};
    pid_t pid = spawn(DEAF);

    (void)state;
    loop_enter();
    CLEANUP(children_free) struct children *children = children_new(ledger, loop, 0, note, &seen);
    until(loop, is_reaped(pid));
    assert_int_equal(seen.count, 0);
}

static void only_reaps_the_one_that_writes_a_core(void **state) {
    CLEANUP(loop_free) struct loop *loop = loop_new();
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    struct seen seen = {0};
    pid_t pid = spawn(DEAF);

    (void)state;
    loop_enter();
    CLEANUP(children_free) struct children *children = children_new(ledger, loop, pid, note, &seen);
    (void)loop_turn(loop, 20);
    assert_int_equal(kill(pid, 0), 0);
    assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
    assert_int_equal(kill(pid, SIGKILL), 0);
    until(loop, is_reaped(pid));
}

static void kills_what_is_left_at_the_end(void **state) {
    CLEANUP(loop_free) struct loop *loop = loop_new();
    CLEANUP(ledger_free) struct ledger *ledger = ledger_new();
    struct seen seen = {0};
    pid_t pid = spawn(DEAF);

    (void)state;
    loop_enter();
    record(ledger, pid, 10, 0);
    struct children *children = children_new(ledger, loop, 0, note, &seen);
    children = children_free(children);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(seen.count, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ends_those_that_calls_have_left_and_tells_of_each),
        cmocka_unit_test(waits_for_all_of_one_call),
        cmocka_unit_test(leaves_a_process_alone_that_has_only_the_number),
        cmocka_unit_test(kills_what_has_tried_out_something_for_us),
        cmocka_unit_test(only_reaps_the_one_that_writes_a_core),
        cmocka_unit_test(kills_what_is_left_at_the_end),
    };

    return cmocka_run_group_tests_name("server/children", tests, NULL, NULL);
}
