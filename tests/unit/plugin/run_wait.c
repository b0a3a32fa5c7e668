#include "test.h"

#include "plugin/run.h"

#include <sched.h>

#include "plugin/floor.h"

static const char *const fixtures[] = {"resumable", "slow", "greet", "serial", "shared", "inner", NULL};

static void pause_all(struct floor *floor) {
    loop_enter();
    plugins_pause(floor->plugins);
}

static void resume_all(struct floor *floor) {
    loop_enter();
    plugins_resume(floor->plugins);
}

static void turn(struct floor *floor, int times) {
    loop_enter();
    for (int i = 0; i < times; i++)
        (void)loop_turn(floor->owner->loop, 1);
}

static void enters_nobody_during_a_pause(void **state) {
    CLEANUP(floor_free) struct floor *floor = floor_new(fixtures, "", 1);
    struct call *calls[6];

    (void)state;
    floor_load(floor);
    struct call *running = floor_call(floor, "slow", "{\"ms\":60000}");
    until(floor->owner->loop, atomic_load(&running->stage) == CALL_RUNNING);
    calls[0] = floor_call(floor, "slow", "{\"ms\":0}"); /* submitted before */
    calls[1] = floor_call(floor, "serial", "{\"ms\":0}");
    calls[2] = floor_call(floor, "serial", "{\"ms\":0}");
    pause_all(floor);
    calls[3] = floor_call(floor, "slow", "{\"ms\":0}");
    calls[4] = floor_call(floor, "greet", "{}");
    calls[5] = floor_call(floor, "serial", "{\"ms\":0}");
    call_cancel(running);
    floor_end(floor, running);
    until(floor->owner->loop, !plugins_have_runs(floor->plugins));
    turn(floor, 20);
    for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
        assert_int_equal(atomic_load(&calls[i]->stage), CALL_HELD);
        assert_false(call_is_over(calls[i]));
    }
    assert_true(atomic_load(&calls[0]->tool_flags) & THESEUS_READ_ONLY);
    resume_all(floor);
    for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
        floor_end(floor, calls[i]);
    assert_int_equal(floor_answers(floor), ARRAY_SIZE(calls));
}

static void enters_urgent_calls_during_a_pause(void **state) {
    CLEANUP(floor_free) struct floor *floor = floor_new(fixtures, "", 1);

    (void)state;
    floor_load(floor);
    struct call *running = floor_call(floor, "slow", "{\"ms\":60000}");
    until(floor->owner->loop, atomic_load(&running->stage) == CALL_RUNNING);
    pause_all(floor);
    struct call *urgent = owner_call_new(floor->owner, OWNER_REQUEST, 4711);
    urgent->urgent = true;
    run_start(&floor->host, urgent, "effects", NULL);
    floor_end(floor, urgent); /* although the only worker is busy */
    call_cancel(running);
    floor_end(floor, running);
}

static void begins_all_again_in_the_order_of_their_acceptance(void **state) {
    CLEANUP(floor_free) struct floor *floor = floor_new(fixtures, "", 1);
    struct call *calls[9];
    int at = 0;

    (void)state;
    floor_load(floor);
    struct call *running = floor_call(floor, "slow", "{\"ms\":60000}");
    until(floor->owner->loop, atomic_load(&running->stage) == CALL_RUNNING);
    for (int i = 0; i < 9; i++) {
        if (i == 6)
            pause_all(floor);
        calls[i] = i % 3 ? floor_call(floor, "slow", "{\"ms\":0}") : floor_call(floor, "effects", NULL);
    }
    call_cancel(running);
    floor_end(floor, running);
    until(floor->owner->loop, !plugins_have_runs(floor->plugins));
    resume_all(floor);
    until(floor->owner->loop, floor_answers(floor) == 9);
    CLEANUP(free) char *said = owner_said(floor->owner);
    for (const char *id = said; (id = strstr(id, "\"id\":")); id++) {
        assert_int_equal(atoi(id + strlen("\"id\":")), calls[at]->key.offset);
        at++;
    }
    assert_int_equal(at, 9);
    for (int i = 0; i < 9; i++)
        floor_end(floor, calls[i]);
}

static void lets_inner_calls_of_what_runs_go_on(void **state) {
    CLEANUP(floor_free) struct floor *floor = floor_new(fixtures, "", 1);

    (void)state;
    floor_load(floor);
    struct call *call = floor_call(floor, "inner",
                                   "{\"tool\":\"inner\",\"arguments\":{\"tool\":\"slow\","
                                   "\"arguments\":{\"ms\":50}}}");
    do { /* until it has begun: a worker that has it and has not entered it sees the pause, and puts it back */
        resume_all(floor);
        until(floor->owner->loop, atomic_load(&call->stage) == CALL_RUNNING);
        pause_all(floor);
        until(floor->owner->loop, call_is_over(call) || atomic_load(&call->stage) == CALL_HELD);
    } while (!call_is_over(call));
    floor_end(floor, call);
    CLEANUP(free) char *said = owner_said(floor->owner);
    assert_non_null(strstr(said, "slept 50 ms"));
}

static void forgets_what_is_over_by_then(void **state) {
    CLEANUP(floor_free) struct floor *floor = floor_new(fixtures, "", 1);

    (void)state;
    floor_load(floor);
    pause_all(floor);
    struct call *cancelled = floor_call(floor, "slow", "{\"ms\":0}"), *call = floor_call(floor, "greet", "{}");
    call_cancel(cancelled);
    floor_end(floor, cancelled);
    resume_all(floor);
    floor_end(floor, call);
    assert_int_equal(floor_answers(floor), 1);
}

static void drops_what_waits_when_the_server_goes(void **state) {
    CLEANUP(floor_free) struct floor *floor = floor_new(fixtures, "", 2);
    struct call *calls[20];

    (void)state;
    floor_load(floor);
    for (int i = 0; i < 20; i++) {
        if (i == 10)
            pause_all(floor);
        calls[i] = floor_call(floor, i % 2 ? "slow" : "serial", "{\"ms\":20}");
    }
    for (int i = 0; i < 20; i++)
        floor_give_up(calls[i]);
}

/* Pauses come at every moment of many short calls on several threads. */
static void loses_and_doubles_nothing_under_load(void **state) {
    enum { ROUNDS = 1500, AT_ONCE = 6 };
    static const char *const tools[] = {"greet", "shared_count", "serial", "slow"};
    CLEANUP(floor_free) struct floor *floor = floor_new(fixtures, "", 3);
    struct call *calls[AT_ONCE];
    int counted = 0;

    (void)state;
    floor_load(floor);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < AT_ONCE; i++) {
            const char *tool = tools[(round + i) % 4];
            bool takes_time = strcmp(tool, "slow") == 0 || strcmp(tool, "serial") == 0;
            counted += strcmp(tool, "shared_count") == 0;
            calls[i] = floor_call(floor, tool, takes_time ? "{\"ms\":0}" : "{}");
            if (i == round % AT_ONCE)
                pause_all(floor);
            if (round % 7 == i)
                (void)sched_yield();
        }
        turn(floor, round % 3);
        resume_all(floor);
        for (int i = 0; i < AT_ONCE; i++)
            floor_end(floor, calls[i]);
        free(owner_said(floor->owner));
    }
    assert_int_equal(floor_answers(floor), ROUNDS * AT_ONCE);
    CLEANUP(free) char *text = xasprintf("\"count\":%d", counted + 1);
    floor_gives(floor, "shared_count", NULL, text);
}

/* After plugins_pause() nothing may enter that did not look like running. */
static void enters_nothing_that_looked_held(void **state) {
    enum { ROUNDS = 1500, AT_ONCE = 4 };
    CLEANUP(floor_free) struct floor *floor = floor_new(fixtures, "", 3);
    struct call *calls[AT_ONCE];
    bool held[AT_ONCE];

    (void)state;
    floor_load(floor);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < AT_ONCE; i++)
            calls[i] = floor_call(floor, "shared_count", NULL);
        for (int i = 0; i < round % 5; i++)
            (void)sched_yield();
        pause_all(floor);
        for (int i = 0; i < AT_ONCE; i++)
            held[i] = atomic_load(&calls[i]->stage) == CALL_HELD && !call_is_over(calls[i]);
        turn(floor, 2);
        for (int i = 0; i < AT_ONCE; i++) {
            if (!held[i])
                continue;
            /* A worker that had it says so for a moment before it sees the pause; one that entered would end it. */
            until(floor->owner->loop, call_is_over(calls[i]) || atomic_load(&calls[i]->stage) == CALL_HELD);
            assert_false(call_is_over(calls[i]));
        }
        resume_all(floor);
        for (int i = 0; i < AT_ONCE; i++)
            floor_end(floor, calls[i]);
        free(owner_said(floor->owner));
    }
}

/* ---- suspended calls ---- */

/* A worker that has it and has not entered it sees the pause, and puts it back: then it begins again. False: it ended
 * before it was asked. */
static bool suspend(struct floor *floor, struct call *call) {
    do {
        atomic_store(&call->suspending, false);
        resume_all(floor);
        until(floor->owner->loop, atomic_load(&call->stage) == CALL_RUNNING);
        turn(floor, 3);
        pause_all(floor);
        atomic_store(&call->suspending, true);
        until(floor->owner->loop, call_is_over(call) || atomic_load(&call->stage) != CALL_RUNNING);
    } while (!call_is_over(call) && atomic_load(&call->stage) == CALL_HELD);
    if (call_is_over(call)) {
        resume_all(floor);
        return false;
    }
    assert_int_equal(atomic_load(&call->stage), CALL_SUSPENDED);
    assert_false(call_is_over(call));
    assert_true(atomic_load(&call->has_checkpoint));
    return true;
}

static char *effects_of(int steps) {
    struct buf text = {0};

    assert_int_equal(buf_printf(&text, NULL, "\"effects\":["), 0);
    for (int i = 0; i < steps; i++)
        assert_int_equal(buf_printf(&text, NULL, "%s%d", i ? "," : "", i), 0);
    assert_int_equal(buf_printf(&text, NULL, "]"), 0);
    return buf_take_string(&text);
}

static void goes_on_from_its_checkpoint_each_step_once(void **state) {
    CLEANUP(floor_free) struct floor *floor = floor_new(fixtures, "", 2);
    CLEANUP(free) char *effects = effects_of(60);

    (void)state;
    floor_load(floor);
    struct call *call = floor_call(floor, "resumable", "{\"steps\":60,\"ms\":8}");
    for (int i = 0; i < 5 && suspend(floor, call); i++) {
        until(floor->owner->loop, !plugins_have_runs(floor->plugins));
        resume_all(floor);
        until(floor->owner->loop, !atomic_load(&call->suspending)); /* it may just be on its way back to the loop */
    }
    assert_int_equal(call->attempts, 0);
    floor_end(floor, call);
    floor_gives(floor, "effects", NULL, effects);
    assert_int_equal(floor_answers(floor), 2);
}

static void goes_on_from_its_checkpoint_in_the_next_image(void **state) {
    CLEANUP(floor_free) struct floor *floor = floor_new(fixtures, "", 2);
    CLEANUP(free) char *effects = effects_of(60);
    const char *args = "{\"steps\":60,\"ms\":8}";

    (void)state;
    floor_load(floor);
    struct call *call = floor_call(floor, "resumable", args);
    for (int i = 0; i < 4; i++) {
        struct call_key key = call->key;
        if (!suspend(floor, call))
            break;
        until(floor->owner->loop, !plugins_have_runs(floor->plugins));
        floor_give_up(call);
        floor_save(floor);
        floor_exec(floor, 2);
        floor_restore(floor);
        call = floor_call_again(floor, &key, "resumable", args);
        assert_true(call->attempts > 0);
    }
    floor_end(floor, call);
    floor_gives(floor, "effects", NULL, effects);
}

static void takes_a_suspension_that_comes_when_the_restart_is_given_up(void **state) {
    CLEANUP(floor_free) struct floor *floor = floor_new(fixtures, "", 2);

    (void)state;
    floor_load(floor);
    for (int i = 0; i < 200; i++) {
        struct call *call = floor_call(floor, "resumable", "{\"steps\":4,\"ms\":0}");
        turn(floor, i % 4);
        pause_all(floor);
        atomic_store(&call->suspending, true);
        if (i % 2)
            (void)sched_yield();
        atomic_store(&call->suspending, false); /* who asked takes it back */
        resume_all(floor);
        floor_end(floor, call);
        CLEANUP(free) char *said = owner_said(floor->owner);
        assert_non_null(strstr(said, "\"steps\":4"));
    }
}

static void explains_a_suspension_that_cannot_be_taken(void **state) {
    CLEANUP(floor_free) struct floor *floor = floor_new(fixtures, "", 2);

    (void)state;
    floor_load(floor);
    log_set_level(LOG_ERROR + 1);
    struct call *call = floor_call(floor, "resumable_careless", "{}");
    atomic_store(&call->suspending, true);
    floor_end(floor, call);
    CLEANUP(free) char *said = owner_said(floor->owner);
    assert_non_null(strstr(said, "stopped without a checkpoint"));
    assert_non_null(strstr(said, "\"isError\":true"));
}

static void does_not_ask_a_call_inside_another_one(void **state) {
    CLEANUP(floor_free) struct floor *floor = floor_new(fixtures, "", 2);

    (void)state;
    floor_load(floor);
    struct call *call = floor_call(floor, "inner", "{\"tool\":\"resumable_careless\",\"arguments\":{}}");
    atomic_store(&call->suspending, true);
    until(floor->owner->loop, atomic_load(&call->stage) == CALL_RUNNING);
    turn(floor, 20);
    assert_false(call_is_over(call)); /* it has not heard of it */
    call_cancel(call);
    floor_end(floor, call);
}

static void drops_suspended_calls_when_the_server_goes(void **state) {
    CLEANUP(floor_free) struct floor *floor = floor_new(fixtures, "", 2);

    (void)state;
    floor_load(floor);
    struct call *first = floor_call(floor, "resumable", "{\"steps\":1000,\"ms\":60}");
    struct call *second = floor_call(floor, "resumable", "{\"steps\":1000,\"ms\":60}");
    until(floor->owner->loop, atomic_load(&second->stage) == CALL_RUNNING);
    until(floor->owner->loop, atomic_load(&second->stage) == CALL_RUNNING);
    assert_true(suspend(floor, first));
    atomic_store(&second->suspending, true);
    floor_give_up(first);
    floor_give_up(second);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(enters_nobody_during_a_pause),
        cmocka_unit_test(enters_urgent_calls_during_a_pause),
        cmocka_unit_test(begins_all_again_in_the_order_of_their_acceptance),
        cmocka_unit_test(lets_inner_calls_of_what_runs_go_on),
        cmocka_unit_test(forgets_what_is_over_by_then),
        cmocka_unit_test(drops_what_waits_when_the_server_goes),
        cmocka_unit_test(loses_and_doubles_nothing_under_load),
        cmocka_unit_test(enters_nothing_that_looked_held),
        cmocka_unit_test(goes_on_from_its_checkpoint_each_step_once),
        cmocka_unit_test(goes_on_from_its_checkpoint_in_the_next_image),
        cmocka_unit_test(takes_a_suspension_that_comes_when_the_restart_is_given_up),
        cmocka_unit_test(explains_a_suspension_that_cannot_be_taken),
        cmocka_unit_test(does_not_ask_a_call_inside_another_one),
        cmocka_unit_test(drops_suspended_calls_when_the_server_goes),
    };

    return cmocka_run_group_tests_name("plugin/run_wait", tests, NULL, NULL);
}
