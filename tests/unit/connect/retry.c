#include "test.h"

#include "connect/retry.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "loop/until.h"

struct tries {
    int count;
    int64_t at_ns;
};

static void count_try(void *arg) {
    struct tries *tries = arg;

    loop_enter();
    tries->count++;
    tries->at_ns = clock_now_ns();
}

static void doubles_its_steps_up_to_a_limit(void **state) {
    int64_t step = 0;

    (void)state;
    for (int64_t expected = 1000; expected < 30000; expected *= 2) {
        step = retry_step_ms(step);
        assert_int_equal(step, expected);
    }
    assert_int_equal(retry_step_ms(step), 30000);
    assert_int_equal(retry_step_ms(30000), 30000);
}

static void tries_at_once_and_then_with_some_chance(void **state) {
    CLEANUP(loop_free) struct loop *loop = loop_new();
    struct tries tries = {0};

    (void)state;
    loop_enter();
    CLEANUP(retry_free) struct retry *retry = retry_new(loop, "/nowhere/at/all/socket", count_try, &tries);
    retry_soon(retry);
    until(loop, tries.count == 1);
    int64_t begin = clock_now_ns();
    retry_failed(retry);
    until(loop, tries.count == 2);
    assert_true(tries.at_ns - begin >= INT64_C(499) * 1000000);
}

/* 10 to 20 ms, then twice that, then twice that. How long it took. */
static int64_t try_shortly(struct loop *loop, struct retry *retry, struct tries *tries) {
    loop_enter();
    tries->count = 0;
    retry_soon(retry);
    until(loop, tries->count == 1);
    int64_t begin = clock_now_ns();
    for (int i = 0; i < 3; i++) {
        retry_shortly(retry);
        until(loop, tries->count == i + 2);
    }
    return tries->at_ns - begin;
}

/* What comes behind a second are the steps from their beginning. */
static void tries_shortly_but_not_for_ever(void **state) {
    CLEANUP(loop_free) struct loop *loop = loop_new();
    struct tries tries = {0};
    int64_t took = INT64_MAX;

    (void)state;
    loop_enter();
    CLEANUP(retry_free) struct retry *retry = retry_new(loop, "/nowhere/at/all/socket", count_try, &tries);
    for (int i = 0; i < 10 && took >= INT64_C(499) * 1000000; i++) /* the machine may be slow now and then */
        took = try_shortly(loop, retry, &tries);
    assert_true(took >= INT64_C(60) * 1000000);
    assert_true(took < INT64_C(499) * 1000000);
    int64_t begin = clock_now_ns();
    for (int i = 0; i < 5; i++) /* 160, 320, 640, 1280 ms, and the first step */
        retry_shortly(retry);
    until(loop, tries.count == 5);
    assert_true(tries.at_ns - begin >= INT64_C(499) * 1000000);
}

static void notices_a_socket_that_comes(void **state) {
    CLEANUP(loop_free) struct loop *loop = loop_new();
    char dir[] = "/tmp/theseus-retry-XXXXXX";
    struct tries tries = {0};

    (void)state;
    loop_enter();
    assert_non_null(mkdtemp(dir));
    CLEANUP(free) char *path = xasprintf("%s/socket", dir);
    CLEANUP(retry_free) struct retry *retry = retry_new(loop, path, count_try, &tries);
    for (int i = 0; i < 5; i++)
        retry_failed(retry); /* the next try would come in 8 s at the earliest */
    int64_t begin = clock_now_ns();
    CLEANUP(fd_close) int fd = open(path, O_CREAT | O_CLOEXEC | O_WRONLY, 0600);
    assert_true(fd >= 0);
    until(loop, tries.count == 1);
    assert_true(clock_now_ns() - begin < INT64_C(7) * 1000000000);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(dir), 0);
}

static void rests(void **state) {
    CLEANUP(loop_free) struct loop *loop = loop_new();
    struct tries tries = {0};

    (void)state;
    loop_enter();
    CLEANUP(retry_free) struct retry *retry = retry_new(loop, "/nowhere/at/all/socket", count_try, &tries);
    retry_soon(retry);
    retry_rest(retry);
    assert_false(retry_runs(retry));
    assert_false(loop_turn(loop, 20));
    assert_int_equal(tries.count, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(doubles_its_steps_up_to_a_limit),
        cmocka_unit_test(tries_at_once_and_then_with_some_chance),
        cmocka_unit_test(tries_shortly_but_not_for_ever),
        cmocka_unit_test(notices_a_socket_that_comes),
        cmocka_unit_test(rests),
    };

    return cmocka_run_group_tests_name("connect/retry", tests, NULL, NULL);
}
