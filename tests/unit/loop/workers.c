#include "test.h"

#include "loop/workers.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "loop/lacks.h"
#include "loop/starve.h"
#include "loop/until.h"

/* A job that says that it has begun and waits until it may end. */
struct gated {
    struct work work;
    atomic_bool begun, may_end, ended;
    char thread_name[16];
};

static void run_gated(void *job) {
    struct gated *gated = container_of(job, struct gated, work);

    (void)pthread_getname_np(pthread_self(), gated->thread_name, sizeof(gated->thread_name));
    atomic_store(&gated->begun, true);
    while (!atomic_load(&gated->may_end))
        (void)sched_yield();
    atomic_store(&gated->ended, true);
}

static void submit(struct workers *workers, struct gated *gated) {
    gated->work.run = run_gated;
    workers_submit(workers, &gated->work);
}

/* By their names: a sanitizer may have a thread of its own. Those that were joined go a moment later. */
static int worker_threads(void) {
    DIR *dir = opendir("/proc/self/task");
    int count = 0;

    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        CLEANUP(free) char *path = xasprintf("/proc/self/task/%s/comm", entry->d_name);
        CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
        char name[16] = "";
        if (fd >= 0 && read(fd, name, sizeof(name) - 1) > 0 && strncmp(name, "worker-", 7) == 0)
            count++;
    }
    if (dir)
        (void)closedir(dir);
    return count;
}

static void makes_threads_only_when_they_are_needed(void **state) {
    CLEANUP(loop_free) struct loop *loop = loop_new();
    struct gated jobs[3] = {0};

    (void)state;
    loop_enter();
    struct workers *workers = workers_new(loop, 4);
    until(loop, worker_threads() == 0);
    submit(workers, &jobs[0]);
    until(loop, atomic_load(&jobs[0].begun));
    until(loop, worker_threads() == 1);
    assert_string_equal(jobs[0].thread_name, "worker-1");
    submit(workers, &jobs[1]);
    until(loop, atomic_load(&jobs[1].begun));
    assert_int_equal(workers_busy(workers), 2);
    atomic_store(&jobs[0].may_end, true);
    until(loop, workers_busy(workers) == 1);
    submit(workers, &jobs[2]); /* the idle one takes it */
    until(loop, atomic_load(&jobs[2].begun));
    until(loop, worker_threads() == 2);
    atomic_store(&jobs[1].may_end, true);
    atomic_store(&jobs[2].may_end, true);
    (void)workers_free(workers);
    assert_true(atomic_load(&jobs[2].ended));
}

struct ordered {
    struct work work;
    int number;
    int *next;
    int *wrong;
};

static void run_ordered(void *job) {
    struct ordered *ordered = container_of(job, struct ordered, work);

    if (ordered->number != (*ordered->next)++)
        ++*ordered->wrong;
}

static void serves_first_who_came_first(void **state) {
    CLEANUP(loop_free) struct loop *loop = loop_new();
    struct gated last = {.may_end = true};
    struct ordered jobs[100];
    int next = 0, wrong = 0;

    (void)state;
    loop_enter();
    struct workers *workers = workers_new(loop, 1);
    for (int i = 0; i < 100; i++) {
        jobs[i] = (struct ordered){.work = {.run = run_ordered}, .number = i, .next = &next, .wrong = &wrong};
        workers_submit(workers, &jobs[i].work);
    }
    submit(workers, &last);
    until(loop, atomic_load(&last.ended));
    (void)workers_free(workers);
    assert_int_equal(next, 100);
    assert_int_equal(wrong, 0);
}

/* A job that says when it ran. */
struct listed {
    struct work work;
    char name;
    char *order; /* borrowed, of all */
    atomic_int *count;
};

static void run_listed(void *job) {
    struct listed *listed = container_of(job, struct listed, work);

    listed->order[atomic_load(listed->count)] = listed->name; /* there is one thread */
    (void)atomic_fetch_add(listed->count, 1);                 /* who waits looks at it now */
}

static void lets_those_take_turns_for_whom_there_is_work(void **state) {
    static const char names[] = "aaaabbcaa"; /* in the order of submission */
    CLEANUP(loop_free) struct loop *loop = loop_new();
    struct listed jobs[sizeof(names) - 1] = {0};
    char order[sizeof(names)] = "";
    struct gated first = {0};
    atomic_int count = 0;

    (void)state;
    loop_enter();
    struct workers *workers = workers_new(loop, 1);
    submit(workers, &first);
    until(loop, atomic_load(&first.begun));
    for (size_t i = 0; i < ARRAY_SIZE(jobs); i++) {
        jobs[i] = (struct listed){.work = {.run = run_listed, .whose = (uint64_t)names[i]},
                                  .name = names[i],
                                  .order = order,
                                  .count = &count};
        workers_submit(workers, &jobs[i].work);
    }
    atomic_store(&first.may_end, true);
    until(loop, atomic_load(&count) == (int)ARRAY_SIZE(jobs));
    assert_string_equal(order, "abcabaaaa");
    (void)workers_free(workers);
}

static void retracts_only_what_is_queued(void **state) {
    CLEANUP(loop_free) struct loop *loop = loop_new();
    struct gated running = {0}, waiting = {0}, never = {0};

    (void)state;
    loop_enter();
    struct workers *workers = workers_new(loop, 1);
    submit(workers, &running);
    until(loop, atomic_load(&running.begun));
    submit(workers, &waiting);
    assert_int_equal(workers_queued(workers), 1);
    assert_false(workers_retract(workers, &running.work));
    assert_false(workers_retract(workers, &never.work));
    assert_true(workers_retract(workers, &waiting.work));
    assert_false(workers_retract(workers, &waiting.work));
    assert_int_equal(workers_queued(workers), 0);
    atomic_store(&running.may_end, true);
    (void)workers_free(workers);
    assert_false(atomic_load(&waiting.begun));
}

struct ender {
    struct workers *workers;
    struct gated *running;
};

/* Lets the job end when freeing has begun: the queue has been emptied. */
static void end_it(void *arg) {
    struct ender *ender = arg;

    while (workers_queued(ender->workers) > 0)
        (void)sched_yield();
    atomic_store(&ender->running->may_end, true);
}

static void waits_for_what_runs_and_drops_what_is_queued(void **state) {
    CLEANUP(loop_free) struct loop *loop = loop_new();
    struct gated running = {0}, queued[3] = {0};
    struct thread *thread;

    (void)state;
    loop_enter();
    struct workers *workers = workers_new(loop, 1);
    submit(workers, &running);
    until(loop, atomic_load(&running.begun));
    for (int i = 0; i < 3; i++)
        submit(workers, &queued[i]);
    struct ender ender = {.workers = workers, .running = &running};
    assert_int_equal(thread_start(&thread, "ender", end_it, &ender, NULL), 0);
    assert_null(workers_free(workers));
    assert_true(atomic_load(&running.ended));
    for (int i = 0; i < 3; i++)
        assert_false(atomic_load(&queued[i].begun));
    (void)thread_join(thread);
}

static void takes_another_number_of_threads(void **state) {
    CLEANUP(loop_free) struct loop *loop = loop_new();
    struct gated jobs[4] = {0};

    (void)state;
    loop_enter();
    struct workers *workers = workers_new(loop, 1);
    for (int i = 0; i < 3; i++)
        submit(workers, &jobs[i]);
    until(loop, atomic_load(&jobs[0].begun));
    assert_int_equal(workers_queued(workers), 2);
    workers_resize(workers, 3);
    assert_int_equal(workers_count(workers), 3);
    until(loop, atomic_load(&jobs[1].begun) && atomic_load(&jobs[2].begun));
    workers_resize(workers, 1);
    for (int i = 0; i < 3; i++)
        atomic_store(&jobs[i].may_end, true);
    until(loop, worker_threads() == 1);
    atomic_store(&jobs[3].may_end, true);
    submit(workers, &jobs[3]);
    until(loop, atomic_load(&jobs[3].ended));
    workers_resize(workers, 3); /* the places of those that left are taken again */
    memset(jobs, 0, sizeof(jobs));
    for (int i = 0; i < 3; i++)
        submit(workers, &jobs[i]);
    until(loop, atomic_load(&jobs[0].begun) && atomic_load(&jobs[1].begun) && atomic_load(&jobs[2].begun));
    for (int i = 0; i < 3; i++)
        atomic_store(&jobs[i].may_end, true);
    (void)workers_free(workers);
}

static void puts_others_in_the_place_of_stuck_ones(void **state) {
    CLEANUP(loop_free) struct loop *loop = loop_new();
    struct gated stuck[2] = {0}, more[4] = {0};

    (void)state;
    loop_enter();
    struct workers *workers = workers_new(loop, 2);
    submit(workers, &stuck[0]);
    submit(workers, &stuck[1]);
    for (int i = 0; i < 4; i++)
        submit(workers, &more[i]);
    until(loop, atomic_load(&stuck[0].begun) && atomic_load(&stuck[1].begun));
    workers_set_stuck(workers, 1);
    until(loop, atomic_load(&more[0].begun));
    workers_set_stuck(workers, 5); /* each of the two has one successor, and that is all */
    until(loop, atomic_load(&more[1].begun));
    assert_int_equal(workers_queued(workers), 2);
    until(loop, worker_threads() == 4);
    workers_set_stuck(workers, 0); /* first: one that came back before would take the next job, and is right to */
    for (int i = 0; i < 2; i++)
        atomic_store(&stuck[i].may_end, true);
    until(loop, worker_threads() == 2);
    for (int i = 0; i < 4; i++)
        atomic_store(&more[i].may_end, true);
    until(loop, atomic_load(&more[3].ended));
    (void)workers_free(workers);
}

static void submit_urgent(struct workers *workers, struct gated *gated) {
    gated->work.run = run_gated;
    workers_submit_urgent(workers, &gated->work);
}

static void keeps_urgent_work_waiting_for_nobody(void **state) {
    CLEANUP(loop_free) struct loop *loop = loop_new();
    struct gated busy[2] = {0}, waiting = {0}, urgent[3] = {0};

    (void)state;
    loop_enter();
    struct workers *workers = workers_new(loop, 2);
    submit(workers, &busy[0]);
    submit(workers, &busy[1]);
    until(loop, atomic_load(&busy[0].begun) && atomic_load(&busy[1].begun));
    submit(workers, &waiting);
    submit_urgent(workers, &urgent[0]);
    until(loop, atomic_load(&urgent[0].begun));
    until(loop, worker_threads() == 3);
    submit_urgent(workers, &urgent[1]); /* one may take long */
    until(loop, atomic_load(&urgent[1].begun));
    submit_urgent(workers, &urgent[2]); /* there are two more threads, and no third one */
    assert_int_equal(workers_queued(workers), 2);
    until(loop, worker_threads() == 4);
    atomic_store(&urgent[0].may_end, true);
    until(loop, atomic_load(&urgent[2].begun)); /* before what came earlier and is not urgent */
    assert_false(atomic_load(&waiting.begun));
    atomic_store(&urgent[1].may_end, true);
    atomic_store(&urgent[2].may_end, true);
    until(loop, worker_threads() == 2); /* and it leaves */
    assert_false(atomic_load(&waiting.begun));
    atomic_store(&waiting.may_end, true);
    atomic_store(&busy[0].may_end, true);
    atomic_store(&busy[1].may_end, true);
    until(loop, atomic_load(&waiting.ended) && workers_busy(workers) == 0);
    memset(urgent, 0, sizeof(urgent));
    submit_urgent(workers, &urgent[0]); /* an idle one is enough */
    until(loop, atomic_load(&urgent[0].begun));
    until(loop, worker_threads() == 2);
    submit_urgent(workers, &urgent[1]);
    until(loop, atomic_load(&urgent[1].begun));
    assert_false(workers_retract(workers, &urgent[1].work));
    atomic_store(&urgent[0].may_end, true);
    atomic_store(&urgent[1].may_end, true);
    (void)workers_free(workers);
}

static void takes_back_and_drops_urgent_work_too(void **state) {
    CLEANUP(loop_free) struct loop *loop = loop_new();
    struct gated running[3] = {0}, taken = {0}, dropped = {0};

    (void)state;
    loop_enter();
    struct workers *workers = workers_new(loop, 1);
    submit(workers, &running[0]);
    until(loop, atomic_load(&running[0].begun));
    for (int i = 1; i < 3; i++) {
        submit_urgent(workers, &running[i]);
        until(loop, atomic_load(&running[i].begun));
    }
    submit_urgent(workers, &taken);
    submit_urgent(workers, &dropped);
    assert_true(workers_retract(workers, &taken.work));
    assert_int_equal(workers_queued(workers), 1);
    struct ender enders[3];
    struct thread *threads[3];
    for (int i = 0; i < 3; i++) {
        enders[i] = (struct ender){.workers = workers, .running = &running[i]};
        assert_int_equal(thread_start(&threads[i], "ender", end_it, &enders[i], NULL), 0);
    }
    (void)workers_free(workers);
    for (int i = 0; i < 3; i++)
        (void)thread_join(threads[i]);
    assert_false(atomic_load(&taken.begun));
    assert_false(atomic_load(&dropped.begun));
}

struct tallied {
    struct work work;
    atomic_int *left;
};

static void run_tallied(void *job) {
    (void)atomic_fetch_sub(container_of((struct work *)job, struct tallied, work)->left, 1);
}

static void runs_every_job_whatever_is_urgent(void **state) {
    enum { JOBS = 5000 };
    CLEANUP(loop_free) struct loop *loop = loop_new();
    struct tallied *jobs = xcalloc(JOBS, sizeof(*jobs));
    atomic_int left = JOBS;

    (void)state;
    loop_enter();
    struct workers *workers = workers_new(loop, 3);
    for (int i = 0; i < JOBS; i++) {
        jobs[i] = (struct tallied){.work = {.run = run_tallied}, .left = &left};
        if (i % 3 == 0)
            workers_submit_urgent(workers, &jobs[i].work);
        else
            workers_submit(workers, &jobs[i].work);
        if (i % 500 == 0)
            workers_resize(workers, 1 + i / 500 % 4);
    }
    until(loop, atomic_load(&left) == 0);
    (void)workers_free(workers);
    free(jobs);
}

static void asks_again_when_there_is_no_thread_to_be_had(void **state) {
    (void)state;
    if (!STARVE_WORKS)
        skip();
    CLEANUP(loop_free) struct loop *loop = loop_new();
    struct gated jobs[2] = {{.may_end = true}, {.may_end = true}};

    loop_enter();
    CLEANUP(workers_free) struct workers *workers = workers_new(loop, 2);
    const struct rlimit before = starve();
    submit(workers, &jobs[0]);
    submit(workers, &jobs[1]);
    int queued = workers_queued(workers);
    (void)setrlimit(RLIMIT_AS, &before);
    assert_int_equal(queued, 2);
    assert_int_equal(lack_count(loop, "no call of a tool that may block can be begun: cannot start"), 1);
    until(loop, atomic_load(&jobs[0].ended) && atomic_load(&jobs[1].ended));
    assert_int_equal(lack_count(loop, ""), 0);
}

static void accepts_none(void **state) {
    (void)state;
    loop_enter();
    assert_null(workers_free(NULL));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(makes_threads_only_when_they_are_needed),
        cmocka_unit_test(serves_first_who_came_first),
        cmocka_unit_test(lets_those_take_turns_for_whom_there_is_work),
        cmocka_unit_test(retracts_only_what_is_queued),
        cmocka_unit_test(waits_for_what_runs_and_drops_what_is_queued),
        cmocka_unit_test(takes_another_number_of_threads),
        cmocka_unit_test(puts_others_in_the_place_of_stuck_ones),
        cmocka_unit_test(keeps_urgent_work_waiting_for_nobody),
        cmocka_unit_test(takes_back_and_drops_urgent_work_too),
        cmocka_unit_test(runs_every_job_whatever_is_urgent),
        cmocka_unit_test(asks_again_when_there_is_no_thread_to_be_had),
        cmocka_unit_test(accepts_none),
    };

    return cmocka_run_group_tests_name("loop/workers", tests, NULL, NULL);
}
