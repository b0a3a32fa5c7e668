#include "test.h"

#include "server/presence.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "loop/lane.h"
#include "server/signs.h"

static char root[] = "/tmp/theseus-presence-XXXXXX";

static int set_up(void **state) {
    (void)state;
    memcpy(root + sizeof(root) - 7, "XXXXXX", 6);
    return mkdtemp(root) ? 0 : -1;
}

static int tear_down(void **state) {
    CLEANUP(free) char *dir = signs_dir(root);

    (void)state;
    fs_remove_dir(dir);
    return rmdir(root);
}

enum { PATIENCE_MS = 20000, LONGER_THAN_SOON_MS = 400 };

/* A sign, and whoever makes it. */
struct shown {
    struct loop *loop;
    struct lane *lane;
    struct presence *presence;
    char *path; /* owned */
    int described;
};

static json_t *describe(void *arg) {
    ((struct shown *)arg)->described++;
    return json_object();
}

static struct shown *shown_new(void) {
    struct shown *shown = xcalloc(1, sizeof(*shown));
    CLEANUP(free) char *dir = signs_dir(root);

    loop_enter();
    shown->loop = loop_new();
    shown->lane = lane_new(shown->loop, "signs", "others see how this server is");
    shown->presence = presence_new(shown->loop, shown->lane, root, describe, shown);
    shown->path = sign_path(dir, getpid());
    presence_begin(shown->presence, false);
    return shown;
}

static struct shown *shown_free(struct shown *shown) {
    if (!shown)
        return NULL;
    loop_enter();
    shown->lane = lane_free(shown->lane);
    shown->presence = presence_free(shown->presence);
    shown->loop = loop_free(shown->loop);
    free(shown->path);
    free(shown);
    return NULL;
}
DEFINE_CLEANUP(struct shown *, shown_free)

static void turn_for(const struct shown *shown, int ms) {
    for (int64_t end = clock_now_ns() + ms * INT64_C(1000000); clock_now_ns() < end;)
        (void)loop_turn(shown->loop, 10);
}

static void turn_until_described(const struct shown *shown) {
    for (int64_t end = clock_now_ns() + PATIENCE_MS * INT64_C(1000000); shown->described == 0 && clock_now_ns() < end;)
        (void)loop_turn(shown->loop, 10);
    assert_int_equal(shown->described, 1);
}

static void asks_for_nothing_behind_its_end(void **state) {
    CLEANUP(shown_free) struct shown *shown = shown_new();

    (void)state;
    loop_enter();
    presence_end(shown->presence);
    presence_touch(shown->presence);
    turn_for(shown, LONGER_THAN_SOON_MS);
    assert_int_equal(shown->described, 0);
}

static void leaves_no_file_that_was_being_written_when_it_was_removed(void **state) {
    struct shown *shown = shown_new();
    CLEANUP(free) char *path = xstrdup(shown->path);

    (void)state;
    loop_enter();
    turn_until_described(shown);
    presence_touch(shown->presence); /* to be written once more, behind the one that runs */
    presence_remove(shown->presence);
    turn_for(shown, LONGER_THAN_SOON_MS);
    assert_int_equal(shown->described, 1);
    (void)shown_free(shown);
    assert_int_not_equal(access(path, F_OK), 0);
}

static void leaves_the_file_to_the_next_image(void **state) {
    struct shown *shown = shown_new();
    CLEANUP(free) char *path = xstrdup(shown->path);

    (void)state;
    loop_enter();
    turn_until_described(shown);
    presence_end(shown->presence);
    (void)shown_free(shown); /* which waits for who writes */
    assert_int_equal(access(path, F_OK), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(asks_for_nothing_behind_its_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(leaves_no_file_that_was_being_written_when_it_was_removed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(leaves_the_file_to_the_next_image, set_up, tear_down),
    };

    return cmocka_run_group_tests_name("server/presence", tests, NULL, NULL);
}
