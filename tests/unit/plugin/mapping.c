#include "test.h"

#include "plugin/mapping.h"

#include "plugin/fixture.h"

static void finds_the_files_own_objects_only(void **state) {
    CLEANUP(free) char *path = fixture_path("counter");
    struct mapping mapping = {0};
    struct theseus_error err = {0};
    size_t size = 0;

    (void)state;
    assert_int_equal(mapping_open(&mapping, path, &err), 0);
    const void *plugin = mapping_object(&mapping, "theseus_plugin", &size);
    assert_non_null(plugin);
    assert_true(size > 0);
    assert_true(mapping_contains(&mapping, plugin));
    assert_true(mapping_contains(&mapping, (const char *)plugin + size - 1));
    assert_null(mapping_object(&mapping, "environ", &size)); /* of the C library */
    assert_null(mapping_object(&mapping, "no_such_object", &size));
    assert_int_equal(mapping_close(&mapping, path), MAPPING_GONE);
    assert_false(mapping_contains(&mapping, plugin));
}

static void takes_no_function_for_an_object(void **state) {
    CLEANUP(free) char *path = fixture_path("nosymbol");
    struct mapping mapping = {0};
    size_t size = 0;

    (void)state;
    assert_int_equal(mapping_open(&mapping, path, NULL), 0);
    assert_null(mapping_object(&mapping, "nosymbol_answer", &size));
    assert_int_equal(mapping_close(&mapping, path), MAPPING_GONE);
}

static void contains_nothing_before_it_is_open(void **state) {
    struct mapping mapping = {0};

    (void)state;
    assert_false(mapping_contains(&mapping, &mapping));
    assert_false(mapping_contains(&mapping, NULL));
    assert_int_equal(mapping_close(&mapping, "/nowhere/never.so"), MAPPING_GONE);
}

static void stays_closed_when_it_cannot_be_opened(void **state) {
    CLEANUP(free) char *path = fixture_path("undefined");
    struct mapping mapping = {0};
    struct theseus_error err = {0};

    (void)state;
    assert_int_equal(mapping_open(&mapping, path, &err), -1);
    assert_null(mapping.handle);
    assert_string_equal(
        err.message,
        "has the undefined symbol 'theseus_fixture_nowhere'; link the library or the file that defines it");
    assert_int_equal(mapping_close(&mapping, path), MAPPING_GONE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_files_own_objects_only),
        cmocka_unit_test(takes_no_function_for_an_object),
        cmocka_unit_test(contains_nothing_before_it_is_open),
        cmocka_unit_test(stays_closed_when_it_cannot_be_opened),
    };

    return cmocka_run_group_tests_name("plugin/mapping", tests, NULL, NULL);
}
