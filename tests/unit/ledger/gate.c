#include "test.h"

#include "ledger/gate.h"

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <unistd.h>

enum { THREADS = 4, ROUNDS = 100000 };

struct shared {
    struct gate gate;
    size_t count; /* guarded by the gate */
    _Atomic int inside, go_on;
};

static void *count_up(void *arg) {
    struct shared *shared = arg;

    for (int i = 0; i < ROUNDS; i++) {
        gate_enter(&shared->gate);
        shared->count++;
        gate_leave(&shared->gate);
    }
    return NULL;
}

static void lets_one_thread_in_at_a_time(void **state) {
    struct shared shared = {.count = 0};
    pthread_t threads[THREADS];

    (void)state;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_up, &shared), 0);
    for (int i = 0; i < THREADS; i++)
        (void)pthread_join(threads[i], NULL);
    assert_int_equal(shared.count, THREADS * ROUNDS);
}

static void *stay_inside(void *arg) {
    struct shared *shared = arg;

    gate_enter(&shared->gate);
    atomic_store(&shared->inside, 1);
    while (!atomic_load(&shared->go_on))
        (void)usleep(100);
    gate_leave(&shared->gate);
    return NULL;
}

static pthread_t start_inside(struct shared *shared) {
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, stay_inside, shared), 0);
    while (!atomic_load(&shared->inside))
        (void)usleep(100);
    return thread;
}

static void says_when_the_holder_does_not_leave(void **state) {
    struct shared shared = {.count = 0};
    pthread_t holder = start_inside(&shared);

    (void)state;
    assert_int_equal(gate_take_for_exec(&shared.gate, 20), GATE_LATE);
    atomic_store(&shared.go_on, 1);
    (void)pthread_join(holder, NULL);
    gate_give_back(&shared.gate, GATE_LATE);
    gate_enter(&shared.gate);
    gate_leave(&shared.gate);
}

static void *come_in(void *arg) {
    struct shared *shared = arg;

    gate_enter(&shared->gate);
    atomic_store(&shared->inside, 2);
    gate_leave(&shared->gate);
    return NULL;
}

/* The thread that was too late to leave does leave, before the exec: that opens it for nobody. */
static void stays_shut_when_a_late_holder_leaves(void **state) {
    struct shared shared = {.count = 0};
    pthread_t holder = start_inside(&shared), other;

    (void)state;
    assert_int_equal(gate_take_for_exec(&shared.gate, 1), GATE_LATE);
    assert_int_equal(pthread_create(&other, NULL, come_in, &shared), 0);
    atomic_store(&shared.go_on, 1);
    (void)pthread_join(holder, NULL);
    for (int i = 0; i < 2000; i++) {
        (void)sched_yield();
        assert_int_equal(atomic_load(&shared.inside), 1);
    }
    gate_give_back(&shared.gate, GATE_LATE);
    (void)pthread_join(other, NULL);
    assert_int_equal(atomic_load(&shared.inside), 2);
}

static void waits_for_the_holder_to_leave(void **state) {
    struct shared shared = {.go_on = 1};

    (void)state;
    for (int i = 0; i < 50; i++) {
        pthread_t holder = start_inside(&shared);
        assert_int_equal(gate_take_for_exec(&shared.gate, 10000), GATE_TAKEN);
        gate_give_back(&shared.gate, GATE_TAKEN);
        (void)pthread_join(holder, NULL);
        atomic_store(&shared.inside, 0);
    }
}

static void knows_that_the_caller_is_inside(void **state) {
    struct shared shared = {.count = 0};

    (void)state;
    gate_enter(&shared.gate);
    assert_int_equal(gate_take_for_exec(&shared.gate, 1000), GATE_OWN);
    gate_give_back(&shared.gate, GATE_OWN);
    gate_leave(&shared.gate);
    assert_int_equal(gate_take_for_exec(&shared.gate, 0), GATE_TAKEN);
}

static void *take_too(void *arg) {
    struct shared *shared = arg;

    atomic_store(&shared->inside, gate_take_for_exec(&shared->gate, 1000));
    return NULL;
}

static void is_shut_by_one_thread_only(void **state) {
    struct shared shared = {.count = 0};
    pthread_t other;

    (void)state;
    assert_int_equal(gate_take_for_exec(&shared.gate, 1000), GATE_TAKEN);
    assert_int_equal(pthread_create(&other, NULL, take_too, &shared), 0);
    (void)pthread_join(other, NULL);
    assert_int_equal(atomic_load(&shared.inside), GATE_OTHER);
}

static void keeps_everybody_out_until_it_is_given_back(void **state) {
    struct shared shared = {.count = 0};
    pthread_t threads[THREADS];

    (void)state;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_up, &shared), 0);
    assert_int_equal(gate_take_for_exec(&shared.gate, 10000), GATE_TAKEN);
    size_t count = shared.count;
    for (int i = 0; i < 1000; i++) {
        (void)sched_yield();
        assert_int_equal(shared.count, count);
    }
    gate_give_back(&shared.gate, GATE_TAKEN);
    for (int i = 0; i < THREADS; i++)
        (void)pthread_join(threads[i], NULL);
    assert_int_equal(shared.count, THREADS * ROUNDS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lets_one_thread_in_at_a_time),
        cmocka_unit_test(says_when_the_holder_does_not_leave),
        cmocka_unit_test(stays_shut_when_a_late_holder_leaves),
        cmocka_unit_test(waits_for_the_holder_to_leave),
        cmocka_unit_test(knows_that_the_caller_is_inside),
        cmocka_unit_test(is_shut_by_one_thread_only),
        cmocka_unit_test(keeps_everybody_out_until_it_is_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
