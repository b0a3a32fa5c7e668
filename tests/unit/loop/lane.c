#include "test.h"

#include "loop/lane.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "base/mem.h"
#include "loop/lacks.h"
#include "loop/starve.h"
#include "loop/until.h"

struct task {
    struct lane_job job;
    atomic_bool held; /* `run` does not return before this is false */
    atomic_bool begun;
    pthread_t thread;
    int done, late;
    bool timed_out;
    struct lane *free_it;   /* freed by `done` */
    struct task *follow_up; /* submitted by `done` */
    char *log;              /* one character for every beginning and end */
};

static void run(void *arg) {
    struct task *task = container_of(arg, struct task, job);

    task->thread = pthread_self();
    atomic_store(&task->begun, true);
    if (task->log)
        strcat(task->log, "(");
    while (atomic_load(&task->held))
        (void)sched_yield();
    if (task->log)
        strcat(task->log, ")");
}

static void on_done(struct lane_job *job, bool timed_out) {
    struct task *task = container_of(job, struct task, job);

    loop_enter();
    task->done++;
    task->timed_out = timed_out;
    if (task->follow_up)
        lane_submit(job->lane, &task->follow_up->job);
    if (task->free_it)
        task->free_it = lane_free(task->free_it);
}

static void on_late(struct lane_job *job) {
    container_of(job, struct task, job)->late++;
}

static void submit(struct lane *lane, struct task *task, int64_t limit_ms) {
    loop_enter();
    task->job = (struct lane_job){.run = run, .done = on_done, .late = on_late, .limit_ms = limit_ms};
    lane_submit(lane, &task->job);
}

static void runs_one_after_another_on_one_thread(void **state) {
    CLEANUP(loop_free) struct loop *loop = loop_new();
    char log[32] = "";
    struct task tasks[3] = {{.log = log, .held = true}, {.log = log}, {.log = log}};

    (void)state;
    loop_enter();
    CLEANUP(lane_free) struct lane *lane = lane_new(loop, "lane", "it waits");
    for (int i = 0; i < 3; i++)
        submit(lane, &tasks[i], 60000);
    assert_int_equal(lane_pending(lane), 3);
    until(loop, atomic_load(&tasks[0].begun));
    assert_false(atomic_load(&tasks[1].begun));
    atomic_store(&tasks[0].held, false);
    until(loop, tasks[2].done);
    assert_string_equal(log, "()()()");
    assert_true(pthread_equal(tasks[0].thread, tasks[2].thread));
    assert_int_equal(lane_pending(lane), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(tasks[i].done, 1);
        assert_false(tasks[i].timed_out);
        assert_int_equal(tasks[i].late, 0);
    }
}

static void goes_on_with_a_new_thread_when_one_is_stuck(void **state) {
    CLEANUP(loop_free) struct loop *loop = loop_new();
    struct task stuck = {.held = true}, next = {0};

    (void)state;
    loop_enter();
    CLEANUP(lane_free) struct lane *lane = lane_new(loop, "lane", "it waits");
    submit(lane, &stuck, 30);
    submit(lane, &next, 60000);
    until(loop, next.done && atomic_load(&stuck.begun));
    assert_int_equal(stuck.done, 1);
    assert_true(stuck.timed_out);
    assert_false(next.timed_out);
    assert_int_equal(lane_stuck(lane), 1);
    assert_false(pthread_equal(stuck.thread, next.thread));
    assert_int_equal(stuck.late, 0);
    atomic_store(&stuck.held, false);
    until(loop, stuck.late);
    assert_int_equal(stuck.done, 1);
    assert_int_equal(lane_stuck(lane), 0);
}

static void measures_the_limit_from_the_beginning(void **state) {
    CLEANUP(loop_free) struct loop *loop = loop_new();
    struct task first = {.held = true}, second = {0};
    int64_t begin = clock_now_ns();

    (void)state;
    loop_enter();
    CLEANUP(lane_free) struct lane *lane = lane_new(loop, "lane", "it waits");
    submit(lane, &first, 60000);
    submit(lane, &second, 2000);
    until(loop, clock_now_ns() - begin > 2100 * (int64_t)1000000);
    atomic_store(&first.held, false);
    until(loop, second.done);
    assert_false(second.timed_out);
}

static void has_no_limit_with_zero(void **state) {
    CLEANUP(loop_free) struct loop *loop = loop_new();
    struct task task = {.held = true};

    (void)state;
    loop_enter();
    CLEANUP(lane_free) struct lane *lane = lane_new(loop, "lane", "it waits");
    submit(lane, &task, 0);
    until(loop, atomic_load(&task.begun));
    (void)loop_turn(loop, 20);
    assert_int_equal(task.done, 0);
    atomic_store(&task.held, false);
    until(loop, task.done);
    assert_false(task.timed_out);
}

static void takes_a_job_from_the_end_of_another_last(void **state) {
    CLEANUP(loop_free) struct loop *loop = loop_new();
    struct task third = {.job = {.run = run, .done = on_done}};
    struct task first = {.follow_up = &third}, second = {0};

    (void)state;
    loop_enter();
    CLEANUP(lane_free) struct lane *lane = lane_new(loop, "lane", "it waits");
    submit(lane, &first, 0);
    submit(lane, &second, 0);
    until(loop, third.done);
    assert_int_equal(second.done, 1);
}

static void may_be_freed_by_the_end_of_a_job(void **state) {
    CLEANUP(loop_free) struct loop *loop = loop_new();
    struct task first = {0}, second = {0};

    (void)state;
    loop_enter();
    struct lane *lane = lane_new(loop, "lane", "it waits");
    first.free_it = lane;
    submit(lane, &first, 60000);
    submit(lane, &second, 60000);
    until(loop, first.done);
    (void)loop_turn(loop, 1);
    assert_false(atomic_load(&second.begun));
    assert_int_equal(second.done, 0);
}

static void waits_for_the_running_job_when_freed(void **state) {
    CLEANUP(loop_free) struct loop *loop = loop_new();
    struct task task = {0};

    (void)state;
    loop_enter();
    struct lane *lane = lane_new(loop, "lane", "it waits");
    submit(lane, &task, 60000);
    assert_null(lane_free(lane));
    assert_true(atomic_load(&task.begun));
    (void)loop_turn(loop, 0);
    assert_int_equal(task.done, 0); /* no callback after that */
    assert_null(lane_free(NULL));
}

static void leaves_a_stuck_job_to_itself_when_freed(void **state) {
    CLEANUP(loop_free) struct loop *loop = loop_new();
    static struct task before, during; /* their memory stays in use */

    (void)state;
    loop_enter();
    atomic_store(&before.held, true);
    atomic_store(&during.held, true);
    struct lane *lane = lane_new(loop, "lane", "it waits");
    submit(lane, &before, 10);
    submit(lane, &during, 200);
    until(loop, before.done && atomic_load(&during.begun));
    int done = during.done; /* 1 where the machine was slow to come here */
    assert_null(lane_free(lane));
    atomic_store(&before.held, false);
    atomic_store(&during.held, false);
    (void)loop_turn(loop, 10);
    assert_int_equal(before.late, 0);
    assert_int_equal(during.done, done); /* no callback after that */
}

static void asks_again_when_there_is_no_thread_to_be_had(void **state) {
    (void)state;
    if (!STARVE_WORKS)
        skip();
    CLEANUP(loop_free) struct loop *loop = loop_new();
    struct task task = {0};

    loop_enter();
    CLEANUP(lane_free) struct lane *lane = lane_new(loop, "lane", "it waits");
    const struct rlimit before = starve();
    submit(lane, &task, 60000);
    (void)setrlimit(RLIMIT_AS, &before);
    assert_false(atomic_load(&task.begun));
    assert_int_equal(lane_pending(lane), 1);
    assert_int_equal(lack_count(loop, "it waits: cannot start the thread 'lane': "), 1);
    until(loop, task.done);
    assert_false(task.timed_out);
    assert_int_equal(lack_count(loop, ""), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_one_after_another_on_one_thread),
        cmocka_unit_test(goes_on_with_a_new_thread_when_one_is_stuck),
        cmocka_unit_test(measures_the_limit_from_the_beginning),
        cmocka_unit_test(has_no_limit_with_zero),
        cmocka_unit_test(takes_a_job_from_the_end_of_another_last),
        cmocka_unit_test(may_be_freed_by_the_end_of_a_job),
        cmocka_unit_test(waits_for_the_running_job_when_freed),
        cmocka_unit_test(asks_again_when_there_is_no_thread_to_be_had),
        cmocka_unit_test(leaves_a_stuck_job_to_itself_when_freed), /* its threads give memory back when they like */
    };

    return cmocka_run_group_tests_name("loop/lane", tests, NULL, NULL);
}
