#include "test.h"

#include "plugin/late.h"

#include "base/mem.h"

static void remembers_the_last_owner(void **state) {
    struct late late = {0};

    (void)state;
    assert_null(late_owner(&late, "a"));
    late_remember(&late, "a", "p");
    late_remember(&late, "b", "q");
    assert_string_equal(late_owner(&late, "a"), "p");
    late_remember(&late, "a", "r");
    assert_string_equal(late_owner(&late, "a"), "r");
    assert_string_equal(late_owner(&late, "b"), "q");
    late_fini(&late);
    assert_null(late_owner(&late, "a"));
}

static void forgets_the_oldest(void **state) {
    struct late late = {0};

    (void)state;
    late_remember(&late, "first", "p");
    for (int i = 1; i < LATE_MAX; i++) {
        CLEANUP(free) char *name = xasprintf("t%d", i);
        late_remember(&late, name, "q");
    }
    assert_string_equal(late_owner(&late, "first"), "p");
    late_remember(&late, "last", "q");
    assert_null(late_owner(&late, "first"));
    assert_string_equal(late_owner(&late, "t1"), "q");
    assert_string_equal(late_owner(&late, "last"), "q");
    late_fini(&late);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(remembers_the_last_owner),
        cmocka_unit_test(forgets_the_oldest),
    };

    return cmocka_run_group_tests_name("plugin/late", tests, NULL, NULL);
}
