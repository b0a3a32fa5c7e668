#include "test.h"

#include "base/modules.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

static uint64_t address_of(void (*function)(void)) {
    return (uint64_t)(uintptr_t)function;
}

static void here(void) {
}

static void finds_the_program_and_a_library(void **state) {
    (void)state;
    modules_refresh();
    const struct module *program = modules_find(address_of(here));
    const struct module *library = modules_find((uint64_t)(uintptr_t)stdout);
    assert_non_null(program);
    assert_non_null(strstr(program->path, "modules"));
    assert_true(address_of(here) >= program->base && address_of(here) < program->end);
    assert_non_null(library);
    assert_non_null(strstr(library->path, "libc.so"));
    assert_null(modules_find(0));
    assert_null(modules_find(UINT64_MAX));
}

static void keeps_what_was_said_of_one(void **state) {
    (void)state;
    modules_refresh();
    modules_name((const void *)(uintptr_t)address_of(here), "name", "1.2", "hash");
    for (int i = 0; i < 3; i++) {
        const struct module *module = modules_find(address_of(here));
        assert_string_equal(module->plugin, "name");
        assert_string_equal(module->version, "1.2");
        assert_string_equal(module->hash, "hash");
        assert_string_equal(modules_find((uint64_t)(uintptr_t)stdout)->plugin, "");
        modules_refresh();
    }
    modules_name(NULL, "nobody", "", ""); /* which is nowhere */
}

/* The last one: it stays so. */
static void changes_no_more_once_it_is_frozen(void **state) {
    (void)state;
    modules_freeze();
    const struct module *before = modules_find(address_of(here));
    modules_name((const void *)(uintptr_t)address_of(here), "other", "", "");
    modules_refresh();
    assert_ptr_equal(modules_find(address_of(here)), before);
    assert_string_equal(before->plugin, "name");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_program_and_a_library),
        cmocka_unit_test(keeps_what_was_said_of_one),
        cmocka_unit_test(changes_no_more_once_it_is_frozen),
    };

    return cmocka_run_group_tests_name("base/modules", tests, NULL, NULL);
}
