#include "test.h"

#include "plugin/plugins.h"

#include "plugin/floor.h"

static const char *const five[] = {"counter", "shared", "slow", "greet", "serial", NULL};
static const char *const saving[] = {"saves", "counter", NULL};

static void save_and_exec(struct floor *floor) {
    loop_enter();
    floor_rest(floor);
    plugins_pause(floor->plugins);
    floor_save(floor);
    assert_int_equal(floor->err.code, ERR_UNSET);
    floor_exec(floor, 2);
}

static void serves_the_same_generations_with_what_they_had(void **state) {
    CLEANUP(floor_free) struct floor *floor = floor_new(five, "", 2);

    (void)state;
    floor_load(floor);
    floor_gives(floor, "count", NULL, "\"count\":1");
    floor_gives(floor, "count", NULL, "\"count\":2");
    json_auto_t *before = plugins_generations_new(floor->plugins);
    assert_int_equal(json_object_size(before), 5);
    for (int i = 0; i < 3; i++) {
        save_and_exec(floor);
        floor_restore(floor);
        loop_enter();
        assert_true(plugins_are_loaded(floor->plugins));
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

/* However long it takes until somebody wants them to serve. */
static void maps_them_early_and_begins_none_before_it_is_asked_to(void **state) {
    (void)state;
    for (int waits = 0; waits < 2; waits++) {
        CLEANUP(floor_free) struct floor *floor = floor_new(five, "", 2);
        floor_load(floor);
        floor_gives(floor, "count", NULL, "\"count\":1");
        loop_enter();
        json_auto_t *before = plugins_generations_new(floor->plugins);
        save_and_exec(floor);
        plugins_restore_early(floor->plugins);
        if (waits)
            until(floor->owner->loop, lane_pending(floor->host.lane) == 0);
        assert_false(plugins_are_loaded(floor->plugins));
        json_auto_t *none = plugins_generations_new(floor->plugins);
        assert_int_equal(json_object_size(none), 0);
        floor_restore(floor);
        json_auto_t *after = plugins_generations_new(floor->plugins);
        assert_true(json_equal(before, after));
        floor_gives(floor, "count", NULL, "\"count\":2");
    }
}

static void lets_go_of_what_was_mapped_early_and_never_wanted(void **state) {
    (void)state;
    for (int waits = 0; waits < 2; waits++) {
        CLEANUP(floor_free) struct floor *floor = floor_new(five, "", 2);
        floor_load(floor);
        save_and_exec(floor);
        loop_enter();
        plugins_restore_early(floor->plugins);
        if (waits)
            until(floor->owner->loop, lane_pending(floor->host.lane) == 0);
    }
}

/* The first one that loads is given up, and the image before comes back: it finds what it had saved. */
static void can_be_repeated_until_the_restart_is_through(void **state) {
    CLEANUP(floor_free) struct floor *floor = floor_new(five, "", 2);

    (void)state;
    floor_load(floor);
    floor_gives(floor, "count", NULL, "\"count\":1");
    save_and_exec(floor);
    for (int i = 0; i < 2; i++) {
        floor_restore(floor);
        floor_gives(floor, "counted", NULL, "\"count\":1");
        floor_exec(floor, 2);
    }
    loop_enter();
    plugins_drop_saved(floor->plugins);
    floor_restore(floor);
    floor_gives(floor, "counted", NULL, "\"count\":0"); /* as after a crash */
}

static void gives_what_was_saved_only_once(void **state) {
    CLEANUP(floor_free) struct floor *floor = floor_new(saving, "[plugin:saves]\ntext = kept\n", 2);

    (void)state;
    floor_load(floor);
    floor_gives(floor, "found", NULL, "\"found\":null");
    save_and_exec(floor);
    floor_take_config(floor, ""); /* from now on it saves nothing */
    floor_restore(floor);
    floor_gives(floor, "found", NULL, "\"found\":\"kept\"");
    loop_enter();
    plugins_reload(floor->plugins, "saves");
    floor_be_idle(floor);
    floor_gives(floor, "found", NULL, "\"found\":null");
}

/* The private copy of a plugin; owned. */
static char *copy_of(const struct floor *floor, const char *name) {
    CLEANUP(free) char *start = xasprintf("%s.", name);
    DIR *dir = opendir(imagedir_path(floor->dir));
    char *path = NULL;

    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir));)
        if (strncmp(entry->d_name, start, strlen(start)) == 0 && !path)
            path = path_join(imagedir_path(floor->dir), entry->d_name);
    (void)closedir(dir);
    return path;
}

enum harm { REMOVED, TAMPERED, CUT_SHORT, EMPTIED, HARMS };

static void do_harm(const char *path, enum harm harm) {
    CLEANUP(fd_close) int fd = open(path, O_RDWR | O_CLOEXEC);
    struct stat st;

    assert_true(fd >= 0 && fstat(fd, &st) == 0);
    if (harm == REMOVED)
        assert_int_equal(unlink(path), 0);
    else if (harm == TAMPERED)
        assert_int_equal(pwrite(fd, "tampered", 8, st.st_size / 2), 8);
    else
        assert_int_equal(ftruncate(fd, harm == EMPTIED ? 0 : st.st_size / 2), 0);
}

static void begins_anew_with_the_file_when_a_copy_is_not_what_it_was(void **state) {
    (void)state;
    for (int i = 0; i < 2 * HARMS; i++) {
        enum harm harm = (enum harm)(i % HARMS);
        CLEANUP(floor_free) struct floor *floor = floor_new(five, "", 2);
        floor_load(floor);
        floor_gives(floor, "count", NULL, "\"count\":1");
        json_int_t counter = floor_generation(floor, "counter"), greet = floor_generation(floor, "greet");
        save_and_exec(floor);
        CLEANUP(free) char *copy = copy_of(floor, "counter");
        do_harm(copy, harm);
        log_set_level(LOG_ERROR + 1);
        loop_enter();
        if (i >= HARMS)
            plugins_restore_early(floor->plugins);
        floor_restore(floor);
        assert_true(floor_generation(floor, "counter") > counter);
        assert_int_equal(floor_generation(floor, "greet"), greet);
        floor_gives(floor, "count", NULL, "\"count\":2"); /* with what was saved */
        floor_be_idle(floor);
        loop_enter();
        plugins_drop_saved(floor->plugins);
        floor_gives(floor, "count", NULL, "\"count\":3");
    }
}

static void takes_up_a_file_that_has_changed_meanwhile(void **state) {
    static const char *const one[] = {"version1", NULL};
    CLEANUP(floor_free) struct floor *floor = floor_new(one, "", 2);

    (void)state;
    floor_load(floor);
    json_int_t number = floor_generation(floor, "version");
    save_and_exec(floor);
    floor_drop_in(floor, "version2", "version1");
    floor_drop_in(floor, "greet", "greet");
    floor_restore(floor);
    assert_int_equal(floor_generation(floor, "version"), number);
    floor_be_idle(floor);
    assert_true(floor_generation(floor, "version") > number);
    assert_true(floor_generation(floor, "greet") > 0);
}

static void lets_go_of_a_plugin_whose_file_has_gone(void **state) {
    CLEANUP(floor_free) struct floor *floor = floor_new(five, "", 2);
    CLEANUP(free) char *file = path_join(floor->files, "greet.so");

    (void)state;
    floor_load(floor);
    save_and_exec(floor);
    assert_int_equal(unlink(file), 0);
    floor_restore(floor);
    assert_true(floor_generation(floor, "greet") > 0); /* for as long as any file may be missing */
    until(floor->owner->loop, floor_generation(floor, "greet") == 0);
}

static void leaves_out_what_is_disabled_now(void **state) {
    CLEANUP(floor_free) struct floor *floor = floor_new(five, "", 2);

    (void)state;
    floor_load(floor);
    save_and_exec(floor);
    floor_take_config(floor, "disable = greet\n");
    floor_restore(floor);
    assert_int_equal(floor_generation(floor, "greet"), 0);
    assert_true(floor_generation(floor, "counter") > 0);
    loop_enter();
    CLEANUP(free) char *copy = copy_of(floor, "greet");
    assert_non_null(copy); /* the image before may come back */
    plugins_drop_saved(floor->plugins);
    assert_int_equal(access(copy, F_OK), -1);
    floor_be_idle(floor);
    assert_int_equal(floor_generation(floor, "greet"), 0);
}

static void keeps_for_a_way_back_what_does_not_start_here(void **state) {
    (void)state;
    for (int early = 0; early < 2; early++) {
        CLEANUP(floor_free) struct floor *floor = floor_new(saving, "[plugin:saves]\ntext = kept\n", 2);
        floor_load(floor);
        json_int_t counter = floor_generation(floor, "counter");
        save_and_exec(floor);
        log_set_level(LOG_ERROR + 1);
        floor_take_config(floor, "[plugin:saves]\nrefuses = yes\n");
        loop_enter();
        if (early)
            plugins_restore_early(floor->plugins);
        floor_restore(floor);
        assert_int_equal(floor_generation(floor, "saves"), 0);
        assert_int_equal(floor_generation(floor, "counter"), counter);
        floor_be_idle(floor);
        assert_int_equal(floor_generation(floor, "saves"), 0); /* and not without what it had either */
        floor_exec(floor, 2);
        floor_take_config(floor, "");
        floor_restore(floor);
        floor_gives(floor, "found", NULL, "\"found\":\"kept\"");
    }
}

static void has_nothing_to_do_when_nothing_was_loaded(void **state) {
    CLEANUP(floor_free) struct floor *floor = floor_new(five, "", 2);

    (void)state;
    floor_restore(floor);
    assert_false(plugins_are_loaded(floor->plugins));
    floor_load(floor); /* when it is wanted, as ever */
    floor_gives(floor, "count", NULL, "\"count\":1");
}

static void can_be_thrown_away_in_the_middle(void **state) {
    (void)state;
    for (int turns = 0; turns < 24; turns++) {
        CLEANUP(floor_free) struct floor *floor = floor_new(five, "", 2);
        struct loop_task task = {.run = floor_on_told, .arg = floor};
        floor_load(floor);
        save_and_exec(floor);
        loop_enter();
        if (turns % 2)
            plugins_restore_early(floor->plugins);
        plugins_restore(floor->plugins, &task);
        for (int i = 0; i < turns / 2; i++)
            (void)loop_turn(floor->owner->loop, 5);
        loop_forget(floor->owner->loop, &task);
    }
}

static void does_not_load_again_what_came_back(void **state) {
    static const char *const one[] = {"version1", NULL};
    CLEANUP(floor_free) struct floor *floor = floor_new(one, "", 2);

    (void)state;
    floor_load(floor);
    json_int_t number = floor_generation(floor, "version");
    save_and_exec(floor);
    floor_restore(floor);
    loop_enter();
    plugins_rescan(floor->plugins); /* the first look at the directory */
    floor_be_idle(floor);
    assert_int_equal(floor_generation(floor, "version"), number);
    floor_drop_in(floor, "version1",
                  "version1"); /* from then on a file that is replaced is loaded, whatever it holds */
    loop_enter();
    plugins_rescan(floor->plugins);
    floor_be_idle(floor);
    assert_true(floor_generation(floor, "version") > number);
}

static int copies(const struct floor *floor) {
    DIR *dir = opendir(imagedir_path(floor->dir));
    int count = 0;

    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir));)
        count += strstr(entry->d_name, ".so") != NULL;
    (void)closedir(dir);
    return count;
}

/* The next restart begins while the files are compared with what serves. */
static void leaves_no_copy_behind_that_was_only_compared(void **state) {
    CLEANUP(floor_free) struct floor *floor = floor_new(five, "", 2);

    (void)state;
    floor_load(floor);
    save_and_exec(floor);
    floor_restore(floor);
    loop_enter();
    plugins_drop_saved(floor->plugins);
    plugins_rescan(floor->plugins); /* the first look at the directory */
    plugins_pause(floor->plugins);
    until(floor->owner->loop, lane_pending(floor->host.lane) == 0);
    assert_int_equal(copies(floor), 5);
    plugins_resume(floor->plugins);
    floor_be_idle(floor);
    assert_int_equal(copies(floor), 5);
}

static void loads_again_what_came_back_if_somebody_asks_for_it(void **state) {
    static const char *const one[] = {"version1", NULL};
    CLEANUP(floor_free) struct floor *floor = floor_new(one, "", 2);

    (void)state;
    floor_load(floor);
    json_int_t number = floor_generation(floor, "version");
    save_and_exec(floor);
    floor_restore(floor);
    loop_enter();
    plugins_reload(floor->plugins, "version");
    floor_be_idle(floor);
    assert_true(floor_generation(floor, "version") > number);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(serves_the_same_generations_with_what_they_had),
        cmocka_unit_test(maps_them_early_and_begins_none_before_it_is_asked_to),
        cmocka_unit_test(lets_go_of_what_was_mapped_early_and_never_wanted),
        cmocka_unit_test(can_be_repeated_until_the_restart_is_through),
        cmocka_unit_test(gives_what_was_saved_only_once),
        cmocka_unit_test(begins_anew_with_the_file_when_a_copy_is_not_what_it_was),
        cmocka_unit_test(takes_up_a_file_that_has_changed_meanwhile),
        cmocka_unit_test(lets_go_of_a_plugin_whose_file_has_gone),
        cmocka_unit_test(leaves_out_what_is_disabled_now),
        cmocka_unit_test(keeps_for_a_way_back_what_does_not_start_here),
        cmocka_unit_test(has_nothing_to_do_when_nothing_was_loaded),
        cmocka_unit_test(can_be_thrown_away_in_the_middle),
        cmocka_unit_test(does_not_load_again_what_came_back),
        cmocka_unit_test(leaves_no_copy_behind_that_was_only_compared),
        cmocka_unit_test(loads_again_what_came_back_if_somebody_asks_for_it),
    };

    return cmocka_run_group_tests_name("plugin/restore", tests, NULL, NULL);
}
