#include "test.h"

#include "plugin/plugins.h"

#include "base/limits.h"
#include "plugin/floor.h"

static const char *const fixtures[] = {"saves", "counter", "slow", "shared", NULL};

static void count_one(void *arg, const void *record) {
    (void)record;
    ++*(int *)arg;
}

static int recorded(const struct floor *floor) {
    int count = 0;

    ledger_each(floor->owner->ledger, &saved_kind, count_one, &count);
    return count;
}

static void records_what_each_plugin_gives(void **state) {
    CLEANUP(floor_free) struct floor *floor = floor_new(fixtures, "[plugin:saves]\ntext = kept\n", 1);

    (void)state;
    floor_load(floor);
    floor_save(floor);
    assert_int_equal(floor->err.code, ERR_UNSET);
    assert_int_equal(recorded(floor), 2);
    loop_enter();
    plugins_drop_saved(floor->plugins);
    assert_int_equal(recorded(floor), 0);
}

static void drops_what_an_earlier_one_gave(void **state) {
    const struct saved_record stale = {span_of("saves"), span_of("5")}, gone = {span_of("nobody"), span_of("5")};
    CLEANUP(floor_free) struct floor *floor = floor_new(fixtures, "", 1); /* saves nothing */

    (void)state;
    floor_load(floor);
    assert_int_equal(ledger_put(floor->owner->ledger, &saved_kind, &stale, NULL), 0);
    assert_int_equal(ledger_put(floor->owner->ledger, &saved_kind, &gone, NULL), 0);
    floor_save(floor);
    assert_int_equal(floor->err.code, ERR_UNSET);
    assert_int_equal(recorded(floor), 1); /* the counter's */
}

static void refuses_what_is_too_long_by_the_name_of_the_plugin(void **state) {
    const int quotes = 2;

    (void)state;
    for (int more = 0; more < 2; more++) {
        CLEANUP(free) char *text = xasprintf("[plugin:saves]\nbytes = %d\n", LIMIT_STATE_VALUE - quotes + more);
        CLEANUP(floor_free) struct floor *floor = floor_new(fixtures, text, 1);
        floor_load(floor);
        floor_save(floor);
        assert_int_equal(floor->err.code, more ? ERR_LIMIT : ERR_UNSET);
        assert_int_equal(recorded(floor), more ? 0 : 2);
        assert_true(!more || strstr(floor->err.message, "plugin 'saves': what its 'save' returned has"));
        floor_gives(floor, "count", NULL, "\"count\":1"); /* it goes on */
    }
}

static void gives_up_one_that_does_not_come_back(void **state) {
    CLEANUP(place_fini) char *place = place_new();
    CLEANUP(free) char *held = path_join(place, "held"), *text = xasprintf("[plugin:saves]\nheld = %s\n", held);
    CLEANUP(floor_free) struct floor *floor = floor_new(fixtures, text, 1);

    (void)state;
    write_bytes(held, "", 0);
    floor_load(floor);
    floor_take_config(floor, "[restart]\nprocess_startup = 2\n");
    log_set_level(LOG_ERROR + 1);
    floor_save(floor);
    assert_int_equal(floor->err.code, ERR_TIMEOUT);
    assert_non_null(strstr(floor->err.message, "plugin 'saves': its 'save' did not come back"));
    assert_int_equal(recorded(floor), 1); /* the counter's */
    loop_enter();
    plugins_drop_saved(floor->plugins);
    assert_int_equal(unlink(held), 0);
    until(floor->owner->loop, lane_stuck(floor->host.lane) == 0); /* it does after all, and nobody is there any more */
    assert_int_equal(recorded(floor), 0);
}

static void waits_for_what_is_being_loaded(void **state) {
    static const char *const one[] = {"counter", NULL};
    CLEANUP(floor_free) struct floor *floor = floor_new(one, "", 1);

    (void)state;
    floor_load(floor);
    for (int turns = 0; turns < 30; turns++) {
        loop_enter();
        plugins_reload(floor->plugins, "counter");
        for (int i = 0; i < turns; i++)
            (void)loop_turn(floor->owner->loop, 2);
        plugins_pause(floor->plugins);
        floor_save(floor);
        assert_int_equal(floor->err.code, ERR_UNSET);
        assert_int_equal(recorded(floor), 1);
        loop_enter();
        plugins_drop_saved(floor->plugins);
        plugins_resume(floor->plugins);
        floor_be_idle(floor);
    }
    assert_true(floor_generation(floor, "counter") > 30); /* none was forgotten */
}

/* Its handler hears that it is not wanted while that is waited for. */
static enum errc save_while_one_comes_back(struct floor *floor) {
    struct call *call = floor_call(floor, "keeper_add", "{\"ms\":60000}");

    until(floor->owner->loop, atomic_load(&call->stage) == CALL_RUNNING);
    floor->told = false;
    plugins_save(floor->plugins, floor_on_saved, floor);
    call_cancel(call);
    until(floor->owner->loop, floor->told);
    floor_end(floor, call);
    floor_rest(floor);
    return floor->err.code;
}

static void waits_for_a_handler_that_is_coming_back(void **state) {
    static const char *const holding[] = {"keeper", NULL};
    CLEANUP(floor_free) struct floor *floor = floor_new(holding, "", 1);
    enum errc code = ERR_BUSY;

    (void)state;
    floor_load(floor);
    for (int i = 0; i < 5 && code == ERR_BUSY; i++) /* not for long, and the machine may stall */
        code = save_while_one_comes_back(floor);
    assert_int_equal(code, ERR_UNSET);
    assert_int_equal(recorded(floor), 1);
}

static void says_whose_handler_does_not_let_it(void **state) {
    static const char *const holding[] = {"keeper", "counter", NULL};
    CLEANUP(floor_free) struct floor *floor = floor_new(holding, "", 1);

    (void)state;
    floor_load(floor);
    struct call *call = floor_call(floor, "keeper_add", "{\"ms\":60000}");
    until(floor->owner->loop, atomic_load(&call->stage) == CALL_RUNNING);
    floor_save(floor);
    assert_int_equal(floor->err.code, ERR_BUSY);
    assert_non_null(strstr(floor->err.message, "plugin 'keeper': its state is not saved"));
    assert_non_null(strstr(floor->err.message, "keeper_add"));
    assert_int_equal(recorded(floor), 1); /* the other's is */
    call_cancel(call);
    floor_end(floor, call);
    floor_rest(floor);
    floor_save(floor);
    assert_int_equal(floor->err.code, ERR_UNSET);
    assert_int_equal(recorded(floor), 2);
}

static void records_nothing_for_a_restart_that_was_given_up(void **state) {
    CLEANUP(floor_free) struct floor *floor = floor_new(fixtures, "[plugin:saves]\ntext = kept\n", 1);

    (void)state;
    floor_load(floor);
    loop_enter();
    floor->told = false;
    plugins_save(floor->plugins, floor_on_saved, floor);
    plugins_drop_saved(floor->plugins);
    until(floor->owner->loop, lane_pending(floor->host.lane) == 0);
    assert_false(floor->told);
    assert_int_equal(recorded(floor), 0);
    floor_save(floor);
    assert_int_equal(recorded(floor), 2);
}

static void can_be_thrown_away_in_the_middle(void **state) {
    (void)state;
    for (int turns = 0; turns < 6; turns++) {
        CLEANUP(floor_free) struct floor *floor = floor_new(fixtures, "", 1);
        floor_load(floor);
        loop_enter();
        plugins_save(floor->plugins, floor_on_saved, floor);
        for (int i = 0; i < turns; i++)
            (void)loop_turn(floor->owner->loop, 2);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_what_each_plugin_gives),
        cmocka_unit_test(drops_what_an_earlier_one_gave),
        cmocka_unit_test(refuses_what_is_too_long_by_the_name_of_the_plugin),
        cmocka_unit_test(gives_up_one_that_does_not_come_back),
        cmocka_unit_test(waits_for_what_is_being_loaded),
        cmocka_unit_test(waits_for_a_handler_that_is_coming_back),
        cmocka_unit_test(says_whose_handler_does_not_let_it),
        cmocka_unit_test(records_nothing_for_a_restart_that_was_given_up),
        cmocka_unit_test(can_be_thrown_away_in_the_middle),
    };

    return cmocka_run_group_tests_name("plugin/save", tests, NULL, NULL);
}
