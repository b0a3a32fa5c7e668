#include "test.h"

#include "plugin/hangs.h"

#include <sched.h>

#include "plugin/made.h"

enum { STUCK_MS = 30 };

static atomic_int inside, wanted_back;
static int looked; /* how often the listener was told */

/* Comes back when the test wants it, and not when its call is given up. */
static int stay(struct theseus_call *call, void *self, const json_t *args) {
    (void)self, (void)args;
    (void)atomic_fetch_add(&inside, 1);
    while (atomic_load(&wanted_back) == 0)
        (void)sched_yield();
    (void)atomic_fetch_sub(&inside, 1);
    return theseus_reply_text(call, "back");
}

static int fast(struct theseus_call *call, void *self, const json_t *args) {
    (void)self, (void)args;
    return theseus_reply_text(call, "fast");
}

static const struct theseus_tool tools[] = {
    {.name = "stay", .description = "d", .call = stay},
    {.name = "fast", .description = "d", .call = fast},
    {0},
};

static void on_looked(void *arg) {
    (void)arg;
    looked++;
}

static struct made_host *watched_new(int workers) {
    struct made_host *made = made_host_new(workers);

    loop_enter();
    log_set_level(LOG_ERROR + 1);
    atomic_store(&wanted_back, 0);
    looked = 0;
    made->host.hangs = hangs_new(&(struct hangs_spec){
        .loop = made->host.loop, .workers = made->host.workers, .stuck_ms = STUCK_MS, .looked = on_looked});
    return made;
}

static void watched_free_cleanup(struct made_host **held) {
    struct made_host *made = *held;

    loop_enter();
    atomic_store(&wanted_back, 1);
    until(made->host.loop, workers_busy(made->host.workers) == 0);
    hangs_let_go(made->host.hangs);
    made->host.hangs = hangs_free(made->host.hangs);
    made_host_free_cleanup(held);
}

static void names_a_worker_whose_call_was_given_up(void **state) {
    CLEANUP(watched_free) struct made_host *made = watched_new(2);
    CLEANUP(generation_made) struct generation *generation = generation_served(made, "p", tools);
    struct call *call = made_call(made, "stay");

    (void)state;
    until(made->host.loop, atomic_load(&inside) == 1);
    call_cancel(call);
    until(made->host.loop, hangs_workers(made->host.hangs) == 1);
    CLEANUP(free) char *text = hangs_workers_text(made->host.hangs);
    assert_string_equal(text, "tool 'stay' of plugin 'p'");
    json_auto_t *report = hangs_report_new(made->host.hangs);
    assert_int_equal(json_array_size(report), 1);
    assert_true(json_number_value(json_object_get(json_array_get(report, 0), "stuck_s")) >= STUCK_MS / 1e3);
    assert_true(looked > 0);
    int before = looked;
    atomic_store(&wanted_back, 1);
    until(made->host.loop, looked > before && hangs_workers(made->host.hangs) == 0); /* the last word */
    made_end(made, call);
    until(made->host.loop, registry_pins(made->host.registry, generation) == 0);
}

static void takes_no_busy_worker_for_a_stuck_one(void **state) {
    CLEANUP(watched_free) struct made_host *made = watched_new(2);
    CLEANUP(generation_made) struct generation *generation = generation_served(made, "p", tools);
    struct call *call = made_call(made, "stay");
    int64_t end = clock_now_ns() + INT64_C(1000000000); /* many times as long, and several looks */

    (void)state;
    while (clock_now_ns() < end) {
        loop_enter();
        (void)loop_turn(made->host.loop, 10);
        assert_int_equal(hangs_workers(made->host.hangs), 0);
    }
    atomic_store(&wanted_back, 1);
    made_end(made, call);
    until(made->host.loop, registry_pins(made->host.registry, generation) == 0);
}

static void gives_a_stuck_worker_a_successor(void **state) {
    CLEANUP(watched_free) struct made_host *made = watched_new(1);
    CLEANUP(generation_made) struct generation *generation = generation_served(made, "p", tools);
    struct call *call = made_call(made, "stay");

    (void)state;
    until(made->host.loop, atomic_load(&inside) == 1);
    struct call *next = made_call(made, "fast");
    assert_false(hangs_have_served(made->host.hangs));
    call_cancel(call);
    made_end(made, next); /* for which there was no worker */
    assert_true(hangs_have_served(made->host.hangs));
    assert_int_equal(hangs_workers(made->host.hangs), 1);
    atomic_store(&wanted_back, 1);
    made_end(made, call);
    until(made->host.loop, registry_pins(made->host.registry, generation) == 0);
}

static void does_not_count_a_late_answer_as_served(void **state) {
    CLEANUP(watched_free) struct made_host *made = watched_new(1);
    CLEANUP(generation_made) struct generation *generation = generation_served(made, "p", tools);
    struct call *call = made_call(made, "stay");

    (void)state;
    until(made->host.loop, atomic_load(&inside) == 1);
    call_cancel(call);
    atomic_store(&wanted_back, 1);
    made_end(made, call);
    until(made->host.loop, registry_pins(made->host.registry, generation) == 0);
    assert_false(hangs_have_served(made->host.hangs));
}

static void outlives_the_workers(void **state) {
    CLEANUP(watched_free) struct made_host *made = watched_new(1);
    CLEANUP(generation_made) struct generation *generation = generation_served(made, "p", tools);
    struct call *call = made_call(made, "stay");

    (void)state;
    until(made->host.loop, atomic_load(&inside) == 1);
    call_cancel(call);
    until(made->host.loop, hangs_workers(made->host.hangs) == 1);
    loop_enter();
    hangs_let_go(made->host.hangs);
    atomic_store(&wanted_back, 1);
    made->host.workers = workers_free(made->host.workers);
    int before = looked;
    until(made->host.loop, hangs_workers(made->host.hangs) == 0);
    for (int64_t end = clock_now_ns() + INT64_C(600000000); clock_now_ns() < end;)
        (void)loop_turn(made->host.loop, 10);
    assert_int_equal(looked, before);
    made_end(made, call);
    made->host.workers = workers_new(made->host.loop, 1);
}

static atomic_bool worker_is_free;

static void keep_worker(void *work) {
    (void)work;
    while (!atomic_load(&worker_is_free))
        (void)sched_yield();
}

/* By then there had been nothing to look at for a while. */
static void sees_one_that_had_to_wait_for_a_thread(void **state) {
    CLEANUP(watched_free) struct made_host *made = watched_new(1);
    CLEANUP(generation_made) struct generation *generation = generation_served(made, "p", tools);
    struct work other = {.run = keep_worker};

    (void)state;
    atomic_store(&worker_is_free, false);
    workers_submit(made->host.workers, &other);
    struct call *call = made_call(made, "stay");
    for (int64_t end = clock_now_ns() + INT64_C(600000000); clock_now_ns() < end;)
        (void)loop_turn(made->host.loop, 10);
    atomic_store(&worker_is_free, true);
    until(made->host.loop, atomic_load(&inside) == 1);
    call_cancel(call);
    until(made->host.loop, hangs_workers(made->host.hangs) == 1);
    atomic_store(&wanted_back, 1);
    made_end(made, call);
    until(made->host.loop, registry_pins(made->host.registry, generation) == 0);
}

static void names_slots(void **state) {
    CLEANUP(watched_free) struct made_host *made = watched_new(1);

    (void)state;
    loop_enter();
    struct hang *hang = hangs_add_slot(made->host.hangs, "p", "save");
    json_auto_t *report = hangs_report_new(made->host.hangs);
    assert_string_equal(json_string_value(json_object_get(json_array_get(report, 0), "slot")), "save");
    assert_int_equal(hangs_workers(made->host.hangs), 0);
    hangs_slot_returned(made->host.hangs, hang);
    hangs_slot_returned(made->host.hangs, NULL);
    json_auto_t *after = hangs_report_new(made->host.hangs);
    assert_int_equal(json_array_size(after), 0);
    (void)hangs_add_slot(made->host.hangs, "p", "stop"); /* and is never heard of again */
}

int main(void) {
    const struct CMUnitTest tests_of_hangs[] = {
        cmocka_unit_test(names_a_worker_whose_call_was_given_up),
        cmocka_unit_test(takes_no_busy_worker_for_a_stuck_one),
        cmocka_unit_test(gives_a_stuck_worker_a_successor),
        cmocka_unit_test(does_not_count_a_late_answer_as_served),
        cmocka_unit_test(outlives_the_workers),
        cmocka_unit_test(sees_one_that_had_to_wait_for_a_thread),
        cmocka_unit_test(names_slots),
    };

    return cmocka_run_group_tests_name("plugin/hangs", tests_of_hangs, NULL, NULL);
}
