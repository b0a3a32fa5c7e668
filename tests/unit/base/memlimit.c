#include "test.h"

#include "base/memlimit.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"

enum { BLOCK = 64 << 10 };

/* A plugin that takes what it can get. */
struct glutton {
    void *kept;
    size_t bytes;
};

static void eat(struct glutton *glutton, size_t size) {
    for (void *block; (block = malloc(size)); glutton->bytes += size) {
        memcpy(block, &glutton->kept, sizeof(void *));
        glutton->kept = block;
    }
}

static void glutton_fini_cleanup(struct glutton *glutton) {
    while (glutton->kept) {
        void *block = glutton->kept;
        memcpy(&glutton->kept, block, sizeof(void *));
        free(block);
    }
    assert_int_equal(memlimit_set(0, NULL), 0);
}

static void leaves_the_core_what_others_cannot_get(void **state) {
    CLEANUP(glutton_fini) struct glutton glutton = {0};

    (void)state;
    if (!memlimit_works())
        skip();
    assert_int_equal(memlimit_set(MEMLIMIT_LEAST_BYTES, NULL), 0);
    eat(&glutton, BLOCK);
    eat(&glutton, 16);
    assert_true(glutton.bytes > MEMLIMIT_LEAST_BYTES - MEMLIMIT_RESERVE_BYTES - (8 << 20));
    assert_true(glutton.bytes < MEMLIMIT_LEAST_BYTES - MEMLIMIT_RESERVE_BYTES);
    assert_false(memlimit_is_short());
    CLEANUP(free) char *ours = xmalloc(4 << 20), *small = try_malloc(1000);
    assert_non_null(ours);
    assert_non_null(small);
    assert_true(memlimit_is_short());
    assert_null(malloc(4 << 20)); /* nobody else finds it open */
    assert_null(try_malloc(MEMLIMIT_SMALL_BYTES + 1));
    assert_null(try_realloc(NULL, MEMLIMIT_SMALL_BYTES + 1));
    CLEANUP(free) char *text = xasprintf("%0*d", 100000, 0);
    assert_int_equal(strlen(text), 100000);
    assert_true(memlimit_look_again());
    assert_true(memlimit_used() <= memlimit_bytes());
}

static void keeps_the_half_of_it_from_peers(void **state) {
    CLEANUP(glutton_fini) struct glutton glutton = {0};
    size_t taken = 0;

    (void)state;
    if (!memlimit_works())
        skip();
    assert_int_equal(memlimit_set(MEMLIMIT_LEAST_BYTES, NULL), 0);
    eat(&glutton, BLOCK);
    for (void *block; (block = try_malloc(BLOCK)); taken += BLOCK) {
        memcpy(block, &glutton.kept, sizeof(void *));
        glutton.kept = block;
    }
    assert_true(taken > 0 && taken <= MEMLIMIT_RESERVE_BYTES / 2);
    free(xmalloc(1 << 20));
}

/* In a child: it is for good. Says 0 if all of it holds. */
static int under_a_limit_of_addresses(void) {
    CLEANUP(free) char *ours = NULL;

    if (memlimit_set_addresses(memlimit_addresses_used() + MEMLIMIT_RESERVE_BYTES + (8 << 20), NULL) < 0)
        return 1;
    void *reserved = mmap(NULL, 16 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (reserved != MAP_FAILED || memlimit_is_short())
        return 2;
    ours = xmalloc(10 << 20);
    return memlimit_is_short() && memlimit_look_again() ? 0 : 3;
}

static void limits_addresses_as_well(void **state) {
    int status = -1;

    (void)state;
    if (!memlimit_works())
        skip();
    assert_true(memlimit_addresses_used() > 1 << 20);
    pid_t child = fork();
    if (child == 0)
        _exit(under_a_limit_of_addresses());
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_true(WIFEXITED(status));
}

static void has_enough_again_when_it_is_given_back(void **state) {
    (void)state;
    if (!memlimit_works())
        skip();
    {
        CLEANUP(glutton_fini) struct glutton glutton = {0};
        assert_int_equal(memlimit_set(MEMLIMIT_LEAST_BYTES, NULL), 0);
        eat(&glutton, 1000); /* from the heap, which need not shrink */
        free(xmalloc(1 << 20));
        assert_true(memlimit_look_again());
        while (glutton.kept) {
            void *block = glutton.kept;
            memcpy(&glutton.kept, block, sizeof(void *));
            free(block);
        }
        assert_false(memlimit_look_again());
        assert_false(memlimit_is_short());
    }
}

static void goes_back_to_what_was_before(void **state) {
    struct rlimit before, now;

    (void)state;
    if (!memlimit_works())
        skip();
    assert_int_equal(getrlimit(RLIMIT_DATA, &before), 0);
    assert_int_equal(memlimit_set(MEMLIMIT_LEAST_BYTES, NULL), 0);
    assert_int_equal(getrlimit(RLIMIT_DATA, &now), 0);
    assert_int_equal(now.rlim_cur, MEMLIMIT_LEAST_BYTES - MEMLIMIT_RESERVE_BYTES);
    assert_int_equal(now.rlim_max, before.rlim_max);
    memlimit_lift(); /* an exec comes */
    assert_int_equal(getrlimit(RLIMIT_DATA, &now), 0);
    assert_int_equal(now.rlim_cur, before.rlim_cur);
    memlimit_restore(); /* and has failed */
    assert_int_equal(getrlimit(RLIMIT_DATA, &now), 0);
    assert_int_equal(now.rlim_cur, MEMLIMIT_LEAST_BYTES - MEMLIMIT_RESERVE_BYTES);
    assert_int_equal(memlimit_set(0, NULL), 0);
    assert_int_equal(getrlimit(RLIMIT_DATA, &now), 0);
    assert_int_equal(now.rlim_cur, before.rlim_cur);
    assert_int_equal(memlimit_bytes(), 0);
    assert_false(memlimit_raise(true));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limits_addresses_as_well), /* before the heap has grown */
        cmocka_unit_test(leaves_the_core_what_others_cannot_get),
        cmocka_unit_test(keeps_the_half_of_it_from_peers),
        cmocka_unit_test(has_enough_again_when_it_is_given_back),
        cmocka_unit_test(goes_back_to_what_was_before),
    };

    return cmocka_run_group_tests_name("base/memlimit", tests, NULL, NULL);
}
