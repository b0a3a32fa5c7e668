#include "test.h"

#include "base/library.h"

#include <math.h>

#define MATH_FUNCTIONS(X) \
    X(floor)              \
    X(hypot)

struct math {
    MATH_FUNCTIONS(LIBRARY_FIELD)
};

static const char *const names[] = {MATH_FUNCTIONS(LIBRARY_NAME) NULL};

static void finds_the_functions(void **state) {
    struct math math = {0};
    struct library library = LIBRARY_INIT("libm.so.6", names, &math);

    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(library_open(&library, NULL), 0);
        assert_true(math.floor(2.5) == 2);
        assert_true(math.hypot(3, 4) == 5);
    }
}

static void says_what_is_not_there(void **state) {
    struct math math = {0};
    struct library library = LIBRARY_INIT("libtheseus-nowhere.so.1", names, &math);
    struct theseus_error err = {0};

    (void)state;
    assert_int_equal(library_open(&library, &err), -1);
    assert_int_equal(err.code, ERR_SYSTEM);
    assert_non_null(strstr(err.message, "libtheseus-nowhere.so.1"));
    library.file = "libm.so.6"; /* it has been installed */
    assert_int_equal(library_open(&library, NULL), 0);
}

static void refuses_a_library_that_lacks_a_function(void **state) {
    static const char *const others[] = {"floor", "theseus_hypot", NULL};
    struct math math = {0};
    struct library library = LIBRARY_INIT("libm.so.6", others, &math);
    struct theseus_error err = {0};

    (void)state;
    assert_int_equal(library_open(&library, &err), -1);
    assert_non_null(strstr(err.message, "'libm.so.6' has no 'theseus_hypot'"));
}

static void *open_it(void *library) {
    return library_open(library, NULL) == 0 ? library : NULL;
}

static void is_opened_by_several_threads_at_once(void **state) {
    struct math math = {0};
    struct library library = LIBRARY_INIT("libm.so.6", names, &math);
    pthread_t threads[4];
    void *result = NULL;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, open_it, &library), 0);
    for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
        assert_int_equal(pthread_join(threads[i], &result), 0);
        assert_ptr_equal(result, &library);
    }
    assert_true(math.hypot(3, 4) == 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_functions),
        cmocka_unit_test(says_what_is_not_there),
        cmocka_unit_test(refuses_a_library_that_lacks_a_function),
        cmocka_unit_test(is_opened_by_several_threads_at_once),
    };

    return cmocka_run_group_tests_name("base/library", tests, NULL, NULL);
}
