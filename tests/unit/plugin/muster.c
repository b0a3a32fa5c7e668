#include "test.h"

#include "plugin/plugins.h"

#include "plugin/floor.h"
#include "plugin/proposed.h"

static const char *const mixed[] = {"database", "greet", "second", NULL};
static const char *const none[] = {NULL};

static void to_next_image(struct floor *floor, bool early) {
    floor_exec(floor, 1);
    floor->host.outdated = on_outdated;
    loop_enter();
    plugins_take_proposals(floor->plugins);
    if (early)
        plugins_restore_early(floor->plugins);
}

static void starts_nothing_before_all_are_mapped_and_migrated(void **state) {
    (void)state;
    for (int early = 0; early < 2; early++) {
        CLEANUP(floor_free) struct floor *floor = floor_proposing(mixed, "database2", "database");
        struct theseus_error err = {0};
        loop_enter();
        floor_drop_in(floor, "second2", "second");
        floor_rescan(floor);
        assert_int_equal(plugins_propose(floor->plugins), 2);
        to_next_image(floor, early);
        floor_muster(floor, &err);
        assert_int_equal(err.code, ERR_UNSET);
        json_auto_t *generations = plugins_generations_new(floor->plugins);
        assert_int_equal(json_object_size(generations), 3);
        floor_gives(floor, "db_get", "{\"key\":\"a\"}", "\"value\":\"1\"");
        floor_gives(floor, "second_get", "{\"key\":\"a\"}", "\"value\":null");
    }
}

/* The copy is gone, so the file is copied, tested and mapped in its place, before anything is migrated. */
static void waits_for_one_that_begins_anew_with_its_file(void **state) {
    CLEANUP(floor_free) struct floor *floor = floor_proposing(mixed, "database2", "database");
    struct theseus_error err = {0};

    (void)state;
    loop_enter();
    assert_int_equal(plugins_propose(floor->plugins), 1);
    to_next_image(floor, false);
    const char *dir = imagedir_path(floor->dir);
    (void)nftw(dir, place_remove, 16, FTW_DEPTH | FTW_PHYS);
    assert_int_equal(mkdir(dir, 0700), 0);
    floor_muster(floor, &err);
    assert_int_equal(err.code, ERR_UNSET);
    json_auto_t *generations = plugins_generations_new(floor->plugins);
    assert_int_equal(json_object_size(generations), 3);
    floor_gives(floor, "db_get", "{\"key\":\"a\"}", "\"value\":\"1\"");
}

static void tells_of_one_that_cannot_be_loaded_any_more(void **state) {
    CLEANUP(floor_free) struct floor *floor = floor_proposing(mixed, "database2", "database");
    struct theseus_error err = {0};

    (void)state;
    loop_enter();
    assert_int_equal(plugins_propose(floor->plugins), 1);
    to_next_image(floor, false);
    const char *dir = imagedir_path(floor->dir);
    (void)nftw(dir, place_remove, 16, FTW_DEPTH | FTW_PHYS);
    assert_int_equal(mkdir(dir, 0700), 0);
    floor_drop_in(floor, "abi", "database");
    floor_muster(floor, &err);
    assert_non_null(strstr(err.message, "database.so': was built for ABI"));
}

static void has_nothing_to_wait_for_when_nothing_served(void **state) {
    CLEANUP(floor_free) struct floor *floor = floor_new(none, "", 1);
    struct theseus_error err = {0};

    (void)state;
    floor_muster(floor, &err);
    assert_int_equal(err.code, ERR_UNSET);
}

static void can_be_thrown_away_in_the_middle(void **state) {
    struct mustered mustered = {0};
    CLEANUP(floor_free) struct floor *floor = floor_proposing(mixed, "database2", "database");
    struct loop_task task = {.run = floor_on_told, .arg = floor};

    (void)state;
    loop_enter();
    assert_int_equal(plugins_propose(floor->plugins), 1);
    to_next_image(floor, true);
    plugins_muster(floor->plugins, on_mustered, &mustered);
    plugins_restore(floor->plugins, &task);
    until(floor->owner->loop, mustered.told);
    free(mustered.schemas);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_nothing_before_all_are_mapped_and_migrated),
        cmocka_unit_test(waits_for_one_that_begins_anew_with_its_file),
        cmocka_unit_test(tells_of_one_that_cannot_be_loaded_any_more),
        cmocka_unit_test(has_nothing_to_wait_for_when_nothing_served),
        cmocka_unit_test(can_be_thrown_away_in_the_middle),
    };

    return cmocka_run_group_tests_name("plugin/muster", tests, NULL, NULL);
}
