#include "test.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/huge.h"

static void never_gives_null_for_sizes_of_ours(void **state) {
    CLEANUP(free) char *none = xcalloc(0, 0);
    CLEANUP(free) int *zeroes = xcalloc(100, sizeof(int));

    (void)state;
    assert_non_null(none);
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(zeroes[i], 0);
    zeroes[99] = 5;
    zeroes = xreallocarray(zeroes, 200, sizeof(int));
    assert_int_equal(zeroes[99], 5);
}

static void copies_text(void **state) {
    CLEANUP(free) char *all = xstrdup("text");
    CLEANUP(free) char *part = xstrndup("text", 2);
    CLEANUP(free) char *short_one = xstrndup("te", 10);
    CLEANUP(free) char *nothing = xstrndup(NULL, 0);
    CLEANUP(free) char *made = xasprintf("%s-%d", "a", 5);

    (void)state;
    assert_string_equal(all, "text");
    assert_string_equal(part, "te");
    assert_string_equal(short_one, "te");
    assert_string_equal(nothing, "");
    assert_string_equal(made, "a-5");
}

static void says_no_to_a_peers_size(void **state) {
    CLEANUP(free) char *memory = try_malloc(0);

    (void)state;
    assert_non_null(memory);
    assert_null(try_malloc(SIZE_MAX / 2));
    assert_null(try_realloc(memory, SIZE_MAX / 2));
}

static int freed;

static int *count_free(int *number) {
    freed += *number;
    return NULL;
}

DEFINE_CLEANUP(int *, count_free)

static int *keep(int *number, bool taken) {
    CLEANUP(count_free) int *mine = number;

    return taken ? TAKE_PTR(mine) : NULL;
}

static void destroys_what_was_not_taken(void **state) {
    int number = 7;

    (void)state;
    freed = 0;
    assert_ptr_equal(keep(&number, true), &number);
    assert_null(keep(NULL, false));
    assert_int_equal(freed, 0);
    assert_null(keep(&number, false));
    assert_int_equal(freed, 7);
}

static void closes_descriptors_and_keeps_errno(void **state) {
    int copy, kept;

    (void)state;
    {
        CLEANUP(fd_close) int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        CLEANUP(fd_close) int other = open("/dev/null", O_RDONLY | O_CLOEXEC);
        CLEANUP(fd_close) int none = -1;
        copy = fd;
        kept = fd_take(&other);
        assert_int_equal(other, -1);
        assert_int_equal(none, -1);
        errno = EAGAIN;
    }
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(fcntl(copy, F_GETFD), -1);
    assert_true(fcntl(kept, F_GETFD) >= 0);
    (void)close(kept);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(never_gives_null_for_sizes_of_ours),
        cmocka_unit_test(copies_text),
        cmocka_unit_test(says_no_to_a_peers_size),
        cmocka_unit_test(destroys_what_was_not_taken),
        cmocka_unit_test(closes_descriptors_and_keeps_errno),
    };

    return cmocka_run_group_tests_name("base/mem", tests, NULL, NULL);
}
