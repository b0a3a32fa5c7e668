#include "test.h"

#include "base/inherit.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/mem.h"

static bool stays_open(int fd) {
    int flags = fcntl(fd, F_GETFD);

    assert_true(flags >= 0);
    return !(flags & FD_CLOEXEC);
}

static void lets_its_members_stay_open_and_no_other(void **state) {
    CLEANUP(fd_close) int member = open("/dev/null", O_RDONLY | O_CLOEXEC);
    CLEANUP(fd_close) int other = open("/dev/null", O_RDONLY | O_CLOEXEC);
    CLEANUP(fd_close) int far = fcntl(other, F_DUPFD_CLOEXEC, 200);

    (void)state;
    assert_int_equal(inherit_add(member, NULL), 0);
    assert_int_equal(inherit_add(far, NULL), 0);
    assert_true(inherit_has(member) && inherit_has(far) && !inherit_has(other));
    inherit_set(true);
    assert_true(stays_open(member) && stays_open(far) && !stays_open(other));
    inherit_set(false);
    assert_false(stays_open(member) || stays_open(far));
    inherit_drop(far);
    inherit_set(true);
    assert_true(stays_open(member) && !stays_open(far));
    inherit_set(false);
    inherit_drop(member);
    assert_false(inherit_has(member));
}

static void takes_numbers_up_to_its_limit(void **state) {
    struct theseus_error err = {0};

    (void)state;
    assert_int_equal(inherit_add(INHERIT_MAX - 1, &err), 0);
    assert_true(inherit_has(INHERIT_MAX - 1));
    inherit_set(true); /* one that is not open does no harm */
    inherit_drop(INHERIT_MAX - 1);
    assert_int_equal(inherit_add(INHERIT_MAX, &err), -1);
    assert_int_equal(err.code, ERR_LIMIT);
    assert_false(inherit_has(INHERIT_MAX));
    inherit_drop(INHERIT_MAX);
    inherit_drop(-1);
    assert_false(inherit_has(-1));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lets_its_members_stay_open_and_no_other),
        cmocka_unit_test(takes_numbers_up_to_its_limit),
    };

    return cmocka_run_group_tests_name("base/inherit", tests, NULL, NULL);
}
