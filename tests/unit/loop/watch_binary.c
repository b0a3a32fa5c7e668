#include "test.h"

#include "loop/watch_binary.h"

#include "loop/until.h"
#include "plugin/fixture.h"

enum { SETTLE_MS = 20, QUIET_MS = 200 };

struct scene {
    char *place, *path; /* owned */
    struct loop *loop;
    struct watch_binary *watch;
    struct stat running;
    int told;
    bool free_it;
};

static void on_changed(void *arg) {
    struct scene *scene = arg;

    loop_enter();
    scene->told++;
    if (scene->free_it)
        scene->watch = watch_binary_free(scene->watch);
}

static void scene_init(struct scene *scene) {
    loop_enter();
    *scene = (struct scene){.place = place_new(), .loop = loop_new()};
    scene->path = path_join(scene->place, "program");
    write_bytes(scene->path, "first", 5);
    assert_int_equal(stat(scene->path, &scene->running), 0);
    assert_int_equal(
        watch_binary_new(&scene->watch, scene->loop, scene->path, &scene->running, SETTLE_MS, on_changed, scene, NULL),
        0);
}

static void scene_fini_cleanup(struct scene *scene) {
    loop_enter();
    scene->watch = watch_binary_free(scene->watch);
    scene->loop = loop_free(scene->loop);
    place_fini_cleanup(&scene->place);
    free(scene->path);
}

static void replace(const struct scene *scene, const char *content) {
    CLEANUP(free) char *draft = path_join(scene->place, "program.new");

    write_bytes(draft, content, strlen(content));
    assert_int_equal(rename(draft, scene->path), 0);
}

/* Turns the loop for longer than any change takes to be told. */
static void let_settle(struct scene *scene) {
    const int64_t end = clock_now_ns() + (int64_t)QUIET_MS * 1000000;

    loop_enter();
    while (clock_now_ns() < end)
        (void)loop_turn(scene->loop, UNTIL_TURN_MS);
}

static void tells_that_it_was_replaced(void **state) {
    CLEANUP(scene_fini) struct scene scene;

    (void)state;
    scene_init(&scene);
    replace(&scene, "other");
    until(scene.loop, scene.told > 0);
    let_settle(&scene);
    assert_int_equal(scene.told, 1);
    replace(&scene, "third");
    until(scene.loop, scene.told > 1);
}

static void tells_that_it_was_written(void **state) {
    CLEANUP(scene_fini) struct scene scene;

    (void)state;
    scene_init(&scene);
    write_bytes(scene.path, "longer", 6);
    until(scene.loop, scene.told > 0);
}

static void is_silent_while_it_is_the_same(void **state) {
    CLEANUP(scene_fini) struct scene scene;

    (void)state;
    scene_init(&scene);
    CLEANUP(free) char *beside = path_join(scene.place, "other");
    write_bytes(beside, "x", 1);
    assert_int_equal(chmod(scene.path, 0700), 0); /* another change time, and the same program */
    let_settle(&scene);
    assert_int_equal(scene.told, 0);
}

static void waits_for_one_that_is_missing(void **state) {
    CLEANUP(scene_fini) struct scene scene;

    (void)state;
    scene_init(&scene);
    assert_int_equal(unlink(scene.path), 0);
    let_settle(&scene);
    assert_int_equal(scene.told, 0);
    replace(&scene, "other");
    until(scene.loop, scene.told > 0);
}

static void tells_nothing_of_the_time_before(void **state) {
    CLEANUP(scene_fini) struct scene scene;
    struct theseus_error err = {0};

    (void)state;
    scene_init(&scene);
    loop_enter();
    replace(&scene, "other");
    scene.watch = watch_binary_free(scene.watch);
    assert_int_equal(
        watch_binary_new(&scene.watch, scene.loop, scene.path, &scene.running, SETTLE_MS, on_changed, &scene, &err), 0);
    let_settle(&scene);
    assert_int_equal(scene.told, 0);
    watch_binary_look(scene.watch); /* unless it is asked to */
    assert_int_equal(scene.told, 1);
}

static void may_be_freed_when_it_tells(void **state) {
    CLEANUP(scene_fini) struct scene scene;

    (void)state;
    scene_init(&scene);
    scene.free_it = true;
    replace(&scene, "other");
    until(scene.loop, scene.told > 0);
    assert_null(scene.watch);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_that_it_was_replaced),       cmocka_unit_test(tells_that_it_was_written),
        cmocka_unit_test(is_silent_while_it_is_the_same),   cmocka_unit_test(waits_for_one_that_is_missing),
        cmocka_unit_test(tells_nothing_of_the_time_before), cmocka_unit_test(may_be_freed_when_it_tells),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
