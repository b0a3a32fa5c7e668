#include "test.h"

#include "plugin/plugins.h"

#include <dirent.h>

#include "plugin/floor.h"
#include "plugin/proposed.h"

static const char *const one[] = {"database", NULL};
static const char *const two[] = {"database", "second", NULL};

static int copies(const struct floor *floor, const char *name) {
    DIR *dir = opendir(imagedir_path(floor->dir));
    int count = 0;

    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir));)
        count += strncmp(entry->d_name, name, strlen(name)) == 0;
    (void)closedir(dir);
    return count;
}

/* Why the one file that is refused is; a new reference. */
static json_t *refused_new(struct floor *floor) {
    loop_enter();
    json_auto_t *refused = plugins_refused_new(floor->plugins);
    json_t *reason = json_object_get(json_array_get(refused, 0), "reason");

    assert_int_equal(json_array_size(refused), 1);
    return json_incref(reason);
}

static void waits_beside_what_serves(void **state) {
    CLEANUP(floor_free) struct floor *floor = floor_proposing(one, "database2", "database");

    (void)state;
    loop_enter();
    assert_int_equal(plugins_proposals(floor->plugins), 1);
    floor_gives(floor, "db_get", "{\"key\":\"a\"}", "\"value\":\"1\"");
    json_auto_t *refused = plugins_refused_new(floor->plugins);
    assert_int_equal(json_array_size(refused), 0);
    floor_be_idle(floor); /* and nothing waits for it */
}

static void asks_for_a_restart_when_there_are_older_tables_and_not_else(void **state) {
    CLEANUP(floor_free) struct floor *floor = floor_proposing(one, "database2", "database");

    (void)state;
    assert_int_equal(outdated_told, 1);
    floor_drop_in(floor, "second2", "second");
    floor_rescan(floor);
    assert_int_equal(outdated_told, 1);
    assert_int_not_equal(floor_generation(floor, "second"), 0);
}

static void is_taken_by_the_next_image_once_its_schema_is_migrated(void **state) {
    CLEANUP(floor_free) struct floor *floor = floor_proposing(two, "database2", "database");
    struct theseus_error err = {0};

    (void)state;
    loop_enter();
    json_int_t before = floor_generation(floor, "database"), second = floor_generation(floor, "second");
    assert_int_equal(plugins_propose(floor->plugins), 1);
    floor_exec(floor, 1);
    floor->host.outdated = on_outdated;
    loop_enter();
    plugins_take_proposals(floor->plugins);
    floor_muster(floor, &err);
    assert_int_equal(err.code, ERR_UNSET);
    assert_true(floor_generation(floor, "database") > before);
    assert_int_equal(floor_generation(floor, "second"), second);
    floor_gives(floor, "db_get", "{\"key\":\"a\"}", "\"value\":\"1\"");
    json_int_t after = floor_generation(floor, "database");
    floor_be_idle(floor); /* the directories were looked at: it is the file that serves */
    assert_int_equal(floor_generation(floor, "database"), after);
    assert_int_equal(copies(floor, "database"), 2); /* a way back would need the other one */
    plugins_drop_proposals(floor->plugins);
    until(floor->owner->loop, copies(floor, "database") == 1);
    assert_int_equal(plugins_proposals(floor->plugins), 0);
}

/* An emergency, a crash: the image behind it was not examined with what was proposed. */
static void is_left_alone_by_an_image_that_does_not_take_it(void **state) {
    CLEANUP(floor_free) struct floor *floor = floor_proposing(one, "database2", "database");

    (void)state;
    loop_enter();
    json_int_t before = floor_generation(floor, "database");
    assert_int_equal(plugins_propose(floor->plugins), 1);
    floor_exec(floor, 1);
    floor->host.outdated = on_outdated;
    floor_restore(floor);
    assert_int_equal(floor_generation(floor, "database"), before);
    plugins_withdraw(floor->plugins, NULL);
    floor_be_idle(floor);
    assert_int_equal(plugins_proposals(floor->plugins), 1); /* its file is still there, and waits again */
    until(floor->owner->loop, copies(floor, "database") == 2);
}

static void is_refused_when_nothing_came_of_it_until_its_file_changes(void **state) {
    CLEANUP(floor_free) struct floor *floor = floor_proposing(one, "database2", "database");

    (void)state;
    loop_enter();
    assert_int_equal(plugins_propose(floor->plugins), 1);
    plugins_withdraw(floor->plugins, "there was no time");
    json_auto_t *why = refused_new(floor);
    assert_string_equal(json_string_value(why), "its schema was not migrated: there was no time");
    floor_gives(floor, "db_get", "{\"key\":\"a\"}", "\"value\":\"1\"");
    floor_be_idle(floor);
    assert_int_equal(outdated_told, 1);
    until(floor->owner->loop, copies(floor, "database") == 1);
    floor_drop_in(floor, "database2", "database");
    floor_rescan(floor);
    assert_int_equal(outdated_told, 2);
}

/* The way led back: this image did not see the file itself. */
static void is_refused_also_by_the_image_that_came_back(void **state) {
    CLEANUP(floor_free) struct floor *floor = floor_proposing(one, "database2", "database");

    (void)state;
    loop_enter();
    assert_int_equal(plugins_propose(floor->plugins), 1);
    floor_exec(floor, 1);
    floor->host.outdated = on_outdated;
    floor_restore(floor);
    plugins_withdraw(floor->plugins, "it crashed");
    json_auto_t *why = refused_new(floor);
    assert_string_equal(json_string_value(why), "its schema was not migrated: it crashed");
    floor_be_idle(floor); /* the directories were looked at */
    assert_int_equal(outdated_told, 1);
    assert_int_equal(plugins_proposals(floor->plugins), 0);
    until(floor->owner->loop, copies(floor, "database") == 1);
}

static void is_looked_at_by_the_image_that_came_back_if_its_file_has_changed_again(void **state) {
    CLEANUP(floor_free) struct floor *floor = floor_proposing(one, "database2", "database");

    (void)state;
    loop_enter();
    assert_int_equal(plugins_propose(floor->plugins), 1);
    floor_exec(floor, 1);
    floor->host.outdated = on_outdated;
    floor_drop_in(floor, "databasefails", "database");
    floor_restore(floor);
    plugins_withdraw(floor->plugins, "it crashed");
    floor_be_idle(floor);
    assert_int_equal(outdated_told, 2);
    assert_int_equal(plugins_proposals(floor->plugins), 1);
}

static void goes_when_its_file_goes_or_is_another(void **state) {
    CLEANUP(floor_free) struct floor *floor = floor_proposing(one, "database2", "database");

    (void)state;
    loop_enter();
    assert_int_equal(plugins_propose(floor->plugins), 1);
    floor_drop_in(floor, "database", "database");
    floor_rescan(floor);
    assert_int_equal(plugins_proposals(floor->plugins), 0);
    floor_gives(floor, "db_get", "{\"key\":\"a\"}", "\"value\":\"1\"");
    json_int_t before = floor_generation(floor, "database");
    floor_exec(floor, 1);
    loop_enter();
    plugins_take_proposals(floor->plugins); /* there are none any more */
    floor_restore(floor);
    assert_int_equal(floor_generation(floor, "database"), before);
}

static void says_what_stays_of_it_when_its_start_fails(void **state) {
    CLEANUP(floor_free) struct floor *floor = floor_proposing(one, "database3", "database");
    struct theseus_error err = {0};

    (void)state;
    floor_end(floor, floor_call(floor, "db_put", "{\"key\":\"refuse\",\"value\":\"1\"}"));
    loop_enter();
    assert_int_equal(plugins_propose(floor->plugins), 1);
    floor_exec(floor, 1);
    floor->host.outdated = on_outdated;
    loop_enter();
    plugins_take_proposals(floor->plugins);
    floor_muster(floor, &err);
    json_auto_t *why = refused_new(floor);
    assert_string_equal(json_string_value(why), "selftest: the database wants it refused; its schema stays migrated, "
                                                "the database before is in /somewhere");
    plugins_drop_proposals(floor->plugins);
    floor_be_idle(floor);
    assert_int_equal(floor_generation(floor, "database"), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits_beside_what_serves),
        cmocka_unit_test(asks_for_a_restart_when_there_are_older_tables_and_not_else),
        cmocka_unit_test(is_taken_by_the_next_image_once_its_schema_is_migrated),
        cmocka_unit_test(is_left_alone_by_an_image_that_does_not_take_it),
        cmocka_unit_test(is_refused_when_nothing_came_of_it_until_its_file_changes),
        cmocka_unit_test(is_refused_also_by_the_image_that_came_back),
        cmocka_unit_test(is_looked_at_by_the_image_that_came_back_if_its_file_has_changed_again),
        cmocka_unit_test(goes_when_its_file_goes_or_is_another),
        cmocka_unit_test(says_what_stays_of_it_when_its_start_fails),
    };

    return cmocka_run_group_tests_name("plugin/proposal", tests, NULL, NULL);
}
