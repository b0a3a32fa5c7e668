#include "test.h"

#include "plugin/plugins.h"

#include "plugin/floor.h"

static const char *const five[] = {"counter", "shared", "slow", "greet", "serial", NULL};

static void serves_the_same_generations_with_what_they_had(void **state) {
    CLEANUP(floor_free) struct floor *floor = floor_new(five, "", 2);

    (void)state;
    floor_load(floor);
    floor_gives(floor, "count", NULL, "\"count\":1");
    floor_gives(floor, "count", NULL, "\"count\":2");
    floor_gives(floor, "shared_count", NULL, "\"count\":1");
    json_auto_t *before = plugins_generations_new(floor->plugins);
    assert_int_equal(json_object_size(before), 5);
    for (int i = 0; i < 3; i++) {
        plugins_pause(floor->plugins);
        floor_save(floor);
        assert_int_equal(floor->err.code, ERR_UNSET);
        floor_exec(floor, 2);
        int64_t began = clock_now_ns();
        floor_restore(floor);
        print_message("restored in %.3f ms\n", (double)(clock_now_ns() - began) / 1e6);
        assert_true(plugins_are_loaded(floor->plugins));
        loop_enter();
        json_auto_t *after = plugins_generations_new(floor->plugins);
        assert_true(json_equal(before, after));
        CLEANUP(free) char *counted = xasprintf("\"count\":%d", 3 + i);
        floor_gives(floor, "count", NULL, counted);
        plugins_drop_saved(floor->plugins);
        floor_be_idle(floor); /* the directories were looked at, and nothing had changed */
        json_auto_t *later = plugins_generations_new(floor->plugins);
        assert_true(json_equal(before, later));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(serves_the_same_generations_with_what_they_had),
    };

    return cmocka_run_group_tests_name("plugin/restore", tests, NULL, NULL);
}
