#include "test.h"

#include "loop/loop.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "loop/poll.h"
#include "loop/thread.h"
#include "loop/timer.h"
#include "loop/until.h"

enum { POSTERS = 4, POSTS = 10000 };

struct poster {
    struct loop *loop;
    int next; /* number of the post that must come now */
    int wrong;
    struct numbered {
        struct poster *poster;
        int number;
        struct loop_task task;
    } * posts;
};

static void take_number(void *arg) {
    struct numbered *post = arg;

    if (post->number != post->poster->next)
        post->poster->wrong++;
    post->poster->next++;
}

/* Every other one by memory of the loop's. */
static void post_all(void *arg) {
    struct poster *poster = arg;

    for (int i = 0; i < POSTS; i++) {
        struct numbered *post = &poster->posts[i];
        post->poster = poster;
        post->number = i;
        post->task = (struct loop_task){.run = take_number, .arg = post};
        if (i % 2)
            loop_post(poster->loop, take_number, post);
        else
            loop_post_task(poster->loop, &post->task);
    }
}

static int posts_taken(const struct poster *posters) {
    int taken = 0;

    for (int i = 0; i < POSTERS; i++)
        taken += posters[i].next;
    return taken;
}

static void runs_posts_of_each_thread_in_order(void **state) {
    CLEANUP(loop_free) struct loop *loop = loop_new();
    struct poster posters[POSTERS] = {0};
    struct thread *threads[POSTERS];

    (void)state;
    for (int i = 0; i < POSTERS; i++) {
        posters[i].loop = loop;
        posters[i].posts = xcalloc(POSTS, sizeof(*posters[i].posts));
        assert_int_equal(thread_start(&threads[i], "poster", post_all, &posters[i], NULL), 0);
    }
    until(loop, posts_taken(posters) == POSTERS * POSTS);
    for (int i = 0; i < POSTERS; i++) {
        (void)thread_join(threads[i]);
        assert_int_equal(posters[i].wrong, 0);
        free(posters[i].posts);
    }
}

static void append(void *arg) {
    char **at = arg;

    *(*at)++ = 'x';
}

static void runs_at_its_end_what_was_posted(void **state) {
    struct loop *loop = loop_new();
    char text[4] = "", *at = text;

    (void)state;
    loop_post(loop, append, &at);
    loop_post(loop, append, &at);
    assert_null(loop_free(loop));
    assert_string_equal(text, "xx");
}

static void says_that_nothing_happened(void **state) {
    CLEANUP(loop_free) struct loop *loop = loop_new();
    char text[4] = "", *at = text;

    (void)state;
    loop_enter();
    assert_false(loop_turn(loop, 0));
    assert_false(loop_turn(loop, 1));
    loop_post(loop, append, &at);
    assert_true(loop_turn(loop, 1000));
}

struct story {
    struct loop *loop;
    char text[32];
    struct loop_task defer, other;
    struct poll *polls[2];
};

static void tell_end(void *arg) {
    struct story *story = arg;

    strcat(story->text, "E");
}

static void tell_ready(void *arg, int events) {
    struct story *story = arg;

    (void)events;
    loop_enter();
    strcat(story->text, "r");
    loop_defer(story->loop, &story->defer);
}

static void defers_behind_all_descriptors_of_the_turn(void **state) {
    CLEANUP(loop_free) struct loop *loop = loop_new();
    struct story story = {.loop = loop, .defer = {.run = tell_end, .arg = &story}};
    int fds[2][2];

    (void)state;
    loop_enter();
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pipe(fds[i]), 0);
        assert_int_equal(write(fds[i][1], "x", 1), 1);
        assert_int_equal(poll_new(&story.polls[i], loop, fds[i][0], tell_ready, &story, NULL), 0);
        poll_want(story.polls[i], POLL_READ);
    }
    assert_true(loop_turn(loop, 1000));
    assert_string_equal(story.text, "rrE");
    for (int i = 0; i < 2; i++) {
        (void)poll_free(story.polls[i]);
        (void)close(fds[i][0]);
        (void)close(fds[i][1]);
    }
}

static void tell_and_defer_again(void *arg) {
    struct story *story = arg;

    loop_enter();
    strcat(story->text, "a");
    if (strlen(story->text) < 3)
        loop_defer(story->loop, &story->defer);
}

static void defers_to_the_next_turn_from_the_end_of_one(void **state) {
    CLEANUP(loop_free) struct loop *loop = loop_new();
    struct story story = {.loop = loop, .defer = {.run = tell_and_defer_again, .arg = &story}};

    (void)state;
    loop_enter();
    loop_defer(loop, &story.defer);
    assert_true(loop_turn(loop, -1)); /* would wait for ever if a deferred task did not hurry it */
    assert_string_equal(story.text, "a");
    assert_true(loop_turn(loop, -1));
    assert_true(loop_turn(loop, -1));
    assert_string_equal(story.text, "aaa");
    assert_false(loop_turn(loop, 0));
}

static void forgets_what_is_queued(void **state) {
    CLEANUP(loop_free) struct loop *loop = loop_new();
    struct story story = {.loop = loop, .defer = {tell_end, &story, {0}}, .other = {tell_end, &story, {0}}};

    (void)state;
    loop_enter();
    loop_forget(loop, &story.defer);
    loop_defer(loop, &story.defer);
    loop_post_task(loop, &story.other);
    loop_forget(loop, &story.defer);
    loop_forget(loop, &story.other);
    (void)loop_turn(loop, 0);
    assert_string_equal(story.text, "");
    loop_defer(loop, &story.defer);
    (void)loop_turn(loop, 0);
    assert_string_equal(story.text, "E");
}

static void stop(void *arg) {
    loop_enter();
    loop_stop(arg);
}

static void runs_until_it_is_stopped(void **state) {
    CLEANUP(loop_free) struct loop *loop = loop_new();
    char text[4] = "", *at = text;

    (void)state;
    loop_enter();
    loop_post(loop, append, &at);
    loop_post(loop, stop, loop);
    loop_run(loop);
    assert_string_equal(text, "x");
    loop_stop(loop);
    loop_run(loop); /* returns at once, and only this time */
    loop_post(loop, append, &at);
    loop_post(loop, stop, loop);
    loop_run(loop);
    assert_string_equal(text, "xx");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_posts_of_each_thread_in_order),
        cmocka_unit_test(runs_at_its_end_what_was_posted),
        cmocka_unit_test(says_that_nothing_happened),
        cmocka_unit_test(defers_behind_all_descriptors_of_the_turn),
        cmocka_unit_test(defers_to_the_next_turn_from_the_end_of_one),
        cmocka_unit_test(forgets_what_is_queued),
        cmocka_unit_test(runs_until_it_is_stopped),
    };

    return cmocka_run_group_tests_name("loop/loop", tests, NULL, NULL);
}
