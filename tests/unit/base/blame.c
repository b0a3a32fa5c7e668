#include "test.h"

#include "base/blame.h"

#include <pthread.h>

static void is_the_innermost_that_was_entered(void **state) {
    struct blame outer = {.plugin = "outer"}, inner = {.plugin = "inner"};

    (void)state;
    assert_null(blame_current());
    blame_enter(&outer);
    assert_ptr_equal(blame_current(), &outer);
    blame_enter(&inner);
    assert_ptr_equal(blame_current(), &inner);
    blame_leave(&inner);
    assert_ptr_equal(blame_current(), &outer);
    blame_leave(&outer);
    assert_null(blame_current());
}

static void lasts_as_long_as_its_block(void **state) {
    (void)state;
    {
        CLEANUP(blame_end) struct blame *blame = blame_begin(&(struct blame){.plugin = "a", .slot = "start"});
        assert_ptr_equal(blame_current(), blame);
        assert_string_equal(blame->slot, "start");
    }
    assert_null(blame_current());
}

static void *look(void *arg) {
    *(const struct blame **)arg = blame_current();
    return NULL;
}

static void is_each_threads_own(void **state) {
    struct blame mine = {.plugin = "mine"};
    const struct blame *theirs = &mine;
    pthread_t thread;

    (void)state;
    blame_enter(&mine);
    assert_int_equal(pthread_create(&thread, NULL, look, &theirs), 0);
    (void)pthread_join(thread, NULL);
    assert_null(theirs);
    blame_leave(&mine);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_the_innermost_that_was_entered),
        cmocka_unit_test(lasts_as_long_as_its_block),
        cmocka_unit_test(is_each_threads_own),
    };

    return cmocka_run_group_tests_name("base/blame", tests, NULL, NULL);
}
